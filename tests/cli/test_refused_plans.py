"""A refusal does not hide the rest of a plan: all changes are shown, the refused ones marked, and nothing is applied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import Emulated, document, vm

World = Callable[..., Emulated]


def disk(name: str, size: str) -> str:
    return document("Disk", name, {"vm": "one", "size": size})


@pytest.fixture
def refused(world: World) -> Emulated:
    """A disk that would shrink, beside a new VM and a change in memory."""
    emulated = world(vm("one"), disk("scratch", "80Gi"))
    assert emulated.run("apply", "--yes").code == 0
    changed = world(vm("one"), vm("two"), disk("scratch", "40Gi"), directory="changed")
    emulated.project.directory.joinpath("manifests/all.yaml").write_text(
        changed.project.directory.joinpath("manifests/all.yaml").read_text()
    )
    return emulated


def test_a_plan_with_a_refused_change_shows_all_changes(refused: Emulated) -> None:
    result = refused.run("plan")
    assert result.code == 5
    assert "cannot shrink Disk/scratch" in result.err
    assert "\nRefused:\n  ! cannot shrink Disk/scratch from 80Gi to 40Gi (cannot-shrink)\n" in result.out
    assert "+ VirtualMachine/two  create" in result.out
    steps = result.out.partition("Steps:")[2]
    assert "VirtualMachine/two: creating" in steps
    assert "Disk/scratch" not in steps


@pytest.mark.parametrize("by_file", [False, True])
def test_a_plan_with_a_refused_change_is_not_applied(refused: Emulated, by_file: bool, tmp_path: Path) -> None:
    made = dict(refused.vms)
    if by_file:
        assert refused.run("plan", "-o", str(tmp_path / "the.plan")).code == 5
        result = refused.run("apply", str(tmp_path / "the.plan"))
    else:
        result = refused.run("apply", "--yes")
    assert (result.code, refused.vms) == (5, made)
    assert "cannot shrink Disk/scratch" in result.err
    assert result.err.endswith("Nothing was changed: the plan was refused.\n") is not by_file


def test_what_depends_on_a_refused_change_has_no_step(world: World) -> None:
    emulated = world(vm("one", gpus=50), disk("scratch", "80Gi"), vm("two", gpus=0))
    result = emulated.run("plan")
    assert result.code == 5
    assert "+ VirtualMachine/one  create: refused (" in result.out
    steps = result.out.partition("Steps:")[2]
    assert "VirtualMachine/two" in steps
    assert "scratch" not in steps


def test_too_many_removals_are_listed(world: World) -> None:
    emulated = world(*(vm(f"v{n}", gpus=0) for n in range(6)))
    assert emulated.run("apply", "--yes").code == 0
    few = world(vm("v0", gpus=0), directory="few")
    emulated.project.directory.joinpath("manifests/all.yaml").write_text(
        few.project.directory.joinpath("manifests/all.yaml").read_text()
    )
    result = emulated.run("plan")
    assert result.code == 5
    assert "They are VirtualMachine/v1, VirtualMachine/v2, VirtualMachine/v3" in result.err
    assert "- VirtualMachine/v5" in result.out or "5 x VirtualMachine" in result.out
