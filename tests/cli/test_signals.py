"""Ctrl-C, SIGTERM and SIGHUP: in the middle of an apply, sent when a line is printed; and, sent to real
processes, while they start, and while they look at a node that does not answer."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.__main__ import INTERRUPTED
from dbc_iac.diagnostics import ExitCode
from tests.examples import examples
from tests.projects import PROJECT, SEED, Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
EVERY = examples(suite=len(SIGNALS), proof=1)


def with_signals(*places: str) -> list[tuple[str, int]]:
    """Each place with one signal, the next one with another; in `make prove` with each."""
    return [(place, number) for n, place in enumerate(places) for number in SIGNALS[n % EVERY :: EVERY]]


class SignalAt(io.StringIO):
    """Sends a signal to this process whenever a text is written, so many times."""

    def __init__(self, text: str, number: int, times: int = 1, at_once: int = 1) -> None:
        super().__init__()
        self.text, self.number, self.times, self.at_once = text, number, times, at_once

    def write(self, text: str) -> int:
        if self.text in text and self.times:
            self.times -= 1
            for _ in range(self.at_once):
                os.kill(os.getpid(), self.number)
        return super().write(text)


@pytest.mark.parametrize(
    ("moment", "number"), with_signals("creating…", "window opened", "adding 50 GiB", "powering off… (")
)
def test_the_first_signal_finishes_what_is_in_flight_and_closes_windows(
    tmp_path: Path, moment: str, number: int
) -> None:
    emulated = Emulated(project(tmp_path, vm(), DISK))
    result = emulated.run("apply", "--yes", err=SignalAt(moment, number))
    assert result.code == 8, result.out + result.err
    assert "Interrupted: finishing calls in flight." in result.err
    emulated.settle(60)
    machines: list[dict[str, Any]] = list(emulated.vms.values())
    assert all(m["domain"] == "running" for m in machines)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    emulated.close()


def test_a_started_call_is_not_reported_as_not_started(tmp_path: Path) -> None:
    """A VM that is paid for runs, and only its password is left to be set."""
    emulated = Emulated(project(tmp_path, vm(login={"password": {"env": "PW"}}), environ={"PW": "made-up"}))
    result = emulated.run("apply", "--yes", err=SignalAt("configured", signal.SIGINT))
    assert result.code == 8, result.err
    assert "0 created, 0 updated, 0 deleted, 1 not finished." in result.out
    assert "next: setting the password of account dbc" in result.out
    emulated.close()


def test_the_second_signal_leaves_at_once_and_the_next_run_goes_on(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm(), DISK))
    result = emulated.run("apply", "--yes", err=SignalAt("creating…", signal.SIGINT, times=2, at_once=2))
    assert result.code == 8
    emulated.settle(600)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    emulated.close()


@pytest.mark.parametrize("moment", ["powered off", "shutting down"])
@pytest.mark.parametrize("power", ["on", "unmanaged"])
@pytest.mark.parametrize(
    "changed", [vm(memory="16Gi"), vm(multicast=["230.0.0.1:5558"])], ids=["window", "replacement"]
)
def test_a_vm_powered_off_by_the_apply_is_reported_and_started_again(
    tmp_path: Path, power: str, changed: str, moment: str
) -> None:
    emulated = Emulated(project(tmp_path, vm(power=power)))
    assert emulated.run("apply", "--yes").code == 0
    given = json.loads(changed)
    given["spec"]["power"] = power
    project(tmp_path, json.dumps(given), environ=emulated.project.environ)
    left = emulated.run("apply", "--yes", err=SignalAt(moment, signal.SIGINT, at_once=2))
    assert left.code == 8
    assert "VirtualMachine/trainer: powered off by this apply" in left.err
    emulated.settle(60)
    plan = emulated.run("plan")
    assert "Recovery: VirtualMachine/trainer: powered off by an interrupted apply" in plan.out
    project(tmp_path, vm(power=power), environ=emulated.project.environ)  # and the change itself is taken back
    assert emulated.run("apply", "--yes").code == 0
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    emulated.close()


def test_a_terminal_that_is_closed_says_so_twice_and_is_no_second_signal(tmp_path: Path) -> None:
    """The kernel tells the process group, and the shell tells its jobs. A session's end adds SIGTERM before it."""
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm(memory="16Gi"), environ=emulated.project.environ)
    result = emulated.run("apply", "--yes", err=SignalAt("shutting down", signal.SIGHUP, times=3, at_once=2))
    assert result.code == 8
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"
    emulated.close()


