"""Parts of a plan file that follow from the state and the manifests, derived again and compared. Pure.

`show` prints few of them, and calls depend on them: the route of a call, the id of a new object, its owner marker.
Where a manifest has changed since, only the parts that do not depend on its fields are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import convert
from msgspec.structs import replace

from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.current_route import current_route
from dbc_iac.kinds.framework.capabilities import Marked
from dbc_iac.kinds.framework.inventory import Resource
from dbc_iac.kinds.framework.ownership_marker import parse_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.node import AUTO
from dbc_iac.plan.check.file_dependencies import with_users
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.changes import PROTECTION, base_change
from dbc_iac.plan.decide.creations import pre_image
from dbc_iac.plan.model import Action, Change, Plan, equal
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects

_NEW = frozenset({Action.CREATE, Action.REPLACE})
_OF_EARLIER_CALLS = frozenset({"earlier objects", "earlier outcome"})


def differing_parts(plan: Plan, context: PlanContext) -> Iterator[tuple[Change, str]]:
    """The first differing part of each change, with its name."""
    tracked_objects = find_tracked_objects(context)
    users = with_users({c.address: replace(c, users={}) for c in plan.changes})
    blind = {o.address for o in context.state.open if o.call_class == "blind"}
    replaced = {
        c.address for c in plan.changes
        if c.action is Action.REPLACE or (c.action is Action.CREATE and c.identity.old_id)
    }  # fmt: skip
    for change in plan.changes:
        if change.action in {Action.UNKNOWN, Action.FORGET}:
            continue
        tracked = tracked_objects.get(change.address)
        repeats = change.action in _NEW and _repeats(change, tracked)
        parts = _parts(change, tracked, context, repeats=repeats, unproved=change.address in blind)
        parts |= {"users": (change.users, users[change.address].users)}
        if change.placement.parent in replaced:  # nothing is there that it could be taken for
            parts = {name: part for name, part in parts.items() if name not in _OF_EARLIER_CALLS}
        for name, (planned, derived) in parts.items():
            if not equal(planned, derived):
                yield change, name
                break


def _parts(
    change: Change, tracked: TrackedObject | None, context: PlanContext, *, repeats: bool, unproved: bool
) -> dict[str, tuple[object, object]]:
    """Parts of a change by name: as planned, and as derived.

    `repeats`: it repeats a pending creation; `unproved`: a blind call for it has no known outcome.
    """
    kind, place = kind_of(change.kind), change.placement
    if tracked is None:  # its manifest is gone
        route = current_route(convert(place.route, Route), kind, context.inventory)
        return {"route": (place.route, route.to_json())}
    resource, binding = tracked.resource, tracked.binding
    if resource is None or not change.desired or resource.external:
        kept, planned = tracked.place, convert(place.route, Route)
        if (bound := binding or tracked.pending) is not None and planned.rent_order != kept.rent_order:
            kept = kept.under(convert(bound.route, Route).rent_order)  # accepted where the order of the Node is not
        return {"route": (place.route, kept.to_json())}
    base = base_change(context, tracked, resource, change.desired)
    new = change.action in _NEW
    known, unsettled = pre_image(tracked.operation) if repeats else ((), False)
    parts: dict[str, tuple[object, object]] = {
        "route": (place.route, base.placement.route),
        "VM": (place.parent, base.placement.parent),
        "earlier objects": (change.identity.known, known),
        "earlier outcome": (change.unsettled, unsettled or (unproved and change.action is Action.UPDATE)),
    }
    if binding is not None:
        parts |= {
            "old route": (change.old_placement.route, base.old_placement.route),
            "old dependencies": (change.old_dependencies, base.old_dependencies),
        }
    if binding is not None and change.action in {Action.UPDATE, Action.REPLACE}:
        parts["protection"] = (PROTECTION in {f.path for f in change.fields}, binding.protected != change.protected)
    made = (resource, context.inventory, change.identity.generation)
    marker = kind.marker(*made) if new and isinstance(kind, Marked) else ""
    if new:
        parts["owner marker"] = (_without_digest(change.identity.marker), _without_digest(marker))
    if not _is_of(change, resource, base.secrets, context):
        return parts
    if new:
        identity = tracked.id if repeats and tracked.binding is None else kind.identity(*made)
        parts["id"] = (change.identity.id, identity)
        parts["owner marker"] = (change.identity.marker, marker)
    return parts | {
        "dependencies": (change.dependencies, base.dependencies),
        "file dependencies": (change.follows, base.follows),
        "protected": (change.protected, base.protected),
        "automatic values": (change.auto, base.auto),
    }


def _repeats(change: Change, tracked: TrackedObject | None) -> bool:
    """Whether a creation repeats a pending one: only that has its generation."""
    operation = None if tracked is None else tracked.operation
    return operation is not None and operation.generation == change.identity.generation


def _without_digest(text: str) -> str:
    """An owner marker without the digest of fields."""
    marker = parse_marker(text)
    return text if marker is None else str(replace(marker, digest=""))


def _is_of(change: Change, resource: Resource[Spec], secrets: Mapping[str, Json], context: PlanContext) -> bool:
    """Whether the manifest has the fields of the change, as when the plan was made."""
    fields = kind_of(change.kind).desired(resource, context.inventory)
    return equal(change.secrets, secrets) and equal(
        {path: change.desired.get(path) for path in fields if fields[path] != AUTO},
        {path: value for path, value in fields.items() if value != AUTO},
    )
