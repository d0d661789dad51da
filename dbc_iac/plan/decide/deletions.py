"""Changes of objects that are not in the manifests: deleted, or removed from the state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import Observation, kind_of
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.model import Action, Change, Identity, Placement
from dbc_iac.plan.observe.tracked_objects import TrackedObject
from dbc_iac.state.document import Binding

DESTROY = "destroy"
GONE = "does not exist"
FAILED = "creation failed"
"""The object of a failed creation is replaced: it has no data."""
EXPIRED = "the rental has ended (--forget-expired)"


def deletion(tracked: TrackedObject, observation: Observation, options: PlanOptions) -> Change:
    """The change of a binding that is not in the manifests."""
    binding = tracked.binding
    assert binding is not None  # noqa: S101 - a removal is of something bound
    change = Change(
        tracked.address,
        tracked.kind,
        Action.DELETE,
        reasons=(_why_removed(tracked, options),),
        identity=Identity(binding.id, binding.id, binding.generation),
        placement=Placement(tracked.place.name, tracked.place.to_json(), binding.parent, tracked.parent_id),
        old_placement=Placement(route=tracked.place.to_json()),
        applied=binding.applied,
        resolved=binding.resolved,
        dependencies=binding.dependencies,
        protected=binding.protected,
        timeout_seconds=(tracked.resource.spec.timeouts.delete or 0) if tracked.resource is not None else 0,
    )
    if observation.present is None:
        if observation.not_rented and options.forget_expired:
            return replace(change, action=Action.FORGET, reasons=(EXPIRED,))
        return replace(change, action=Action.UNKNOWN, reasons=(observation.reason,), authority=observation.authority)
    if not observation.present:
        return replace(change, action=Action.FORGET, reasons=(GONE,))
    if left := kind_of(tracked.kind).left_behind(binding.applied):
        return replace(change, action=Action.FORGET, reasons=(*change.reasons, left))
    seen = replace(change, observed=observation.values)
    return replace(seen, losses=data_loss(seen))


def cannot_be_deleted(tracked: TrackedObject, observation: Observation) -> Diagnostic:
    """Warning of a failed creation that its node cannot delete."""
    return Diagnostic(
        "cannot-be-deleted",
        Severity.WARNING,
        f"{tracked.place.name} cannot delete {tracked.address}",
        f"{tracked.id}: {observation.stuck}. Its GPUs stay allocated until it is deleted.",
        f"Restart the DBC service of {tracked.place.name}.",
        address=tracked.address,
        exit_code=ExitCode.OK,
    )


def data_loss(change: Change) -> tuple[str, ...]:
    """Data that is lost when the object of a change is deleted."""
    loss = kind_of(change.kind).loss({**change.applied, **change.observed})
    return (f"{change.address}: {loss}",) if loss else ()


def unless_forgotten(change: Change, context: PlanContext, options: PlanOptions) -> Change:
    """The change, as a removal from the state where `removed` of the project file names it."""
    if change.action is not Action.DELETE or not context.forgets(change.address) or options.destroy:
        return change
    reason = "`removed` in the project file; the object stays"
    return replace(change, action=Action.FORGET, losses=(), reasons=(reason,))


def forget(tracked: TrackedObject) -> Change:
    """The removal from the state of an object whose manifest became external."""
    seen = Observation(None, reason="")
    change = deletion(tracked, seen, PlanOptions())
    reason = "now external; the object stays"
    return replace(change, action=Action.FORGET, reasons=(reason,), desired={"external": True})


def deposed_of(
    tracked: TrackedObject, observation: Observation, changes: Mapping[str, Change], options: PlanOptions
) -> Change | Diagnostic | None:
    """The deletion of an object that an interrupted apply created and that is not in the manifests; a warning if it is
    irreplaceable; None if the change of its address continues the creation, or if it is never deleted."""
    pending = tracked.pending
    assert pending is not None  # noqa: S101 - the caller looked
    if _still_wanted(pending, changes) or kind_of(pending.kind).left_behind(pending.applied):
        return None
    if kind_of(pending.kind).irreplaceable and tracked.address not in options.destroy_identity:
        return Diagnostic(
            "left-by-interrupted-apply",
            Severity.WARNING,
            f"{pending.address} of an interrupted apply is not in the manifests",
            f"{observation.id} is not in the state. It is kept: it could not be restored.",
            f"Add it to the manifests, or delete it with --destroy-identity {tracked.address}.",
            address=tracked.address,
            exit_code=ExitCode.OK,
        )
    bound = pending.model_copy(update={"address": tracked.address, "id": pending.id or observation.id})
    return deletion(replace(tracked, id=bound.id, binding=bound), observation, options)


def _still_wanted(pending: Binding, changes: Mapping[str, Change]) -> bool:
    """Whether the change of its address creates the same object, or may."""
    change = changes.get(Address(pending.address).resource)
    if change is None or change.action is Action.UNKNOWN:
        return change is not None
    if pending.id:
        return change.identity.id == pending.id
    alike = all(change.desired.get(path) == value for path, value in pending.applied.items())
    return (
        alike and change.identity.generation == pending.generation and change.action in {Action.CREATE, Action.REPLACE}
    )


def _why_removed(tracked: TrackedObject, options: PlanOptions) -> str:
    if tracked.operation is not None and tracked.operation.creates and tracked.operation.id == tracked.id:
        return "created by an interrupted apply, not in the manifests"
    if Address(tracked.address).deposed:
        return "left by an interrupted replacement"
    return DESTROY if options.destroy else "no longer in the manifests"
