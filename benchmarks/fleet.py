"""The fleet: VMs from one `forEach` on 20 nodes, planned, applied and planned again on the emulator in process.

    python -m benchmarks.fleet [VMS ...]

Prints seconds of real time for each command, peak memory, and the cost of a VM. Emulated time is virtual.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.projects import SEED, Emulated, document, project

NODES = 20


def fleet(directory: Path, count: int) -> Emulated:
    """A project of `count` VMs spread over the nodes, each node rented whole."""
    ids = [hashlib.sha256(f"node {n}".encode()).hexdigest() for n in range(NODES)]
    nodes = [
        document("Node", f"node-{n}", {"id": i, "identity": "tenant", "rentOrder": str(n), "portRange": "20000-29999"})
        for n, i in enumerate(ids)
    ]
    keys = {f"vm-{n}": f"node-{n % NODES}" for n in range(count)}
    spec = {
        "node": "{{ each.value }}",
        "image": "ubuntu.qcow2",
        "gpus": 0,
        "cpus": 1,
        "memory": "1Gi",
        "dataDisk": {"size": "10Gi"},
        "ports": {"ssh": "auto", "vnc": "auto"},
    }
    made = project(directory, *nodes, document("VirtualMachine", "fleet", spec, forEach=keys))
    world = {
        "gpuNodes": [{"id": i, "cpus": 62, "memory": 256} for i in ids],
        "wallets": [{"name": "tenant", "seed": SEED}],
        "orders": {str(n): {"renter": "tenant", "machine": i} for n, i in enumerate(ids)},
    }
    return Emulated(made, world)


def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        emulated = fleet(Path(folder), count)
        total = 0.0
        for name, arguments, code in (
            ("plan", ["plan", "--json"], 0),
            ("apply", ["apply", "--yes", "--json"], 0),
            ("second plan", ["plan", "--detailed-exitcode"], 0),
        ):
            began = time.perf_counter()
            result = emulated.run(*arguments)
            seconds = time.perf_counter() - began
            total += seconds
            assert result.code == code, result.err[-2000:]
            print(f"{count:6d} VMs  {name:<12} {seconds:8.2f} s  {1000 * seconds / count:7.2f} ms a VM")
        state = json.loads((Path(folder) / "state/main.json").read_text())
        assert len(state["bindings"]) == count
        emulated.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:6d} VMs  in all       {total:8.2f} s  peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    for number in [int(a) for a in sys.argv[1:]] or [100, 1000]:
        measure(number)
