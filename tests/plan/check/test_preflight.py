"""Refusals of nodes that are known before anything is sent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.kinds import Observation, kind_of
from dbc_iac.plan.check.preflight import PreflightFacts, check_preflight
from dbc_iac.plan.model import Action, Change, FieldChange, Identity, Placement
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.secret import SecretText
from tests.kinds.shown import reader
from tests.plan.case import Case
from tests.projects import NODE_ID

VM, LAN = "VirtualMachine/trainer", "Network/training"
HERE = Placement(route={"name": "Node/gpu-a", "target": NODE_ID, "identity": "tenant", "clients": []})
ON_VM = replace(HERE, parent=VM, parent_id="bound")
CASE = Case({"manifests": {"Node/gpu-a": {}, VM: {}, LAN: {}, "Disk/a": {}, "Disk/b": {}}})


def check(
    *changes: Change,
    facts: PreflightFacts | None = None,
    observed: dict[str, Observation] | None = None,
    secret: str = "",
) -> list[Diagnostic]:
    context = replace(CASE.context, secret=lambda address, path: SecretText(secret) if secret else None)
    refreshed = RefreshedState({}, observed or {}, reader())
    return [*check_preflight(context, refreshed, {c.address: c for c in changes}, facts or PreflightFacts())]


@pytest.mark.parametrize(("free", "refused"), [(2, []), (1, ["Disk/b"]), (None, [])])
def test_new_disks_need_free_slots(free: int | None, refused: list[str]) -> None:
    new = [Change(f"Disk/{n}", "Disk", Action.CREATE, placement=ON_VM) for n in "ab"]
    assert [d.address for d in check(*new, facts=PreflightFacts(free_slots={("Disk", VM): free}))] == refused


def test_disks_of_a_vm_that_is_replaced_need_no_free_slots() -> None:
    new = Change("Disk/a", "Disk", Action.CREATE, placement=ON_VM)
    vm = Change(VM, "VirtualMachine", Action.REPLACE, identity=Identity("new", "old"), placement=HERE)
    assert check(new, vm, facts=PreflightFacts(free_slots={("Disk", VM): 0})) == []


@pytest.mark.parametrize(("members", "warned"), [(("bound",), True), ((), False), (("other",), True)])
def test_a_lan_with_members_that_stay_cannot_be_deleted(members: tuple[str, ...], warned: bool) -> None:
    gone = Change(LAN, "Network", Action.DELETE, identity=Identity(old_id="training"))
    stays = Change(VM, "VirtualMachine", Action.NO_OP, identity=Identity("bound"))
    found = check(gone, stays, observed={LAN: Observation(True, members=members)})
    assert [d.summary for d in found] == [f"{LAN} cannot be deleted while it has members"] * warned


def test_a_lan_is_deleted_together_with_its_members() -> None:
    gone = Change(LAN, "Network", Action.DELETE, identity=Identity(old_id="training"))
    member = Change(VM, "VirtualMachine", Action.DELETE, identity=Identity(old_id="bound"))
    assert check(gone, member, observed={LAN: Observation(True, members=("bound",))}) == []


@pytest.mark.parametrize(("secret", "codes"), [('a"b', ["unsafe-secret"]), ("good", []), ("", [])])
def test_a_secret_that_cannot_be_sent_is_refused(secret: str, codes: list[str]) -> None:
    sent = Change(VM, "VirtualMachine", Action.UPDATE, placement=HERE, secrets={"login.password": {"env": "PW"}})
    assert [d.code for d in check(sent, secret=secret)] == codes


@pytest.mark.parametrize(("gpus", "codes"), [(1, []), (0, ["node-would-refuse"])])
def test_a_resource_is_checked_by_its_kind_with_its_machine(gpus: int, codes: list[str]) -> None:
    facts = Case({**CASE.written, "machines": {"gpu-a": {"gpus": gpus}}}).facts
    resource = CASE.inventory.resources[VM]
    desired = kind_of("VirtualMachine").desired(resource, CASE.inventory)
    [route] = facts.machines
    fields = (FieldChange("gpus", None, 1, "cold-boot"),)
    new = Change(
        VM, "VirtualMachine", Action.CREATE, fields=fields, placement=Placement(route=route.to_json()), desired=desired
    )
    assert [d.code for d in check(new, facts=facts)] == codes