def test_who_is_to_outlive_its_terminal_goes_on(tmp_path: Path) -> None:
    """As `nohup` starts it."""
    emulated = Emulated(project(tmp_path, vm()))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = emulated.run("apply", "--yes", err=SignalAt("creating…", signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (result.code, "Interrupted" in result.err) == (0, False)
    emulated.close()


def test_what_signals_did_before_an_apply_they_do_after_it(tmp_path: Path) -> None:
    def handle(number: int, frame: object) -> None: ...

    emulated = Emulated(project(tmp_path, vm()))
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        assert emulated.run("apply", "--yes").code == 0
        assert [signal.getsignal(number) for number in SIGNALS] == [handle] * 3
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    emulated.close()


MAIN = "from dbc_iac.__main__ import main; main()"
AT_IMPORT = """
import os, sys
module, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
class Finder:
    def find_spec(self, name, path, target=None):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
"""


def process(directory: Path, *arguments: str, code: str = MAIN, err: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    environ = {**os.environ, "SEED": SEED, "XDG_CACHE_HOME": str(directory / "cache")}
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(line, env=environ, stdout=subprocess.PIPE, stderr=err, text=True)


@contextmanager
def silent_node(directory: Path) -> Iterator[socket.socket]:
    """A project whose client node takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as node:
        node.settimeout(60)  # a command that ends before it connects fails the test
        made = project(directory, vm())
        made.write({"dbc-iac.yaml": PROJECT.replace("5050", str(node.getsockname()[1]))})
        yield node


@pytest.mark.parametrize(("command", "number"), with_signals("plan", "apply --yes", "orphans", "vm list"))
def test_a_command_that_looks_ends_with_one_line(tmp_path: Path, command: str, number: int) -> None:
    with silent_node(tmp_path) as node:
        child = process(tmp_path, "-C", str(tmp_path), *command.split())
        connection, _ = node.accept()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        connection.close()
    assert (child.returncode, out, err.strip()) == (8, "", "interrupted")


@pytest.mark.parametrize(
    ("module", "number"), with_signals("dbc_iac.cli", "click", "dbc_iac.cli.commands", "pydantic", "httptools")
)
def test_a_command_that_starts_ends_with_one_line(tmp_path: Path, module: str, number: int) -> None:
    """Sent at the import of a module: of those that every command needs, and of those of this one."""
    project(tmp_path, vm())
    child = process(tmp_path, module, str(int(number)), "-C", str(tmp_path), "plan", code=AT_IMPORT + MAIN)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err.strip()) == (8, "", "interrupted")


@pytest.mark.parametrize(("module", "number"), with_signals("dbc_iac.cli.failures"))
def test_a_command_that_reports_a_problem_ends_with_one_line(tmp_path: Path, module: str, number: int) -> None:
    child = process(tmp_path, module, str(int(number)), "-C", str(tmp_path), "plan", code=AT_IMPORT + MAIN)
    assert (*child.communicate(timeout=60), child.returncode) == ("", "interrupted\n", 8)


def test_the_exit_code_of_the_start_is_that_of_the_rest() -> None:
    assert ExitCode.INTERRUPTED == INTERRUPTED


def test_a_terminal_that_is_gone_changes_no_exit_code(tmp_path: Path) -> None:
    """As SIGHUP tells it: nothing can be written there any more."""
    with silent_node(tmp_path) as node, Path("/dev/full").open("w") as full:
        child = process(tmp_path, "-C", str(tmp_path), "plan", err=full)
        connection, _ = node.accept()
        child.send_signal(signal.SIGHUP)
        assert (child.wait(60), child.communicate()[0]) == (8, "")
        connection.close()


@pytest.mark.parametrize("moment", ["shutting down", "powered off", "creating…"])
@pytest.mark.parametrize("saved", [False, True], ids=["option", "plan file"])
def test_an_interrupted_replacement_on_request_says_what_continues_it(tmp_path: Path, moment: str, saved: bool) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("apply", "--yes").code == 0
    [before] = emulated.vms
    options = ["--replace", "VirtualMachine/trainer", "--allow-data-loss"]
    if saved:
        assert emulated.run("plan", *options[:2], "-o", str(tmp_path / "a.plan")).code == 0
        options = [str(tmp_path / "a.plan"), "--allow-data-loss"]
    result = emulated.run("apply", "--yes", *options, err=SignalAt(moment, signal.SIGTERM))
    assert result.code == 8, result.err
    assert "Not finished:\n  VirtualMachine/trainer: " in result.out
    assert "warning[not-replaced]: VirtualMachine/trainer is not replaced" in result.err
    assert "help: Use --replace VirtualMachine/trainer again, or apply the same plan file again." in result.err
    emulated.settle(60)
    assert emulated.run("apply", "--yes", *options).code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [after] = emulated.vms
    assert after != before
    emulated.close()


def test_an_interrupted_replacement_by_a_field_is_continued_by_the_next_apply(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm(multicast=["230.0.0.1:5558"]), environ=emulated.project.environ)
    options = ("apply", "--yes", "--replace", "VirtualMachine/trainer", "--allow-data-loss")
    result = emulated.run(*options, err=SignalAt("shutting down", signal.SIGTERM))
    assert "Not finished (the next apply continues):" in result.out
    assert "not-replaced" not in result.err
    emulated.close()


def test_an_interrupted_destroy_names_destroy(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("apply", "--yes").code == 0
    result = emulated.run("destroy", "--yes", err=SignalAt("deleting…", signal.SIGTERM))
    assert "Not finished (the next destroy continues):" in result.out
    emulated.close()
