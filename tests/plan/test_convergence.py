"""Any manifests after any others, with a fault at any call: the next apply converges, and nothing exists twice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dbc_iac.emulator import FaultSpec
from tests.examples import examples
from tests.projects import NODE_ID, Emulated, document, project, vm

MACHINE = st.fixed_dictionaries(
    {
        "gpus": st.integers(0, 1),
        "cpus": st.sampled_from([2, 4, 8]),
        "memory": st.sampled_from(["4Gi", "8Gi"]),
        "power": st.sampled_from(["on", "on", "off", "unmanaged"]),
        "image": st.sampled_from(["ubuntu.qcow2", "win10.qcow2"]),
        "network": st.sampled_from([None, "training"]),
        "firewall": st.sampled_from([[], ["in,tcp,22,0.0.0.0/0,accept"]]),
        "restartOn": st.sampled_from([None, "one", "two"]),
        "publicIp": st.none(),
    }
)
WORLD = st.dictionaries(st.sampled_from(["a", "b", "c"]), MACHINE, max_size=3)
DISKS = st.dictionaries(st.sampled_from(["x", "y"]), st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=2)
FAULT = st.none() | st.builds(
    FaultSpec,
    op=st.sampled_from(
        ["tasks.create", "tasks.start", "tasks.shutdown", "tasks.delete", "tasks.modify", "disk.add", "disk.resize",
         "disk.delete", "lan.create", "lan.delete", "tasks.list", "tasks.details", "*"]
    ),
    kind=st.sampled_from(["time-out", "lost-reply", "late", "drop", "offline"]),
    nth=st.integers(1, 3),
    seconds=st.sampled_from([35.0, 45.0, 100.0]),
)  # fmt: skip
STEP = st.tuples(WORLD, DISKS, FAULT)
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})


def documents(machines: dict[str, Any], disks: dict[str, Any], sizes: dict[str, int]) -> list[str]:
    """Disks only on machines that there are, and never smaller than before."""
    made = [LAN, *(vm(name, **spec) for name, spec in machines.items())]
    for name, (host, size) in disks.items():
        if host in machines:
            sizes[name] = max(sizes.get(name, 0), 10 * size)
            made.append(document("Disk", name, {"vm": host, "size": f"{sizes[name]}Gi"}))
    return made


@settings(
    max_examples=examples(suite=8, proof=100),
    derandomize=True,
)
@given(st.lists(STEP, min_size=1, max_size=3))
def test_every_run_converges(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        emulated = Emulated(project(Path(folder)), {"gpuNodes": [{"id": NODE_ID, "gpus": 4}]})
        sizes: dict[str, int] = {}
        for machines, disks, fault in steps:
            made = documents(machines, disks, sizes)
            project(Path(folder), *made, environ=emulated.project.environ)
            if fault is not None:
                emulated.network.faults.add(fault)
            first = emulated.run("apply", "--yes", "--allow-data-loss", "--max-removals", "100", "--settle")
            emulated.settle(4000)
            emulated.network.faults.clear()
            second = emulated.run("apply", "--yes", "--allow-data-loss", "--max-removals", "100", "--settle")
            assert second.code == 0, first.out + first.err + second.out + second.err
            emulated.settle(4000)
            last = emulated.run("plan", "--detailed-exitcode")
            assert last.code == 0, first.err + second.err + last.out + last.err
            check(emulated, machines, made)
        emulated.close()


def check(emulated: Emulated, machines: dict[str, Any], made: list[str]) -> None:
    """The truth: as many machines and disks as were asked for, on and off as was asked for."""
    assert len(emulated.vms) == len(machines)
    data_disks = sum(len(m["disks"]) - 2 for m in emulated.vms.values())
    assert data_disks == sum('"kind": "Disk"' in d for d in made)
    wanted_off = sum(m["power"] == "off" for m in machines.values())
    free = sum(m["power"] == "unmanaged" for m in machines.values())
    off = sum(m["domain"] == "off" for m in emulated.vms.values())
    assert wanted_off <= off <= wanted_off + free
