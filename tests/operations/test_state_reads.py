"""The state is read once for a plan and its apply, and once at its end: a remote backend answers slowly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.state import State, Store
from tests.projects import Emulated, project, vm


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(project(tmp_path, vm()))
    made.run("apply", "--yes")
    yield made
    made.close()


@pytest.fixture
def reads(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stacks whose state was read, in order."""
    found: list[str] = []
    read = Store.read

    def counted(self: Store) -> State | None:
        found.append(self.stack)
        return read(self)

    monkeypatch.setattr(Store, "read", counted)
    return found


@pytest.mark.parametrize("command", [("plan",), ("-e", "", "plan", "--destroy"), ("drift",), ("state", "list")])
def test_a_command_that_only_reads_reads_the_state_once(
    emulated: Emulated, reads: list[str], command: tuple[str, ...]
) -> None:
    assert emulated.run(*command).code == 0
    assert reads == ["main"]


def test_an_apply_reads_the_state_at_its_beginning_and_at_its_end(emulated: Emulated, reads: list[str]) -> None:
    manifests = emulated.project.directory / "manifests/all.yaml"
    manifests.write_text(manifests.read_text().replace("8Gi", "16Gi"))
    assert emulated.run("apply", "--yes").code == 0
    assert reads == ["main"] * 2
