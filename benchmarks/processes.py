"""Whole processes, side by side in one run: dbc-iac against its emulator on a loopback port, and Terraform's core.

    python -m benchmarks.processes [VMS ...]

Terraform has inert `terraform_data` and asks nobody, where dbc-iac asks an API for everything; `plan --refresh=false`
compares the engines alone. Without a `terraform` on PATH its figures are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import NODES, documents, world
from benchmarks.table import HEAD, Row, machine
from tests.projects import PROJECT, SEED
from tests.projects import Project as Files

DBC_IAC = (sys.executable, "-m", "dbc_iac")
TERRAFORM = shutil.which("terraform")
SIZES = (1, 100, 1000)
COMMANDS = ("plan, all new", "apply, all new", "plan, all unchanged", "plan --refresh=false, unchanged")


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of a process by the clock and of processor time, its children included, and its peak memory in MiB."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} s of a processor, {self.memory:.0f} MiB)"


def used(command: Sequence[str], directory: Path, environ: Mapping[str, str], tries: int = 1) -> Used:
    """The fastest of some runs. Exit code 2 means that there are changes."""
    best: Used | None = None
    for _ in range(tries):
        with tempfile.TemporaryFile() as output:
            began = time.perf_counter()
            running = subprocess.Popen(
                command, cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            _, status, cost = os.wait4(running.pid, 0)
            wall, running.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
            output.seek(0)
            assert running.returncode in {0, 2}, output.read()[-2000:].decode()
        found = Used(wall, cost.ru_utime + cost.ru_stime, cost.ru_maxrss / 1024)
        best = found if best is None or found.wall < best.wall else best
    assert best is not None
    return best


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _emulator(directory: Path, count: int, port: int, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "world.yaml").write_text(json.dumps(world(count)))
    command = [*DBC_IAC, "emulator", "--world", "world.yaml", "--listen", f"127.0.0.1:{port}", "--time-scale", "100"]
    nowhere = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=directory, env=environ, stdout=nowhere, stderr=nowhere)
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield server
    finally:
        server.terminate()
        server.wait()


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(directory: Path, count: int) -> tuple[dict[str, Used], float]:
    """The cost of each command, and the emulator's processor seconds during the plan without changes."""
    port = _port()
    files = Files(directory).write(
        {
            "dbc-iac.yaml": PROJECT.replace(":5050", f":{port}"),
            "manifests/all.yaml": "---\n".join(documents(count)),
        }
    )
    environ = {**os.environ, "SEED": SEED, "XDG_CACHE_HOME": str(directory / ".cache"), "NO_COLOR": "1"}
    found: dict[str, Used] = {}
    with _emulator(files.directory, count, port, environ) as server:
        arguments = (["plan"], ["apply", "--yes"], ["plan", "--detailed-exitcode"], ["plan", "--refresh=false"])
        serving = 0.0
        for name, given in zip(COMMANDS, arguments, strict=True):
            before = _processor_seconds(server.pid)
            found[name] = used([*DBC_IAC, *given], directory, environ, 1 if name == COMMANDS[1] else 2)
            if name == COMMANDS[2]:
                serving = (_processor_seconds(server.pid) - before) / 2
        return found, serving


def terraform(directory: Path, count: int) -> dict[str, Used]:
    """The cost of the same commands of Terraform; empty if it is not installed."""
    if TERRAFORM is None:
        return {}
    keys = ", ".join(f'"vm-{n}"="node-{n % NODES}"' for n in range(count))
    fields = 'node = each.value, image = "ubuntu.qcow2", gpus = 0, cpus = 1, memory = "1Gi", disk = "10Gi"'
    (directory / "main.tf").write_text(
        f'resource "terraform_data" "vm" {{\n  for_each = {{{keys}}}\n'
        f'  input = {{{fields}, ssh = "auto", vnc = "auto"}}\n}}\n'
    )
    environ = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    used([TERRAFORM, "init", "-input=false"], directory, environ)
    arguments = (
        ["plan"],
        ["apply", "-auto-approve"],
        ["plan", "-detailed-exitcode"],
        ["plan", "-refresh=false"],
    )
    return {
        name: used([TERRAFORM, *given, "-input=false"], directory, environ, 1 if name == COMMANDS[1] else 2)
        for name, given in zip(COMMANDS, arguments, strict=True)
    }


def rows(sizes: Sequence[int] = SIZES) -> Iterator[Row]:
    """Seconds of each command at each size, and Terraform's in the same run."""
    with tempfile.TemporaryDirectory() as folder:
        environ = dict(os.environ)
        yield Row("python -c pass", str(used([sys.executable, "-c", "pass"], Path(folder), environ, 5)))
        theirs = "" if TERRAFORM is None else f"Terraform {used([TERRAFORM, 'version'], Path(folder), environ, 5)}"
        yield Row("--version", str(used([*DBC_IAC, "--version"], Path(folder), environ, 5)), theirs)
    for count in sizes:
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            (found, serving), other = ours(Path(first), count), terraform(Path(second), count)
        for name in COMMANDS:
            against = ""
            if name in other:
                ratios = f"{found[name].wall / other[name].wall:.2f} x, {found[name].cpu / other[name].cpu:.2f} x"
                against = f"Terraform {other[name]}: {ratios}"
            yield Row(f"{name}, {count} VMs", str(found[name]), against)
        share = serving / (serving + found[COMMANDS[2]].cpu)
        yield Row(f"emulator within {COMMANDS[2]}, {count} VMs", f"{serving:.2f} s of a processor, {share:.0%}")


if __name__ == "__main__":
    print(machine())
    print(HEAD)
    for row in rows([int(a) for a in sys.argv[1:]] or SIZES):
        print(row, flush=True)
