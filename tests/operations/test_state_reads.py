"""The state is read once for a plan, and once more when an apply has ended: a remote backend answers slowly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.state.backends.local import LocalBackend
from tests.projects import Emulated, project, vm


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(project(tmp_path, vm()))
    made.run("apply", "--yes")
    yield made
    made.close()


@pytest.fixture
def reads(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the stored document, in order."""
    found: list[str] = []
    read = LocalBackend.read

    def counted(self: LocalBackend) -> object:
        found.append("read")
        return read(self)

    monkeypatch.setattr(LocalBackend, "read", counted)
    return found


@pytest.mark.parametrize("command", [("plan",), ("-e", "", "plan", "--destroy"), ("drift",), ("state", "list")])
def test_a_command_that_only_reads_reads_the_state_once(
    emulated: Emulated, reads: list[str], command: tuple[str, ...]
) -> None:
    assert emulated.run(*command).code == 0
    assert len(reads) == 1


def test_an_apply_reads_it_for_the_plan_for_the_end_and_before_it_is_replaced(
    emulated: Emulated, reads: list[str]
) -> None:
    emulated.project.write(
        {"manifests/all.yaml": (emulated.project.directory / "manifests/all.yaml").read_text().replace("8Gi", "16Gi")}
    )
    assert emulated.run("apply", "--yes").code == 0
    assert len(reads) == 3
