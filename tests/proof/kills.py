"""Real processes: applies over TCP against a served emulator, killed at seeded moments until one ends by itself.

`python -m tests.proof.kills SEED KILLS`. Takes real time because waits are real; not part of `make test`.
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

from tests.emulator.test_admin import free_ports
from tests.projects import NODE_ID, PROJECT, SEED, project
from tests.proof.lab import FOREIGN, SECRETS, STAGES, WORLD

TOKEN = "made-up"
WALLET = {
    "wallets": [{"name": "tenant", "seed": SEED}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
}
DISKS = {"created": [[20, 20], [20, 20, 30, 50]], "changed": [[20, 20], [10, 20, 40, 90]], "nothing": []}
"""GiB of the disks of each managed VM, by stage of the lab."""


@contextmanager
def emulator(directory: Path) -> Iterator[tuple[str, str]]:
    """A served world; the URLs of its client node and of its admin API."""
    port, admin = free_ports(2)
    world = directory / "world.json"
    world.write_text(json.dumps({**WORLD, **WALLET}), encoding="utf-8")
    line = ["emulator", "--world", str(world), "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
    process = start(*line, "--time-scale", "8", "--keep", str(directory / "kept"), DBC_IAC_ADMIN_TOKEN=TOKEN)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                truth(f"http://127.0.0.1:{admin}")
                break
            except OSError:
                assert time.monotonic() < until, "the emulator does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"
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


def truth(admin: str) -> Any:
    request = urllib.request.Request(f"{admin}/truth", headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def survive(seed: int, kills: int, number: int = signal.SIGKILL) -> int:
    """Lead the lab through its stages, each with a number of killed applies before one completes: the total number of
    kills. Raises AssertionError if an object is lost or duplicated.
    """
    source = random.Random(seed)
    ended = 0
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder)) as (url, admin):
        directory = Path(folder) / "lab"
        for stage, disks in DISKS.items():
            project(directory, *STAGES[stage])
            owner = PROJECT.replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}")
            (directory / "dbc-iac.yaml").write_text(owner.replace("http://127.0.0.1:5050", url), encoding="utf-8")
            tried = 0
            while apply(directory, number, source.uniform(1.5, 30.0) if tried < kills else 900) != 0:
                tried += 1
                assert tried <= kills + 2, f"{stage}: it does not converge"
            ended += tried
            machines = [vm for vm in truth(admin)[NODE_ID]["vms"].values() if vm["task_id"] != FOREIGN]
            assert {vm["domain"]["state"] for vm in machines} <= {"running"}
            sizes = (sorted(disk["real"] // 1024**3 for disk in vm["disks"].values()) for vm in machines)
            assert sorted(sizes, key=len) == disks
            assert run(directory, 300, "plan", "--detailed-exitcode")[0] == 0
            _, printed = run(directory, 300, "orphans", "--json")
            assert [one for one in json.loads(printed) if one.get("whose") == "ours"] == []
    return ended


def apply(directory: Path, number: int, seconds: float) -> int:
    """Exit code of an apply that is killed after a number of seconds unless it has ended."""
    _, listed = run(directory, 60, "state", "list", "--json")
    gone = ["--destroy-identity", "BareMetalServer/new"] if "BareMetalServer/new" in listed else []
    options = ["--yes", "--allow-empty", "--allow-data-loss", "--max-removals", "100", *gone]
    code, printed = run(directory, seconds, "apply", *options, number=number)
    assert "Traceback" not in printed, printed
    assert not [secret for secret in SECRETS.values() if secret in printed]
    print(f"  after {seconds:.1f} s: {code}", flush=True)
    return code


def run(directory: Path, seconds: float, *arguments: str, number: int = signal.SIGKILL) -> tuple[int, str]:
    """Run a command with a time limit and a signal: its exit code and output."""
    process = start("-C", str(directory), *arguments, SEED=SEED, XDG_CACHE_HOME=str(directory / ".cache"), **SECRETS)
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        printed, _ = process.communicate(timeout=120)
    return process.returncode, printed


if __name__ == "__main__":
    for number in (signal.SIGKILL, signal.SIGTERM):
        survive(int(sys.argv[1]), int(sys.argv[2]), number)
        print(f"seed {sys.argv[1]}: converged after {signal.Signals(number).name}", flush=True)
