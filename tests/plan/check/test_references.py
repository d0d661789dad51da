"""Problems of the manifests alone: references, cycles, identities, and the number of children."""

from __future__ import annotations

from typing import Any

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.plan.check.references import check_fields, check_inventory
from tests.plan.case import Case

NODE: dict[str, Any] = {"Node/gpu-a": {}}
VM = {**NODE, "VirtualMachine/trainer": {}}


def problems(manifests: dict[str, Any], broken: frozenset[str] = frozenset()) -> list[Diagnostic]:
    return [*check_inventory(Case({"manifests": manifests}).inventory, {"tenant": "wallet"}, broken)]


def codes(manifests: dict[str, Any], broken: frozenset[str] = frozenset()) -> list[str]:
    return [d.code for d in problems(manifests, broken)]


def test_manifests_that_refer_to_each_other_have_no_problem() -> None:
    assert problems({**VM, "Disk/scratch": {}, "Network/training": {}}) == []


def test_a_reference_to_nothing_suggests_a_similar_name() -> None:
    [problem] = problems({**VM, "Disk/scratch": {"vm": "trainr"}})
    assert (problem.code, problem.summary) == ("unknown-reference", "there is no VirtualMachine/trainr")
    assert problem.remedy == "Did you mean VirtualMachine/trainer?"


def test_a_reference_to_another_kind_names_the_resource_of_that_name() -> None:
    [problem] = problems({**VM, "Disk/scratch": {"vm": "gpu-a"}})
    assert problem.detail == "Node/gpu-a has that name, but is of another kind."


def test_a_reference_to_a_document_with_problems_is_not_judged() -> None:
    assert codes({"Disk/scratch": {"vm": "broken"}}, frozenset({"VirtualMachine/broken"})) == []


def test_a_cycle_is_one_problem_with_its_members() -> None:
    snapshot = {"Snapshot/base": {}, "Image/base": {"file": None, "snapshot": "base"}}
    [problem] = problems({**NODE, "VirtualMachine/trainer": {"image": "base"}, **snapshot})
    assert (problem.code, problem.summary) == ("reference-cycle", "dependency cycle")
    assert problem.detail.count(" -> ") == 3


def test_a_resource_with_an_unusable_identity_is_a_problem() -> None:
    assert codes({"Node/gpu-a": {"identity": "nobody"}}) == ["unknown-identity"]
    manager = {"BareMetalManager/rack": {"identity": "tenant"}}
    assert codes(manager) == ["wrong-identity"]


def test_the_disk_after_the_last_of_a_vm_is_a_problem() -> None:
    disks: dict[str, Any] = {f"Disk/d{number}": {} for number in range(25)}
    [problem] = problems({**VM, **disks})
    assert (problem.code, problem.address) == ("too-many", "Disk/d24")


def test_a_lifecycle_names_fields_of_its_resource() -> None:
    [problem] = problems({**NODE, "VirtualMachine/trainer": {"lifecycle": {"ignoreChanges": ["gpu"]}}})
    assert (problem.code, problem.remedy) == ("unknown-field", "Did you mean gpus?")


def test_only_fields_that_refer_to_nothing_are_problems_of_a_destruction() -> None:
    inventory = Case(
        {"manifests": {**VM, "Disk/scratch": {"vm": "trainr"}, "Node/b": {"identity": "nobody"}}}
    ).inventory
    assert [d.code for d in check_fields(inventory)] == ["unknown-reference"]
