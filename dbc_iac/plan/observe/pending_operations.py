"""Pending operations of an interrupted apply: calls of unknown outcome in the state. Pure.

A pending creation is continued by its resource where the manifest still matches the call. Otherwise its object is a
deposed one with the address `Kind/name~generation`: every plan observes it, and deletes it if it exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dbc_iac.address import Address
from dbc_iac.api.idempotency import CallClass
from dbc_iac.kinds import Inventory, Observation, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Host, Marked
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.model import Action, Change
from dbc_iac.state.document import Binding, PendingOperation, State


def pending_creation(operation: PendingOperation, state: State) -> Binding | None:
    """The binding of the object that a pending creation may have made; None for other operations.

    Its id is empty if only the answer would have had it.
    """
    sent_route = operation.detail.get("route")
    if not operation.creates or not isinstance(sent_route, dict) or not sent_route:
        return None
    fields = operation.detail.get("fields")
    kind = str(operation.detail.get("kind") or Address(operation.address).kind)
    return Binding(
        address=operation.address,
        kind=kind,
        id=operation.id,
        generation=operation.generation,
        route=sent_route,
        applied=fields if isinstance(fields, dict) else {},
        parent=_parent(operation, state) if kind_of(kind).parent_field else "",
    )


def _parent(operation: PendingOperation, state: State) -> str:
    """Address of the VM that the call was sent for."""
    return next((a for a, b in state.bindings.items() if operation.vm and b.id == operation.vm), "")


def deposed_address(operation: PendingOperation) -> str:
    """Address of a deposed object: `Kind/name~generation`."""
    return Address(operation.address).depose(operation.generation)


def matches_spec(
    operation: PendingOperation, resource: Resource[Spec], inventory: Inventory, route: Route, parent_id: str
) -> bool:
    """Whether a pending operation was sent for the present manifest: only then may it be repeated.

    A creation for another machine or VM, or with other hidden fields, makes another object.
    So does a blind one with other fields: nothing else distinguishes the two objects.
    """
    sent_route = operation.detail.get("route")
    if not operation.creates or not isinstance(sent_route, dict):
        return True
    kind = kind_of(resource.kind)
    marker = kind.marker(resource, inventory, operation.generation) if isinstance(kind, Marked) else ""
    same_vm = not kind.parent_field or operation.vm == parent_id
    if sent_route.get("target") != route.target or not same_vm or operation.detail.get("marker", marker) != marker:
        return False
    if operation.id and operation.id == kind.identity(resource, inventory, operation.generation):
        return True
    sent, key = operation.detail.get("fields"), kind.natural_key(resource, inventory)
    if not isinstance(sent, dict):
        return True
    if operation.call_class == CallClass.BLIND:
        desired = kind.desired(resource, inventory)
        return all(desired.get(path) == value for path, value in sent.items())
    return not key or key in sent.values()


def requires_replacement(pending: Binding, desired: Mapping[str, object]) -> bool:
    """Whether the object of a pending creation can match the manifest only by a replacement."""
    fields = kind_of(pending.kind).fields
    replaced = (f.path for f in fields if f.rule.behaviour == "replace")
    known = [path for path in replaced if path in pending.applied and path in desired]
    return any(pending.applied[path] != desired[path] for path in known)


def mark_uncertain(binding: Binding, operations: Iterable[PendingOperation]) -> Binding:
    """The binding with uncertain fields: those of pending calls for its address that the API never shows."""
    sent = [i.detail.get("sent") for i in operations if not i.creates]
    if not sent:
        return binding
    hidden = {f.path for f in kind_of(binding.kind).fields if f.rule.not_reported and f.rule.behaviour != "once"}
    found = (path for paths in sent if isinstance(paths, list) for path in paths if path in hidden)
    uncertain = tuple(dict.fromkeys((*binding.uncertain, *found)))
    return binding if uncertain == binding.uncertain else binding.model_copy(update={"uncertain": uncertain})


def _stays(operation: PendingOperation, state: State, observations: Mapping[str, Observation]) -> bool:
    """Whether the object of a pending creation is not in the manifests, and is never deleted."""
    pending = pending_creation(operation, state)
    alone = deposed_address(operation) in observations
    return alone and pending is not None and bool(kind_of(pending.kind).left_behind(pending.applied))


def is_late(operation: PendingOperation) -> bool:
    """Whether a creation may still run when nothing waits for it: its object is then found by its id, and deleted."""
    kind = kind_of(str(operation.detail.get("kind") or Address(operation.address).kind))
    return operation.creates and bool(operation.id) and isinstance(kind, Host)


def _is_abandoned(
    operation: PendingOperation, decided: Mapping[str, Change], observations: Mapping[str, Observation]
) -> bool:
    """Whether a creation has no object yet, and no change continues it: the plan has another object, or none."""
    seen, change = observations.get(deposed_address(operation)), decided.get(operation.address)
    continued = change is not None and (change.identity.id == operation.id or change.action is Action.UNKNOWN)
    return is_late(operation) and seen is not None and seen.present is False and not continued


def resolvable_operations(
    state: State,
    changes: Mapping[str, Change],
    decided: Mapping[str, Change],
    observations: Mapping[str, Observation],
    waiting: frozenset[str],
) -> Iterator[int]:
    """Numbers of the pending operations that can be closed: no change waits for them, or their outcome is known.

    `decided`: also the changes that are left out of this plan. `waiting`: ids of the VMs that do not run. A blind call
    is accepted only while its VM is off, and has run before the VM does: what is not seen on a VM that runs did not
    happen and will not.
    """
    for operation in state.open:
        open_yet = operation.call_class == CallClass.BLIND and operation.vm in waiting
        if operation.creates:
            seen = observations.get(deposed_address(operation)) or observations.get(operation.address)
            never = (
                operation.call_class == CallClass.BLIND and not open_yet and seen is not None and seen.present is False
            )
            taken_over = not operation.id and deposed_address(operation) in changes
            left = _stays(operation, state, observations) or _is_abandoned(operation, decided, observations)
            if never or taken_over or left:
                yield operation.number
            continue
        change = changes.get(operation.address)
        still = change is not None and change.action is Action.NO_OP
        if still and not open_yet and not operation.powers_off:
            yield operation.number
