"""Import of one object: its binding, and the reasons to refuse it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.importing.bind import OtherStacks, adopt
from dbc_iac.plan.decide.ownership import object_of
from dbc_iac.state.document import Binding
from tests.kinds.shown import FILE as DATA
from tests.kinds.shown import LAN, SILENT, VM, details, reader
from tests.plan.case import Case
from tests.projects import NODE_ID

TRAINER, DISK, FILE = "VirtualMachine/trainer", "Disk/scratch", "/data/scratch.qcow2"
MANIFESTS: dict[str, Any] = {"Node/gpu-a": {}, TRAINER: {}, DISK: {}, "Network/training": {}}
BOUND: dict[str, Any] = {TRAINER: {"id": VM}}


def imported(
    address: str, identity: str, others: OtherStacks | None = None, state: dict[str, Any] | None = None, **shown: object
) -> Binding:
    case = Case({"manifests": MANIFESTS, "state": state or {}})
    context = replace(case.context, wallets=lambda identity: frozenset({"wallet"}))
    answers = {"vm_status": "running", "vm": details(("vdb", 20, DATA), ("vdc", 60, FILE)), **shown}
    return asyncio.run(adopt(context, address, identity, reader(**answers), others or OtherStacks()))


def refusal(*args: Any, **given: Any) -> str:
    with pytest.raises(DiagnosticError) as refused:
        imported(*args, **given)
    [problem] = refused.value.diagnostics
    assert problem.code == "cannot-import"
    return problem.summary


def test_a_binding_has_the_fields_that_the_api_shows_and_the_hidden_ones_of_the_manifest() -> None:
    binding = imported(DISK, FILE, state=BOUND)
    assert (binding.id, binding.parent, binding.applied["size"]) == (FILE, TRAINER, "60Gi")
    vm = imported(TRAINER, VM)
    assert (vm.applied["cpus"], vm.applied["image"]) == (8, "ubuntu.qcow2")


def test_a_binding_has_the_generation_of_the_marker_if_it_is_newer() -> None:
    ours = replace(details(("vdb", 20, DATA)), desc="[dbc-iac:lab/default/trainer/7/0]")
    assert imported(TRAINER, VM, vm=ours).generation == 7
    assert imported(TRAINER, VM).generation == 1


@pytest.mark.parametrize(
    ("address", "identity", "shown", "summary"),
    [
        ("Disk/other", FILE, {}, "Disk/other is not in the manifests"),
        ("Node/gpu-a", "x", {}, "a Node is read-only"),
        (TRAINER, VM, {}, f"{TRAINER} is already in the state (id {VM})"),
        (DISK, "/data/none.qcow2", {}, "Node/gpu-a has no Disk /data/none.qcow2"),
        (DISK, FILE, {"vm_status": SILENT}, f"{FILE} cannot be read: no answer"),
        (DISK, DATA, {}, f"{DATA} is the data disk of a VM"),
        ("Network/training", "training", {"network": replace(LAN, rent_wallet="w2")}, "training belongs to wallet w2"),
    ],
)
def test_an_object_that_cannot_be_bound_is_refused(
    address: str, identity: str, shown: dict[str, object], summary: str
) -> None:
    assert refusal(address, identity, state=BOUND, **shown) == summary


def test_a_child_is_refused_before_its_vm_is_bound() -> None:
    assert refusal(DISK, FILE) == f"{TRAINER} is not in the state"


def test_an_object_that_another_address_has_is_refused() -> None:
    two = {**BOUND, DISK: {"id": FILE}}
    manifests = {**MANIFESTS, "Disk/other": {}}
    context = Case({"manifests": manifests, "state": two}).context
    shown = reader(vm_status="running", vm=details(("vdc", 50, FILE)))
    with pytest.raises(DiagnosticError, match="already managed as Disk/scratch"):
        asyncio.run(adopt(context, "Disk/other", FILE, shown, OtherStacks()))


def test_an_object_that_another_stack_has_is_refused() -> None:
    held = {object_of("VirtualMachine", VM, NODE_ID, ""): "prod"}
    assert refusal(TRAINER, VM, OtherStacks(held)) == f"{VM} is already managed by stack prod"


def test_a_foreign_marker_is_refused_unless_it_is_taken_over() -> None:
    foreign = replace(details(("vdb", 20, DATA)), desc="[dbc-iac:lab/prod/trainer/1/0]")
    assert refusal(TRAINER, VM, vm=foreign) == f"{VM} belongs to another stack"
    others = OtherStacks(taken_over=True)
    assert imported(TRAINER, VM, others, vm=foreign).id == VM
    assert [d.code for d in others.warnings] == ["taken-over"]


def test_a_manifest_without_the_users_own_file_is_refused() -> None:
    own = replace(details(("vdb", 20, "/data/mine.qcow2")))
    assert refusal(TRAINER, VM, vm=own) == f"dataDisk.file of {VM} is mine.qcow2"
