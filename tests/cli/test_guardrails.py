"""Guardrails of plans and applies, and the flags that lift them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import write
from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
PROTECTED = vm("kept", gpus=0, lifecycle={"preventDestroy": True})
WORLD: dict[str, Any] = {"gpuNodes": [{"id": "58fb618aa482c41114eb3cfdaefd3ba183172da9e25251449d045043fbd37f45",
                                       "files": ["mine.qcow2"], "data": [{"path": "/data"}, {"path": "/mnt"}]}]}  # fmt: skip
FILE = vm("filed", gpus=0, dataDisk={"file": "mine.qcow2", "size": "20Gi"}, lifecycle={"preventDestroy": False})


@pytest.fixture
def applied(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str) -> Emulated:
        emulated = Emulated(project(tmp_path, *documents), WORLD)
        made.append(emulated)
        result = emulated.run("apply", "--yes")
        assert result.code == 0, result.err
        return emulated

    yield build
    for emulated in made:
        emulated.close()


LOSSES = {
    "a disk's document is gone": ((vm(), DISK), (vm(),)),
    "a disk in another folder": ((vm(), DISK), (vm(), document("Disk", "scratch", {"vm": "trainer", "size": "50Gi", "hostDir": "/mnt"}))),
    "a disk goes with its VM": ((vm(), DISK), (vm(image="win10.qcow2"), DISK)),
    "a data file of the user's": ((vm(), FILE), (vm(),)),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSES)
def test_user_data_is_deleted_only_with_a_flag(applied: Callable[..., Emulated], case: str) -> None:
    before, after = LOSSES[case]
    emulated = applied(*before)
    write(emulated, *after)
    there = emulated.vms
    refused = emulated.run("apply", "--yes", "--json")
    assert (refused.code, refused.codes[-1]) == (5, "data-loss"), refused.err
    assert "--allow-data-loss" in refused.err
    assert emulated.vms == there
    assert emulated.run("apply", "--yes", "--allow-data-loss").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_reviewed_plan_and_destroy_need_no_flag(applied: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = applied(vm(), DISK)
    write(emulated, vm())
    assert emulated.run("plan", "-o", str(tmp_path / "a.plan")).code == 0
    assert emulated.run("apply", "--yes", "--expect", str(tmp_path / "a.plan")).code == 0
    write(emulated, vm(), DISK)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("destroy", "--yes").code == 0


@pytest.mark.parametrize("documents", [(), (vm("kept", gpus=0, image="win10.qcow2"),)], ids=["gone", "replaced"])
def test_what_is_protected_goes_only_with_a_flag_of_its_own(
    applied: Callable[..., Emulated], documents: tuple[str, ...]
) -> None:
    """Also if its document, which could lift it, is gone."""
    emulated = applied(vm(), PROTECTED)
    write(emulated, vm(), *documents)
    refused = emulated.run("plan", "--json")
    assert (refused.code, refused.codes) == (5, ["protected"])
    assert "--unprotect VirtualMachine/kept" in refused.err
    assert emulated.run("apply", "--yes", "--unprotect", "VirtualMachine/other").code == 3
    assert emulated.run("apply", "--yes", "--unprotect", "VirtualMachine/kept").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("field", ["cpus", "memory", "description"])
def test_replace_on_a_field_makes_a_new_one_where_that_changes(applied: Callable[..., Emulated], field: str) -> None:
    """Also of a field that is set only at creation, of which a difference is a note otherwise."""
    wish = {"replaceOn": ["cpus", "memory", "description"]}
    emulated = applied(vm(lifecycle=wish))
    [before] = emulated.vms
    changed: dict[str, Any] = {field: {"cpus": 8, "memory": "16Gi", "description": "new"}[field]}
    write(emulated, vm(lifecycle=wish, **changed))
    [change] = emulated.run("plan", "--json").json["changes"]
    assert change["action"] == "replace"
    assert emulated.run("apply", "--yes").code == 0
    [after] = emulated.vms
    assert before != after
    assert emulated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(("named", "code"), [("memroy", "unknown-field"), ("VirtualMachine/nope", "unknown-reference")])
def test_replace_of_an_unknown_address_is_refused(tmp_path: Path, named: str, code: str) -> None:
    made = project(tmp_path, vm(lifecycle={"replaceOn": [named]}))
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (3, [code])


def test_implicitly_excluded_resources_are_reported(applied: Callable[..., Emulated]) -> None:
    emulated = applied(vm(), DISK)
    write(emulated, vm(image="win10.qcow2"), DISK)
    result = emulated.run("plan", "--exclude", "Disk/scratch")
    assert (result.code, "Its replacement depends on an excluded resource" in result.err) == (0, True), result.err
