"""Real processes: applies over TCP against a served emulator, killed at seeded moments until one ends by itself.

`python -m tests.proof.kills SEED KILLS`. Takes real time, for a client that waits waits really: not in `make test`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.test_faults import DISK
from tests.emulator.test_doors import free_ports
from tests.projects import NODE_ID, PROJECT, SEED, project, vm

TOKEN = "made-up"
WORLD = {
    "gpuNodes": [{"id": NODE_ID}],
    "wallets": [{"name": "tenant", "seed": SEED}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
}


@contextmanager
def emulator(directory: Path) -> Iterator[tuple[str, str]]:
    """A served world; the URLs of its client node and of its admin door."""
    port, door = free_ports(2)
    world = directory / "world.json"
    world.write_text(json.dumps(WORLD), encoding="utf-8")
    line = ["emulator", "--world", str(world), "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{door}"]
    process = start(*line, "--time-scale", "8", "--keep", str(directory / "kept"), DBC_IAC_ADMIN_TOKEN=TOKEN)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                truth(f"http://127.0.0.1:{door}")
                break
            except OSError:
                assert time.monotonic() < until, "the emulator does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{door}"
    finally:
        process.terminate()
        process.wait(20)


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dbc_iac", *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def truth(door: str) -> Any:
    request = urllib.request.Request(f"{door}/truth", headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def survive(seed: int, kills: int, number: int = signal.SIGKILL) -> int:
    """How many applies were ended before one came to its end. Raises AssertionError where something is lost or doubled."""
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder)) as (url, door):
        directory = Path(folder) / "lab"
        for documents, disks in (
            ((vm(), DISK), [20, 20, 50]),
            ((vm(cpus=8), DISK.replace("50Gi", "90Gi")), [20, 20, 90]),
        ):
            project(directory, *documents)
            (directory / "dbc-iac.yaml").write_text(PROJECT.replace("http://127.0.0.1:5050", url), encoding="utf-8")
            done = 0
            while (code := apply(directory, number, source.uniform(1.2, 9.0) if done < kills else 600)) != 0:
                done += 1
                assert done <= kills + 2, f"it does not converge: exit code {code}"
            [machine] = truth(door)[NODE_ID]["vms"].values()
            assert machine["domain"]["state"] == "running"
            assert sorted(disk["real"] // 1024**3 for disk in machine["disks"].values()) == disks
    return done


def apply(directory: Path, number: int, seconds: float) -> int:
    """The exit code of an apply that is ended after so many seconds if it has not ended by then."""
    process = start("-C", str(directory), "apply", "--yes", SEED=SEED, XDG_CACHE_HOME=str(directory / ".cache"))
    try:
        told, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        told, _ = process.communicate(timeout=120)
    assert "Traceback" not in told, told
    print(f"  after {seconds:.1f} s: {process.returncode}", flush=True)
    return process.returncode


if __name__ == "__main__":
    for number in (signal.SIGKILL, signal.SIGTERM):
        survive(int(sys.argv[1]), int(sys.argv[2]), number)
        print(f"seed {sys.argv[1]}: converged after {signal.Signals(number).name}", flush=True)
