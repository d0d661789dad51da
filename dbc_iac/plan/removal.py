"""What becomes of an object that no document asks for: deleted, let go, or left of an ended run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import Observation, kind_of
from dbc_iac.plan.candidates import Candidate
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.session import Options, Session
from dbc_iac.state.document import LEFT, Binding

GONE = "it does not exist any more"
EXPIRED = "its machine is not rented any more (--forget-expired)"


def removal(candidate: Candidate, observation: Observation, options: Options) -> Change:
    """The change of a resource that is in state, and that nothing wants any more."""
    binding = candidate.binding
    assert binding is not None  # noqa: S101 - a removal is of something bound
    change = Change(
        candidate.address,
        candidate.kind,
        Action.DELETE,
        reasons=(_why_removed(candidate, options),),
        id=binding.id,
        old_id=binding.id,
        generation=binding.generation,
        node=candidate.place.name,
        holder=binding.holder,
        holder_id=candidate.holder_id,
        applied=dict(binding.applied),
        resolved=dict(binding.resolved),
        reach=candidate.place.to_json(),
        old_reach=dict(binding.where),
        dependencies=binding.dependencies,
        protected=binding.protected,
        patience=(candidate.resource.spec.timeouts.delete or 0) if candidate.resource is not None else 0,
    )
    if observation.present is None:
        if observation.not_rented and options.forget_expired:
            return replace(change, action=Action.FORGET, reasons=(EXPIRED,))
        return replace(change, action=Action.UNKNOWN, reasons=(observation.reason,), authority=observation.authority)
    if not observation.present:
        return replace(change, action=Action.FORGET, reasons=(GONE,))
    if left := kind_of(candidate.kind).left_behind(binding.applied):
        return replace(change, action=Action.FORGET, reasons=(*change.reasons, left))
    return replace(change, observed=dict(observation.values), losses=lost(change))


def cannot_be_deleted(candidate: Candidate, observation: Observation) -> Diagnostic:
    """The warning of a failed creation that its node cannot delete. It holds its GPUs as long."""
    return Diagnostic(
        "cannot-be-deleted",
        Severity.WARNING,
        f"{candidate.address}: {candidate.place.name} cannot delete {candidate.id}",
        f"{observation.stuck}. It holds its GPUs until then.",
        f"Restart the DBC service of {candidate.place.name}.",
        address=candidate.address,
        exit_code=ExitCode.OK,
    )


def lost(change: Change) -> tuple[str, ...]:
    """What is irreversibly gone when the object of a change goes."""
    loss = kind_of(change.kind).loss({**change.applied, **change.observed})
    return (f"{change.address}: {loss}",) if loss else ()


def unless_let_go(change: Change, session: Session, options: Options) -> Change:
    """`removed` of the project file: the object is let go, not deleted."""
    if change.action is not Action.DELETE or change.address not in session.removed or options.destroy:
        return change
    reason = "`removed` says to let it go: it stays where it is"
    return replace(change, action=Action.FORGET, losses=(), reasons=(reason,))


def let_go(candidate: Candidate) -> Change:
    """Its document has become external: what was ours is looked at from now on, and never deleted."""
    seen = Observation(None, reason="")
    change = removal(candidate, seen, Options())
    reason = "its document is external now: it stays where it is"
    return replace(change, action=Action.FORGET, reasons=(reason,), desired={"external": True})


def left_of(
    candidate: Candidate, observation: Observation, changes: Mapping[str, Change], options: Options
) -> Change | Diagnostic | None:
    """What an ended run began and nothing asks for goes; what cannot be had again is told of. None: the change of its
    address makes it, or it stays where it is whoever asks for it."""
    begun = candidate.begun
    assert begun is not None  # noqa: S101 - the caller looked
    if _still_wanted(begun, changes) or kind_of(begun.kind).left_behind(begun.applied):
        return None
    if kind_of(begun.kind).irreplaceable and candidate.address not in options.destroy_identity:
        return Diagnostic(
            "begun-and-left",
            Severity.WARNING,
            f"an earlier run made {observation.id} for {begun.address}, and nothing asks for it any more",
            "It is not in the state, and is left as it is: what is destroyed of it cannot be had again.",
            f"Write its document again, or use --destroy-identity {candidate.address}.",
            address=candidate.address,
            exit_code=ExitCode.OK,
        )
    bound = begun.model_copy(update={"address": candidate.address, "id": begun.id or observation.id})
    return removal(replace(candidate, id=bound.id, binding=bound), observation, options)


def _still_wanted(begun: Binding, changes: Mapping[str, Change]) -> bool:
    """Whether the change of its address makes what was begun, or cannot tell."""
    change = changes.get(begun.address.partition(LEFT)[0])
    if change is None or change.action is Action.UNKNOWN:
        return change is not None
    if begun.id:
        return change.id == begun.id
    alike = all(change.desired.get(path) == value for path, value in begun.applied.items())
    return alike and change.generation == begun.generation and change.action in {Action.CREATE, Action.REPLACE}


def _why_removed(candidate: Candidate, options: Options) -> str:
    if candidate.intent is not None and candidate.intent.creates and candidate.intent.id == candidate.id:
        return "an earlier run began it, and nothing wants it any more"
    if LEFT in candidate.address:
        return "another took its place, and an earlier run could not take it away"
    return "destroy was asked for" if options.destroy else "its document is gone"
