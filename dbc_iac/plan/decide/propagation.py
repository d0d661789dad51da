"""Propagation of changes: from a VM to its disks, from a LAN to its members, from unreadable objects. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.ownership_marker import with_generation
from dbc_iac.plan.decide.changes import ChangeSet, not_ignored
from dbc_iac.plan.decide.deletions import data_loss
from dbc_iac.plan.decide.diff import initial
from dbc_iac.plan.model import Action, Change

_NEW = frozenset({Action.CREATE, Action.REPLACE})
_DELETED = frozenset({Action.DELETE, Action.REPLACE, Action.FORGET})


def propagate(change_set: ChangeSet) -> None:
    """Propagate changes in place until nothing changes."""
    changes = change_set.changes
    for address, change in changes.items():
        if (parent := changes.get(change.placement.parent)) is not None:
            changes[address] = _with_parent(change, parent, change_set)
    networks = {c.address: c for c in changes.values() if c.action is Action.REPLACE and c.keeps_identity}
    if networks:
        _same_name_networks(networks, changes, change_set.problems)
    if unknown := {a for a, c in changes.items() if c.action is Action.UNKNOWN}:
        _spread_unknown(unknown, changes)


def _with_parent(change: Change, parent: Change, change_set: ChangeSet) -> Change:
    """The change of a child with that of its VM: a disk is deleted and created with it, a snapshot is kept."""
    vm_gone = parent.action in _DELETED or (parent.action is Action.CREATE and bool(parent.identity.old_id))
    parent_id = (
        parent.identity.id if change.action is not Action.DELETE else parent.identity.old_id or parent.identity.id
    )
    host = replace(change, placement=replace(change.placement, parent_id=parent_id))
    if change.action is Action.DELETE and parent.action is Action.FORGET and not parent.desired:
        reason = f"stays on {change.placement.parent}, which is removed from the state"
        return replace(host, action=Action.FORGET, losses=(), reasons=(*change.reasons, reason))
    if change.action is Action.DELETE:
        goes = vm_gone and parent.action is not Action.FORGET
        return replace(host, reasons=(*change.reasons, f"deleted with {change.placement.parent}")) if goes else host
    if not vm_gone or change.action is Action.UNKNOWN or parent.action is Action.FORGET:
        return host
    if change.action is Action.ADOPT:
        reason = f"{change.placement.parent} is replaced"
        named = change.identity.id if kind_of(change.kind).survives_parent else ""
        fields = tuple(initial(kind_of(change.kind), change.desired, change.secrets))
        generation = change.identity.generation + 1
        marker = with_generation(change.identity.marker, generation)
        identity = replace(change.identity, id=named, generation=generation, marker=marker)
        return replace(host, action=Action.CREATE, identity=identity, reasons=(reason,), fields=fields)
    if kind_of(change.kind).survives_parent:
        as_it_is = change.action in {Action.NO_OP, Action.UPDATE}
        if not (as_it_is or (change.action is Action.CREATE and change.identity.old_id)):
            return host
        note = f"kept; its record on the node is deleted with {change.placement.parent}"
        notes = (*change.notes, *(change.reasons if as_it_is else ()), note)
        return replace(host, action=Action.NO_OP, fields=(), notes=notes)
    if change.action in {Action.NO_OP, Action.UPDATE} or (change.action is Action.CREATE and change.identity.old_id):
        return replace(
            _of_a_new_one(host, change_set),
            action=Action.REPLACE if change.action is not Action.CREATE else Action.CREATE,
            reasons=(*change.reasons, f"{change.placement.parent} is replaced"),
            losses=tuple(dict.fromkeys((*change.losses, *(data_loss(change) if change.observed else ())))),
            identity=replace(
                change.identity,
                id="",
                old_id=change.identity.old_id or change.identity.id,
                generation=change.identity.generation + 1,
            ),
        )
    return host


def _of_a_new_one(change: Change, change_set: ChangeSet) -> Change:
    """The change with all fields of a new object: `ignoreChanges` does not apply to it."""
    if change.action is Action.CREATE:
        return change
    kind = kind_of(change.kind)
    ignored = tuple(f for f in change_set.ignored.get(change.address, ()) if f.path != kind.parent_field)
    staying = (*change_set.stays.get(change.address, ()), *ignored)
    desired = {**change.desired, **{f.path: f.after for f in staying if not f.secret}}
    return replace(
        change,
        fields=(*change.fields, *staying),
        notes=(*change.notes, *not_ignored(ignored)),
        desired={path: value for path, value in desired.items() if value is not None},
    )


def _same_name_networks(networks: Mapping[str, Change], changes: dict[str, Change], problems: Diagnostics) -> None:
    """Replace the members of LANs that are replaced under their names: these are deleted first."""
    for member in [*changes.values()]:
        for network in [networks[a] for a in dict.fromkeys(member.dependencies) if a in networks]:
            if kind_of(member.kind).parent_field:
                continue
            if member.action is Action.REPLACE:
                changes[member.address] = replace(member, delete_first=True)
            elif member.action not in {Action.CREATE, Action.DELETE, Action.FORGET}:
                problems.add(
                    Diagnostic(
                        "members-stay",
                        Severity.ERROR,
                        f"cannot replace {network.address}: {member.address} is a member",
                        "Its range cannot be changed in place, and a LAN with members cannot be deleted.",
                        f"Replace the member with it: --replace {member.address}.",
                        address=network.address,
                        exit_code=ExitCode.REFUSED,
                    )
                )


def _required_by(change: Change) -> set[str]:
    """Parents and dependencies of a resource, now and at its last apply."""
    return {change.placement.parent, change.old_placement.parent, *change.dependencies, *change.old_dependencies}


def _spread_unknown(unknown: set[str], changes: dict[str, Change]) -> None:
    """Make changes unknown that depend on an unreadable object, or that delete what one may depend on: a VM with a
    snapshot that may be uploading, a LAN that may have a member."""
    needing: defaultdict[str, list[str]] = defaultdict(list)
    requiring: defaultdict[str, list[str]] = defaultdict(list)
    for address, change in changes.items():
        for other in change.needed:
            needing[other].append(address)
        for other in _required_by(change):
            requiring[other].append(address)
    todo = deque(sorted(unknown))
    while todo:
        here = todo.popleft()
        for address in sorted({*needing[here], *_required_by(changes[here])} & changes.keys()):
            change = changes[address]
            if not change.pending or change.action is Action.FORGET:
                continue
            needed = sorted(unknown & {*change.needed}) if change.action is not Action.DELETE else []
            carried = (
                sorted(unknown & {*requiring[address]}) if change.action in {Action.DELETE, Action.REPLACE} else []
            )
            if needed:
                reason = f"depends on {needed[0]}, which cannot be read"
            elif carried:
                reason = f"{carried[0]} may depend on it and cannot be read"
            else:
                continue
            authority = changes[(needed or carried)[0]].authority
            changes[address] = replace(change, action=Action.UNKNOWN, reasons=(reason,), losses=(), authority=authority)
            unknown.add(address)
            todo.append(address)
