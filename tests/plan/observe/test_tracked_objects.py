"""Tracked objects: of manifests, of the state alone, and of pending creations."""

from __future__ import annotations

from typing import Any

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects
from tests.plan.case import Case

VM = "VirtualMachine/trainer"
NODE: dict[str, Any] = {"Node/gpu-a": {}}
CREATION = {"address": VM, "goal": "vm-exists", "creates": True}


def tracked(**written: Any) -> dict[str, TrackedObject]:
    return find_tracked_objects(Case(written).context)


def task_id(generation: int) -> str:
    case = Case({"manifests": {**NODE, VM: {}}})
    return kind_of("VirtualMachine").identity(case.inventory.resources[VM], case.inventory, generation)


def test_a_new_resource_has_the_id_of_its_first_generation() -> None:
    found = tracked(manifests={**NODE, VM: {}})
    assert found.keys() == {VM}  # a Node is only read
    assert (found[VM].unbound, found[VM].generation, found[VM].id) == (True, 1, task_id(1))


def test_a_bound_resource_has_the_id_of_its_binding() -> None:
    found = tracked(manifests={**NODE, VM: {}}, state={VM: {"id": "other", "generation": 3}})
    assert (found[VM].unbound, found[VM].generation, found[VM].id) == (False, 3, "other")


def test_a_binding_without_a_manifest_is_tracked() -> None:
    one = tracked(manifests=NODE, formerly={VM: {}}, state={VM: {}})[VM]
    assert (one.resource, one.id, one.place.name) == (None, task_id(1), "Node/gpu-a")


def test_a_vm_that_moves_to_another_node_is_looked_for_where_it_is() -> None:
    nodes = {**NODE, "Node/gpu-b": {}}
    one = tracked(manifests={**nodes, VM: {"node": "gpu-b"}}, state={VM: {"manifest": {}}})[VM]
    assert (one.place.name, one.route.name) == ("Node/gpu-a", "Node/gpu-b")


def test_a_pending_creation_is_tracked_under_its_own_id() -> None:
    one = tracked(manifests={**NODE, VM: {}}, pending=[{**CREATION, "generation": 2}])[VM]
    assert (one.generation, one.id, one.unbound) == (2, task_id(2), False)
    assert one.pending is not None
    assert one.pending.id == task_id(2)


def test_a_pending_creation_without_a_manifest_is_deposed() -> None:
    found = tracked(manifests=NODE, formerly={VM: {}}, pending=[CREATION])
    assert found.keys() == {f"{VM}~1"}
    assert (found[f"{VM}~1"].resource, found[f"{VM}~1"].id) == (None, task_id(1))


def test_a_pending_creation_of_another_image_is_deposed_beside_the_new_vm() -> None:
    found = tracked(manifests={**NODE, VM: {"image": "b.qcow2"}}, pending=[{**CREATION, "detail": {"marker": "old"}}])
    assert found.keys() == {VM, f"{VM}~1"}
    assert (found[VM].generation, found[VM].id) == (2, task_id(2))


def test_a_child_has_the_id_of_its_vm() -> None:
    found = tracked(manifests={**NODE, VM: {}, "Disk/scratch": {}}, state={VM: {"id": "bound"}})
    assert isinstance(found["Disk/scratch"].place, Route)
    assert found["Disk/scratch"].parent_id == "bound"
