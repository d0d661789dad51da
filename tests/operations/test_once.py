"""A command reads the state once, and compiles the steps of its plan once: backends answer slowly, plans are large."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from dbc_iac.plan import planner
from dbc_iac.plan.model import Change
from dbc_iac.plan.schedule import steps
from dbc_iac.plan.schedule.step_builder import StepBuilder
from dbc_iac.state.backends.backend import Stored
from dbc_iac.state.backends.local import LocalBackend
from tests.cli.test_signals import SignalAt
from tests.projects import PROJECT, Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
OUTPUTS = "  outputs: {where: \"{{ resource['VirtualMachine/trainer'].id }}\"}\n"
MOVED = "  moved: [{from: VirtualMachine/trainer, to: VirtualMachine/other}]\n"
READ = ["document", "journal"]


class Counted:
    """The reads of a local backend, but for the comparison before a write; and the compilations of steps."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.compiled = 0
        self._read, self._lines, self._write = LocalBackend.read, LocalBackend.lines, LocalBackend.write
        self._compile = steps.compile_steps

    def read(self, backend: LocalBackend) -> Stored | None:
        self.reads.append("document")
        return self._read(backend)

    def lines(self, backend: LocalBackend) -> list[bytes]:
        self.reads.append("journal")
        return self._lines(backend)

    def write(self, backend: LocalBackend, content: bytes, serial: int, expected: str | None) -> str:
        before = [*self.reads]
        try:
            return self._write(backend, content, serial, expected)
        finally:
            assert self.reads == [*before, "document"]
            self.reads.pop()

    def compile(self, changes: Mapping[str, Change]) -> dict[str, StepBuilder]:
        self.compiled += 1
        return self._compile(changes)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Counted]]:
    """Counts from now on."""

    def count() -> Counted:
        made = Counted()
        for name in ("read", "lines", "write"):
            method = getattr(made, name)
            monkeypatch.setattr(LocalBackend, name, lambda *given, _method=method: _method(*given))
        for module in (planner, steps):
            monkeypatch.setattr(module, "compile_steps", made.compile)
        return made

    yield count


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(project(tmp_path / "project", vm()))
    yield made
    made.close()


@pytest.fixture
def applied(new: Emulated) -> Emulated:
    assert new.run("apply", "--yes").code == 0
    return new


def planned(emulated: Emulated, *documents: str) -> str:
    project(emulated.project.directory, *documents, environ=emulated.project.environ)
    file = str(emulated.project.directory.parent / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    return file


@pytest.mark.parametrize("command", [("plan",), ("-e", "", "plan", "--destroy"), ("drift",), ("state", "list")])
def test_a_command_that_only_reads_reads_the_state_once(
    applied: Emulated, counted: Callable[[], Counted], command: tuple[str, ...]
) -> None:
    counts = counted()
    assert applied.run(*command).code == 0
    assert (sorted(counts.reads), counts.compiled) == (READ, int("plan" in command))


def test_a_first_apply_reads_the_state_once_and_compiles_once(new: Emulated, counted: Callable[[], Counted]) -> None:
    counts = counted()
    assert new.run("apply", "--yes").code == 0
    assert (sorted(counts.reads), counts.compiled) == (READ, 1)
    assert new.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("more", ["", OUTPUTS, MOVED], ids=["change", "outputs", "moved"])
def test_an_apply_reads_the_state_once_and_compiles_once(
    applied: Emulated, counted: Callable[[], Counted], more: str
) -> None:
    machine = vm("other" if more == MOVED else "trainer", memory="16Gi")
    project(applied.project.directory, machine, environ=applied.project.environ)
    applied.project.write({"dbc-iac.yaml": PROJECT + more})
    counts = counted()
    result = applied.run("apply", "--yes")
    assert (result.code, "where" in result.out) == (0, more == OUTPUTS), result.err
    assert (sorted(counts.reads), counts.compiled) == (READ, 1)
    assert applied.run("plan", "--detailed-exitcode").code == 0


def test_a_destroy_reads_the_state_once_and_compiles_once(applied: Emulated, counted: Callable[[], Counted]) -> None:
    counts = counted()
    assert applied.run("destroy", "--yes").code == 0
    assert (sorted(counts.reads), counts.compiled, applied.left) == (READ, 1, 0)


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
@pytest.mark.parametrize("moment", ["", "adding 50 GiB"], ids=["whole", "rest"])
def test_an_apply_of_a_plan_file_reads_the_state_once_and_compiles_once(
    applied: Emulated, counted: Callable[[], Counted], how: tuple[str, ...], moment: str
) -> None:
    file = planned(applied, vm(), DISK)
    if moment:
        assert applied.run("apply", "--yes", *how, file, err=SignalAt(moment, 2, at_once=2)).code == 8
        applied.settle(60)
    counts = counted()
    result = applied.run("apply", "--yes", *how, file)
    assert result.code == 0, result.err
    assert (sorted(counts.reads), counts.compiled) == (READ, 1)


def test_an_apply_after_an_interrupted_one_reads_the_state_once(
    applied: Emulated, counted: Callable[[], Counted]
) -> None:
    project(applied.project.directory, vm(), DISK, environ=applied.project.environ)
    assert applied.run("apply", "--yes", err=SignalAt("adding 50 GiB", 2, at_once=2)).code == 8
    applied.settle(60)
    counts = counted()
    assert applied.run("apply", "--yes").code == 0
    assert (sorted(counts.reads), counts.compiled) == (READ, 1)
    assert applied.run("plan", "--detailed-exitcode").code == 0
