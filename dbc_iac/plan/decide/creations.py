"""Changes that create or adopt an object: of resources without a binding, and of replacements. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Marked, capacity
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.diff import initial
from dbc_iac.plan.decide.ownership import foreign, unproved, with_birth
from dbc_iac.plan.model import Action, Change, Identity
from dbc_iac.plan.observe.tracked_objects import TrackedObject
from dbc_iac.state.document import PendingOperation


def unbound(
    context: PlanContext,
    tracked: TrackedObject,
    resource: Resource[Spec],
    observation: Observation,
    base: Change,
    problems: Diagnostics,
) -> Change:
    """The change of a resource without a binding: created, or adopted if it exists."""
    kind = kind_of(resource.kind)
    if observation.present:
        base = with_birth(context, resource, base, observation)
        identity = replace(base.identity, id=observation.id)
        seen = replace(base, observed=observation.values, identity=identity, fields=(), notes=observation.notes)
        if owned := foreign(context, tracked, resource, observation, base):
            problems.add(owned)
            return seen
        if tracked.operation is None:
            if warned := unproved(context, resource, seen):
                problems.add(warned)
            return replace(seen, action=Action.ADOPT, reasons=("exists, not in the state",))
        pending = tracked.pending
        if observation.partial:
            reason = f"creation is unfinished: {observation.unfinished}"
            fields = tuple(initial(kind, base.desired, base.secrets))
            return replace(seen, action=Action.CREATE, reasons=(reason,), fields=fields)
        reason = "created by an interrupted apply"
        return replace(seen, action=Action.ADOPT, reasons=(reason,), applied=pending.applied if pending else {})
    fields = tuple(initial(kind, base.desired, base.secrets))
    reasons = () if tracked.operation is None else ("creation was interrupted",)
    known, unsettled = pre_image(tracked.operation)
    identity = replace(base.identity, known=known)
    return replace(base, action=Action.CREATE, reasons=reasons, fields=fields, identity=identity, unsettled=unsettled)


def pre_image(operation: PendingOperation | None) -> tuple[tuple[str, ...], bool]:
    """Objects before a blind creation of unknown outcome, and whether there is one."""
    if operation is None or operation.call_class != "blind" or not operation.creates:
        return (), False
    listed = operation.detail.get("known")
    return tuple(str(k) for k in listed) if isinstance(listed, list) else (), True


def new_object(
    context: PlanContext,
    tracked: TrackedObject,
    resource: Resource[Spec],
    base: Change,
    action: Action,
    reasons: tuple[str, ...],
) -> Change:
    """The change that creates a new object: the next generation, with its id and marker."""
    kind = kind_of(resource.kind)
    generation = max(context.state.generations.get(tracked.address, 0), tracked.generation) + 1
    operation = tracked.operation
    known: tuple[str, ...] = ()
    unsettled = False
    if operation is not None and operation.generation > tracked.generation:
        generation = operation.generation  # only a retry of the same operation repeats the id
        known, unsettled = pre_image(operation)
    fields = base.fields if action is Action.REPLACE else tuple(initial(kind, base.desired, base.secrets))
    both = _exclusive(base) if action is Action.REPLACE else ()
    return replace(
        base,
        action=action,
        reasons=reasons,
        fields=fields,
        identity=Identity(
            kind.identity(resource, context.inventory, generation),
            tracked.id,
            generation,
            kind.marker(resource, context.inventory, generation) if isinstance(kind, Marked) else "",
            known,
        ),
        resolved={k: v for k, v in base.resolved.items() if k in kind.port_fields},
        timeout_seconds=resource.spec.timeouts.create or 0,
        unsettled=unsettled,
        delete_first=base.delete_first or bool(both),
        notes=(*base.notes, *both),
    )


def _exclusive(change: Change) -> tuple[str, ...]:
    """Notes on why the old object is deleted first: public addresses are held also while it is off."""
    kind, there = kind_of(change.kind), change.placement.route.get("target") == change.old_placement.route.get("target")
    kept = capacity(kind, change.desired).addresses & capacity(kind, {**change.applied, **change.observed}).addresses
    return tuple(f"the old object is deleted first: both cannot have {address}" for address in sorted(kept) if there)
