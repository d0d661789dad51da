"""Pairing of resources that the state does not know with objects on their machines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.api.responses import VmSummary
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Marked
from dbc_iac.plan.observe.state_recovery import RecoveredState, recover_state
from dbc_iac.plan.observe.tracked_objects import find_tracked_objects
from tests.kinds.shown import details, reader
from tests.plan.case import Case

VM = "VirtualMachine/trainer"
MANIFESTS: dict[str, Any] = {"Node/gpu-a": {}, VM: {}}
ONE, OTHER = "/data/data_2.qcow2", "/data/data_3.qcow2"


def recover(
    case: Case, moves: tuple[tuple[str, str], ...] = (), *, on_known_hosts: bool = False, **shown: object
) -> RecoveredState:
    context, answers = case.context, {"vms": {}, "snapshots": (), **shown}
    context = replace(context, inventory=replace(context.inventory, moves=moves))
    tracked = find_tracked_objects(context)
    return asyncio.run(recover_state(context, reader(**answers), tracked, on_known_hosts=on_known_hosts))


def codes(recovered: RecoveredState) -> list[str]:
    return [d.code for d in recovered.problems]


def listed(case: Case, *generations: int, name: str = VM, task_id: str = "") -> dict[str, VmSummary]:
    """VMs of an address with their markers, as a node lists them; `task_id`: in place of the derived one."""
    kind, resource = kind_of("VirtualMachine"), case.applied.resources[name]
    assert isinstance(kind, Marked)
    made = [(task_id or kind.identity(resource, case.applied, n), n) for n in generations]
    return {i: VmSummary(i, "running", f"[{kind.marker(resource, case.applied, n)}]") for i, n in made}  # type: ignore[arg-type]


def test_a_vm_is_recovered_by_its_marker_and_derived_id() -> None:
    case = Case({"manifests": MANIFESTS})
    found = listed(case, 4)
    recovered = recover(case, vms=found)
    assert (recovered.tracked_objects[VM].id, recovered.tracked_objects[VM].generation) == (*found, 4)
    assert codes(recovered) == ["state-empty"]


def test_the_newest_generation_of_a_vm_is_recovered_and_older_ones_are_reported() -> None:
    case = Case({"manifests": MANIFESTS})
    recovered = recover(case, vms=listed(case, 2, 3))
    assert recovered.tracked_objects[VM].generation == 3
    assert codes(recovered) == ["older-generation", "state-empty"]


def test_a_marker_on_a_vm_with_another_id_proves_nothing() -> None:
    case = Case({"manifests": MANIFESTS})
    recovered = recover(case, vms=listed(case, 1, task_id="x" * 22))
    assert recovered.tracked_objects[VM].id != "x" * 22
    assert codes(recovered) == ["may-exist"]


@pytest.mark.parametrize("moved", [True, False])
def test_a_renamed_vm_is_recovered_only_by_its_move(moved: bool) -> None:
    case = Case({"manifests": MANIFESTS, "formerly": {"VirtualMachine/old": {}}})
    found = listed(case, 1, name="VirtualMachine/old")
    recovered = recover(case, (("VirtualMachine/old", VM),) if moved else (), vms=found)
    assert (recovered.tracked_objects[VM].id in found) is moved
    assert codes(recovered) == (["state-empty"] if moved else ["may-exist"])


def disks(*sizes: str) -> Case:
    added: dict[str, Any] = {f"Disk/{name}": {"size": size} for name, size in zip("ab", sizes, strict=False)}
    return Case({"manifests": {**MANIFESTS, **added}, "state": {VM: {}}})


def test_disks_of_different_sizes_are_paired_by_size() -> None:
    shown = details(("vdc", 50, ONE), ("vdd", 60, OTHER))
    recovered = recover(disks("60Gi", "50Gi"), on_known_hosts=True, vm=shown)
    assert {a: t.id for a, t in recovered.tracked_objects.items() if a != VM} == {"Disk/a": OTHER, "Disk/b": ONE}
    assert codes(recovered) == []


def test_disks_of_one_size_are_asked_about() -> None:
    shown = details(("vdc", 50, ONE), ("vdd", 50, OTHER))
    recovered = recover(disks("50Gi", "50Gi"), on_known_hosts=True, vm=shown)
    assert codes(recovered) == ["may-exist", "may-exist"]


def test_a_disk_of_a_vm_that_the_state_knows_is_asked_about() -> None:
    recovered = recover(disks("50Gi"), vm=details(("vdc", 50, ONE)))
    assert recovered.tracked_objects["Disk/a"].id == ""
    assert codes(recovered) == ["may-exist"]


def test_the_data_disk_of_a_vm_is_no_candidate() -> None:
    assert codes(recover(disks("50Gi"), vm=details(("vdb", 50, ONE)))) == []
