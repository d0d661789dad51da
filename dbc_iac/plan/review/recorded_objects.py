"""The objects that a plan file names, compared with those that the state has for its addresses. Pure.

A change shows its address, and its calls go to an id on a machine: those of that address in the state, or of a
creation whose outcome is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.plan.decide.ownership import Object, object_of, objects
from dbc_iac.plan.model import Action, Change, Plan, equal
from dbc_iac.plan.observe.pending_operations import deposed_address, pending_creation
from dbc_iac.state.document import Binding, State

_NEW = frozenset({Action.CREATE, Action.REPLACE, Action.ADOPT})
_GOING = frozenset({Action.DELETE, Action.REPLACE, Action.FORGET})
_USES_FIELDS = frozenset({Action.UPDATE, Action.REPLACE, Action.DELETE})


class _Recorded(Struct, frozen=True):
    """A state, with the changes of a plan for it.

    `created`: objects of pending creations, by address, each with the id of its VM; `owners`: address of each object.
    """

    state: State
    changes: Mapping[str, Change]
    created: Mapping[str, list[tuple[Binding, str]]]
    owners: Mapping[Object, str]

    def ids(self, address: str) -> set[str]:
        """Ids of a VM: that of its object, and of one that the plan creates or adopts."""
        binding, change = self.state.bindings.get(address), self.changes.get(address)
        known = {binding.id} if binding is not None else set()
        return known | ({change.identity.id} if change is not None and change.action in _NEW else set())


def other_objects(plan: Plan, state: State) -> Iterator[tuple[Change, str]]:
    """Changes that would reach another object than their address has in the state, each with a sentence."""
    created: defaultdict[str, list[tuple[Binding, str]]] = defaultdict(list)
    for operation in state.pending:
        if (made := pending_creation(operation, state)) is not None:
            for address in (operation.address, deposed_address(operation)):
                created[address].append((made, operation.vm))
    recorded = _Recorded(state, {c.address: c for c in plan.changes}, created, objects(state))
    for change in plan.changes:
        if found := _existing(change, recorded) or _new(change, recorded):
            yield change, found


def _existing(change: Change, recorded: _Recorded) -> str:
    """Difference of the existing object of a change from the recorded one; empty if they agree, or it has none."""
    binding = recorded.state.bindings.get(change.address)
    exists = change.pending and change.action not in {Action.CREATE, Action.ADOPT}
    if binding is None and not exists and not change.identity.old_id:
        return ""
    known = [(binding, "")] if binding is not None else recorded.created.get(change.address, [])
    found = [_difference(change, one, vm, recorded) for one, vm in known]
    return (found[0] if found else "It is not in the state.") if all(found) else ""


def _difference(change: Change, binding: Binding, vm: str, recorded: _Recorded) -> str:
    """Difference between the existing object of a change and a recorded one. `vm`: id of its VM, if known."""
    kind, identity = kind_of(change.kind), change.identity.old_id or change.identity.id
    place = change.old_placement.route or change.placement.route
    parent = change.old_placement.parent or change.placement.parent
    parent_id = change.old_placement.parent_id or change.placement.parent_id
    if binding.id:
        if identity != binding.id:
            return f"Its id is {binding.id}, not {identity}."
    elif owner := recorded.owners.get(object_of(change.kind, identity, str(place.get("target")), parent_id)):
        return f"{identity} is {owner}."
    stays = () if change.action in {Action.CREATE, Action.REPLACE, Action.UNKNOWN} else (change.placement.route,)
    for route in (place, *stays) if not (kind.location_independent or kind.parent_field) else ():
        if route.get("target") != binding.route.get("target"):
            return "It is on another machine."
    if kind.parent_field:  # its machine is that of its VM, which may have moved
        if binding.parent not in {"", parent}:
            return f"It is on {binding.parent}, not {parent}."
        if parent_id not in {"", vm} | recorded.ids(parent):
            return f"{parent or 'Its VM'} does not have the id {parent_id}."
    if change.action in _USES_FIELDS:
        of_a_new_one = change.action is Action.REPLACE  # it has some of them
        resolved = {p: v for p, v in binding.resolved.items() if p in change.resolved or not of_a_new_one}
        if not (equal(change.applied, binding.applied) and equal(change.resolved, resolved)):
            return "Its fields are not those of the last apply."
    return ""


def _new(change: Change, recorded: _Recorded) -> str:
    """Conflict of a created or adopted object: it is that of another address, or on another VM. Empty without one."""
    if change.action not in _NEW:
        return ""
    kind, place = kind_of(change.kind), change.placement
    if kind.parent_field and place.parent_id not in {""} | recorded.ids(place.parent):
        return f"{place.parent} does not have the id {place.parent_id}."
    if change.action is Action.ADOPT or isinstance(kind, Host):
        target = str(place.route.get("target"))
        owner = recorded.owners.get(object_of(change.kind, change.identity.id, target, place.parent_id), change.address)
        going = recorded.changes.get(owner)
        if owner != change.address and (going is None or going.action not in _GOING):
            return f"{change.identity.id} is {owner}."
    return ""
