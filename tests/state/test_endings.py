"""The process ends, or the disk is full, at any step on any file: nothing that was promised is lost, and it goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.files.writing import write_all
from dbc_iac.state import Binding, PendingOperation, State, Store
from dbc_iac.state.backends import local
from tests.state.places import local_store, stored_state
from tests.state.records import applied, bind, intent

VM = Binding(address="VirtualMachine/a", kind="VirtualMachine", id="id1", generation=1)
CREATE = PendingOperation(
    number=1, address=VM.address, goal="vm", id="id1", generation=1, call_class="keyed", creates=True
)
GROW = PendingOperation(number=2, address="Disk/d", goal="size", id="/d", generation=1, call_class="blind")


class ProcessEndedError(Exception):
    """The end of the process."""


class Ending:
    """Operations on files that work up to the n-th, at which `what` happens, halfway through where that is possible."""

    def __init__(self, step: int, what: Callable[[], Exception]) -> None:
        self.step = step
        self.what = what
        self.steps = 0

    def _counted(self, really: Callable[..., object]) -> Callable[..., object]:
        def step(*given: Any) -> object:
            self.steps += 1
            if self.steps < self.step:
                return really(*given)
            if really is write_all:
                write_all(given[0], given[1][: len(given[1]) // 2])
            raise self.what()

        return step

    def run(self, directory: Path) -> int:
        """Take the steps; how many were completed."""
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in ((local, "write_all"), (os, "fsync"), (os, "ftruncate"), (Path, "replace")):
                patch.setattr(owner, name, self._counted(getattr(owner, name)))
            return run_until(local_store(directory))


def ended() -> Exception:
    return ProcessEndedError()


def full() -> Exception:
    return OSError(errno.ENOSPC, "No space left on device")


STEPS: tuple[Callable[[Store], object], ...] = (
    stored_state,
    lambda s: s.journal.begin(serial=stored_state(s).serial, plan="", owner={}),
    lambda s: s.journal.append([intent(CREATE)]),
    lambda s: s.journal.append([{"type": "result", "number": 1, "outcome": "done", "message": ""}]),
    lambda s: s.journal.append([bind(VM)]),
    lambda s: s.journal.append([intent(GROW)]),
    lambda s: s.commit(stored_state(s)),
    lambda s: s.journal.begin(serial=stored_state(s).serial, plan="", owner={}),
    lambda s: s.journal.append([applied(VM.address, {"gpus": 2}, "firewall")]),
    lambda s: s.journal.append([{"type": "met", "address": "Disk/d", "goal": "size"}]),
    lambda s: s.commit(stored_state(s)),
)
"""Two applies, of which the first one leaves something pending."""


def meaning(state: State) -> State:
    """Content of a state, from the document and the journal."""
    return state.model_copy(update={"serial": 0})


def told(directory: Path) -> list[State]:
    """Content of the state before the first step, and after each."""
    store = local_store(directory)
    said = [State(lineage="l", project="lab", uid="0" * 32, stack="main")]
    for step in STEPS:
        step(store)
        said.append(meaning(stored_state(store)))
    return said


def run_until(store: Store) -> int:
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
    assert files.run(directory) == len(STEPS)
    return files.steps


@pytest.mark.parametrize("what", [ended, full])
def test_a_step_is_taken_or_not_and_the_rest_can_follow(tmp_path: Path, what: Callable[[], Exception]) -> None:
    said = told(tmp_path / "whole")
    total = file_steps(tmp_path / "counted")
    assert total > 30
    for step in range(1, total + 1):
        directory = tmp_path / str(step)
        done = Ending(step, what).run(directory)
        again = local_store(directory)
        assert meaning(stored_state(again)) in said[done : done + 2], f"step {step}, after {done}"
        again.journal.begin(serial=stored_state(again).serial, plan="", owner={})
        for rest in STEPS[done:]:
            rest(again)
        assert meaning(stored_state(again)) == said[-1], f"step {step}, after {done}"


def test_a_write_that_takes_a_part_only_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux says how much it took, and no error, when the disk has room for a part."""
    whole = os.write
    said = told(tmp_path / "whole")
    monkeypatch.setattr("dbc_iac.files.writing.os.write", lambda d, b: whole(d, bytes(b[:7])))
    assert told(tmp_path / "parts") == said
