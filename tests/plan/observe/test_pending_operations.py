"""Decisions on the calls of an interrupted apply: repeated, deposed, compared as uncertain, or closed."""

from __future__ import annotations

from typing import Any

import pytest

from dbc_iac.kinds import Observation, kind_of
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.observe.pending_operations import (
    mark_uncertain,
    matches_spec,
    pending_creation,
    requires_replacement,
    resolvable_operations,
)
from dbc_iac.state.document import Binding, PendingOperation, State
from tests.plan.case import Case

VM, DISK = "VirtualMachine/trainer", "Disk/scratch"
OF_DISK = {"address": DISK, "goal": "disk-exists", "creates": True, "callClass": "blind", "id": ""}
GROW = {"address": DISK, "goal": "disk-has-size", "callClass": "blind"}


def case(*pending: dict[str, Any], **disk: Any) -> Case:
    manifests = {"Node/gpu-a": {}, VM: {}, DISK: disk}
    return Case({"manifests": manifests, "state": {VM: {"manifest": {}, "id": "bound"}}, "pending": [*pending]})


def matches(made: Case, **changed: Any) -> bool:
    [operation] = made.state.pending
    resource, inventory = made.inventory.resources[operation.address], made.inventory
    kind = kind_of(resource.kind)
    sent = operation.model_copy(update=changed)
    return matches_spec(sent, resource, inventory, kind.route(resource, inventory), "bound")


def test_a_creation_of_the_present_manifest_matches_it() -> None:
    assert matches(case(OF_DISK))


@pytest.mark.parametrize(
    ("fields", "detail"),
    [({"size": "60Gi"}, {}), ({}, {"vm": "another"}), ({}, {"route": {"target": "b" * 64}})],
    ids=["another size", "another VM", "another machine"],
)
def test_a_blind_creation_of_anything_else_does_not_match(fields: dict[str, Any], detail: dict[str, Any]) -> None:
    assert not matches(case({**OF_DISK, "fields": fields, "detail": detail}))


def test_a_vm_created_with_another_marker_does_not_match() -> None:
    created = {"address": VM, "goal": "vm-exists", "creates": True}
    assert matches(case(created))
    assert not matches(case({**created, "detail": {"marker": "of another image"}}))


def test_a_change_always_matches() -> None:
    assert matches(case(GROW, size="90Gi"))


def test_a_pending_creation_has_the_fields_and_the_vm_that_were_sent() -> None:
    made = case({**OF_DISK, "fields": {"size": "60Gi"}})
    pending = pending_creation(made.state.pending[0], made.state)
    assert pending is not None
    assert (pending.id, pending.parent, pending.applied["size"]) == ("", VM, "60Gi")
    assert pending_creation(case(GROW).state.pending[0], made.state) is None


def test_only_a_replaced_field_requires_a_replacement() -> None:
    made = case(OF_DISK)
    pending = pending_creation(made.state.pending[0], made.state)
    assert pending is not None
    assert requires_replacement(pending, {**pending.applied, "hostDir": "/data/other"})
    assert not requires_replacement(pending, {**pending.applied, "size": "90Gi"})


def test_fields_that_were_sent_and_that_the_api_never_shows_are_uncertain() -> None:
    binding = Binding(address=VM, kind="VirtualMachine", id="bound", generation=1, uncertain=("ports.ssh",))
    detail = {"sent": ["ports.forward", "firewall", "restartOn"]}
    sent = PendingOperation(
        number=1, address=VM, goal="vm-modified", id="bound", generation=1, call_class="idempotent", detail=detail
    )
    assert mark_uncertain(binding, [sent]).uncertain == ("ports.ssh", "ports.forward")
    assert mark_uncertain(binding, []) is binding


def resolvable(state: State, observed: dict[str, bool], action: Action | None, waiting: frozenset[str]) -> list[int]:
    changes = {} if action is None else {DISK: Change(DISK, "Disk", action)}
    observations = {address: Observation(present) for address, present in observed.items()}
    return [*resolvable_operations(state, changes, changes, observations, waiting)]


@pytest.mark.parametrize(("waiting", "closed"), [(frozenset[str](), [1]), (frozenset({"bound"}), [])])
def test_a_blind_creation_that_is_not_seen_is_closed_once_its_vm_runs(
    waiting: frozenset[str], closed: list[int]
) -> None:
    assert resolvable(case(OF_DISK).state, {DISK: False}, None, waiting) == closed


def test_a_creation_that_is_seen_stays_open() -> None:
    assert resolvable(case(OF_DISK).state, {DISK: True}, None, frozenset()) == []


@pytest.mark.parametrize(
    ("action", "waiting", "closed"),
    [
        (Action.NO_OP, frozenset[str](), [1]),
        (Action.NO_OP, frozenset({"bound"}), []),
        (Action.UPDATE, frozenset[str](), []),
    ],
    ids=["no difference", "no difference, VM is off", "difference"],
)
def test_a_change_is_closed_if_it_leaves_no_difference(
    action: Action, waiting: frozenset[str], closed: list[int]
) -> None:
    assert resolvable(case(GROW).state, {DISK: True}, action, waiting) == closed


def test_a_power_off_is_not_closed_by_the_absence_of_differences() -> None:
    state = case({**GROW, "detail": {"poweredOffByApply": True}}).state
    assert resolvable(state, {DISK: True}, Action.NO_OP, frozenset()) == []
