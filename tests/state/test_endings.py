"""The process ends, or the disk is full, at any step on any file: nothing that was promised is lost, and it goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.state import Binding, LocalStore, PendingOperation, State
from dbc_iac.state.files import Files
from tests.state.records import applied, bind, intent

VM = Binding(address="VirtualMachine/a", kind="VirtualMachine", id="id1", generation=1)
CREATE = PendingOperation(
    number=1, address=VM.address, goal="vm", id="id1", generation=1, call_class="keyed", creates=True
)
GROW = PendingOperation(number=2, address="Disk/d", goal="size", id="/d", generation=1, call_class="blind")


class ProcessEndedError(Exception):
    """The end of the process."""


class Ending(Files):
    """Files that work up to the n-th step, at which `what` happens, halfway through where that is possible."""

    def __init__(self, step: int, what: Callable[[], Exception]) -> None:
        self.step = step
        self.what = what
        self.steps = 0

    def _fails(self) -> bool:
        self.steps += 1
        return self.steps >= self.step

    def write(self, descriptor: int, content: bytes) -> None:
        if self._fails():
            super().write(descriptor, content[: len(content) // 2])
            raise self.what()
        super().write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        if self._fails():
            raise self.what()
        super().sync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        if self._fails():
            raise self.what()
        super().truncate(descriptor, length)

    def rename(self, source: Path, target: Path) -> None:
        if self._fails():
            raise self.what()
        super().rename(source, target)


def ended() -> Exception:
    return ProcessEndedError()


def full() -> Exception:
    return OSError(errno.ENOSPC, "No space left on device")


def opened(store: LocalStore) -> State:
    return store.open(project="lab", uid="0" * 32, lineage="l")


STEPS: tuple[Callable[[LocalStore], object], ...] = (
    opened,
    lambda s: s.journal.begin(serial=opened(s).serial, plan="", owner={}),
    lambda s: s.journal.append([intent(CREATE)]),
    lambda s: s.journal.append([{"type": "result", "number": 1, "outcome": "done", "message": ""}]),
    lambda s: s.journal.append([bind(VM)]),
    lambda s: s.journal.append([intent(GROW)]),
    lambda s: s.commit(opened(s)),
    lambda s: s.journal.begin(serial=opened(s).serial, plan="", owner={}),
    lambda s: s.journal.append([applied(VM.address, {"gpus": 2}, "firewall")]),
    lambda s: s.journal.append([{"type": "met", "address": "Disk/d", "goal": "size"}]),
    lambda s: s.commit(opened(s)),
)
"""Two applies, of which the first one leaves something pending."""


def meaning(state: State) -> State:
    """Content of a state, from the document and the journal."""
    return state.model_copy(update={"serial": 0})


def told(directory: Path) -> list[State]:
    """Content of the state before the first step, and after each."""
    store = LocalStore(directory, "main")
    said = [State(lineage="l", project="lab", uid="0" * 32, stack="main")]
    for step in STEPS:
        step(store)
        said.append(meaning(opened(store)))
    return said


def run_until(store: LocalStore) -> int:
    """Take the steps; how many were completed."""
    for done, step in enumerate(STEPS):
        try:
            step(store)
        except ProcessEndedError:
            return done
        except DiagnosticError as error:
            assert error.exit_code is ExitCode.PARTIAL
            return done
    return len(STEPS)


def file_steps(directory: Path) -> int:
    files = Ending(10_000, ended)
    assert run_until(LocalStore(directory, "main", files)) == len(STEPS)
    return files.steps


@pytest.mark.parametrize("what", [ended, full])
def test_a_step_is_taken_or_not_and_the_rest_can_follow(tmp_path: Path, what: Callable[[], Exception]) -> None:
    said = told(tmp_path / "whole")
    total = file_steps(tmp_path / "counted")
    assert total > 30
    for step in range(1, total + 1):
        directory = tmp_path / str(step)
        done = run_until(LocalStore(directory, "main", Ending(step, what)))
        again = LocalStore(directory, "main")
        assert meaning(opened(again)) in said[done : done + 2], f"step {step}, after {done}"
        again.journal.begin(serial=opened(again).serial, plan="", owner={})
        for rest in STEPS[done:]:
            rest(again)
        assert meaning(opened(again)) == said[-1], f"step {step}, after {done}"


def test_a_write_that_takes_a_part_only_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux says how much it took, and no error, when the disk has room for a part."""
    import os

    whole = os.write
    said = told(tmp_path / "whole")
    monkeypatch.setattr("dbc_iac.state.files.os.write", lambda d, b: whole(d, bytes(b[:7])))
    assert told(tmp_path / "parts") == said
