"""One change for each resource, from desired, applied and observed values. Pure but for secrets, compared in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Marked, power_of
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.node import AUTO
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.decide.creations import new_object, unbound
from dbc_iac.plan.decide.deletions import (
    EXPIRED,
    FAILED,
    cannot_be_deleted,
    data_loss,
    deletion,
    deposed_of,
    forget,
    unless_forgotten,
)
from dbc_iac.plan.decide.diff import Difference, difference
from dbc_iac.plan.decide.ownership import elsewhere, moved_node
from dbc_iac.plan.dependencies import dependencies, implicit_dependencies
from dbc_iac.plan.model import Action, Change, FieldChange, Identity, Placement
from dbc_iac.plan.observe.pending_operations import requires_replacement
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import TrackedObject, parent_address

POWERED_OFF_REASON = "powered off by an interrupted apply; will be started"
PROTECTION = "lifecycle.preventDestroy"


class ChangeSet(Struct):
    """Changes by address, differences that only a new object resolves (`stays`) or that are ignored, and problems."""

    changes: dict[str, Change] = field(default_factory=dict)
    stays: dict[str, tuple[FieldChange, ...]] = field(default_factory=dict)
    ignored: dict[str, tuple[FieldChange, ...]] = field(default_factory=dict)
    problems: Diagnostics = field(default_factory=Diagnostics)
    requested: Mapping[str, str] = field(default_factory=dict)
    """Reasons of replacements that no field requires, by address: an option, or `replaceOn`."""


def decide_changes(
    context: PlanContext,
    refreshed: RefreshedState,
    desired: Mapping[str, Mapping[str, Json]],
    options: PlanOptions,
    requested: Mapping[str, str],
) -> ChangeSet:
    """One change for every tracked object, before propagation. `requested`: as in ChangeSet."""
    made = ChangeSet(requested=requested)
    for address, tracked in refreshed.tracked_objects.items():
        observation = refreshed.observations[address]
        resource = None if options.destroy else tracked.resource
        if tracked.resource is not None and tracked.resource.external:
            made.problems.extend(_external(tracked.resource, observation))
            if tracked.binding is not None:
                made.changes[address] = forget(tracked)
        elif resource is None:
            _unwanted(context, tracked, observation, made, options)
        else:
            want = desired[address]
            if power_of(kind_of(tracked.kind), observation.values) == "off" and _was_to_come_back(tracked):
                want = {kind_of(tracked.kind).power_field: "on", **want}
            base = base_change(context, tracked, resource, want)
            change = _wanted(context, refreshed, tracked, resource, observation, base, made, options)
            made.changes[address] = change
    if not options.destroy:
        made.problems.extend(refreshed.problems)
        if any(c.action is Action.ADOPT for c in made.changes.values()):
            _keep_claimed(context, refreshed, made)
    return made


def _unwanted(
    context: PlanContext, tracked: TrackedObject, observation: Observation, made: ChangeSet, options: PlanOptions
) -> None:
    """Add the change of an object that no manifest wants: bound, or of a pending creation."""
    if tracked.binding is not None:
        change = unless_forgotten(deletion(tracked, observation, options), context, options)
        if observation.stuck and change.action is Action.DELETE and not options.destroy:
            made.problems.add(cannot_be_deleted(tracked, observation))
            # Without a domain, its ports are free: nothing is applied.
            change = replace(change, action=Action.NO_OP, losses=(), applied={})
        made.changes[tracked.address] = change
    elif tracked.pending is not None and _has_come(tracked, observation):
        # An earlier creation came late: absent is left pending, for it may come still.
        left = deposed_of(tracked, observation, made.changes, options)
        if isinstance(left, Change):
            made.changes[tracked.address] = left
        elif left is not None:
            made.problems.add(left)


def _has_come(tracked: TrackedObject, observation: Observation) -> bool:
    """Whether the object of a pending creation exists, or may exist. A late one counts only if it is observed."""
    late = tracked.operation is not None and tracked.operation.late
    return bool(observation.present) if late else observation.present is not False


def _keep_claimed(context: PlanContext, refreshed: RefreshedState, made: ChangeSet) -> None:
    """Refuse to adopt or delete an object that is bound to one address and claimed by another: it was renamed, or two
    manifests name it."""
    owners = {(b.kind, b.id, b.route.get("target")): a for a, b in context.state.bindings.items()}
    for address, change in [(a, c) for a, c in made.changes.items() if c.action is Action.ADOPT]:
        owner = owners.get((change.kind, change.identity.id, change.placement.route.get("target")), address)
        resource = refreshed.tracked_objects[address].resource
        if owner == address or resource is None:
            continue
        made.changes[address] = replace(change, action=Action.NO_OP)
        if owner in made.changes:
            made.changes[owner] = replace(made.changes[owner], action=Action.NO_OP, fields=(), losses=())
        remedy = f"If it was renamed, add `moved: [{{from: {owner}, to: {address}}}]` to the project file."
        if owner in context.inventory.resources:
            remedy = f"Remove {owner} or {address} from the manifests."
        summary = f"{address} is the same object as {owner}"
        made.problems.add(resource.problem("already-managed", "", summary, remedy=remedy, exit_code=ExitCode.REFUSED))


def _was_to_come_back(tracked: TrackedObject) -> bool:
    """Whether an interrupted apply powered it off, also if its power is not managed: it ran before."""
    bound, operation = tracked.binding, tracked.operation
    powering_off = operation is not None and operation.powers_off
    return bound is not None and (powering_off or bound.powered_off_by_apply)


def _external(resource: Resource[Spec], observation: Observation) -> list[Diagnostic]:
    if observation.present is False:
        return [
            resource.problem(
                "external-absent",
                "external",
                f"external {resource.address} does not exist",
                remedy="Create it, or remove `external: true`.",
                exit_code=ExitCode.ERROR,
            )
        ]
    return []


def base_change(
    context: PlanContext, tracked: TrackedObject, resource: Resource[Spec], want: Mapping[str, Json]
) -> Change:
    """The parts of a change that do not depend on differences."""
    kind, binding = kind_of(resource.kind), tracked.binding
    secrets = ((f.path, f.read(resource.spec)) for f in kind.secret_fields)
    refs: dict[str, Json] = {p: ref.model_dump(mode="json", by_alias=True) for p, ref in secrets if ref is not None}
    timeouts = resource.spec.timeouts
    lifecycle = resource.spec.lifecycle
    parent = parent_address(resource) if kind.parent_field else ""
    marker = kind.marker(resource, context.inventory, tracked.generation) if isinstance(kind, Marked) else ""
    old = Placement()
    if binding is not None:  # the VM of the bound object only if that is another
        moved = (binding.parent, tracked.parent_id) if binding.parent != parent else ("", "")
        old = Placement(tracked.place.name, tracked.place.to_json(), *moved)
    return Change(
        tracked.address,
        tracked.kind,
        Action.NO_OP,
        identity=Identity(tracked.id, generation=tracked.generation, marker=marker),
        placement=Placement(tracked.route.name, tracked.route.to_json(), parent),
        old_placement=old,
        desired=want,
        applied=binding.applied if binding else {},
        resolved=binding.resolved if binding else {},
        secrets=refs,
        auto=tuple(path for path, value in kind.desired(resource, context.inventory).items() if value == AUTO),
        dependencies=dependencies(resource, context.inventory),
        old_dependencies=binding.dependencies if binding else (),
        follows=tuple(sorted(implicit_dependencies(context.inventory).get(tracked.address, ()))),
        protected=kind.protected(resource),
        delete_first=lifecycle.replace == "deleteFirst" or not kind.replace_in_place_last,
        timeout_seconds=(timeouts.update if binding else timeouts.create) or 0,
    )


def _wanted(
    context: PlanContext,
    refreshed: RefreshedState,
    tracked: TrackedObject,
    resource: Resource[Spec],
    observation: Observation,
    base: Change,
    made: ChangeSet,
    options: PlanOptions,
) -> Change:
    """The change of a resource of the manifests."""
    if observation.present is None:
        if observation.not_rented and options.forget_expired and tracked.binding is not None:
            return replace(
                base, action=Action.FORGET, identity=replace(base.identity, old_id=tracked.id), reasons=(EXPIRED,)
            )
        return replace(base, action=Action.UNKNOWN, reasons=(observation.reason,), authority=observation.authority)
    pending, whole = tracked.pending, refreshed.whole.get(tracked.route)
    asked = (made.requested[resource.address],) if resource.address in made.requested else ()
    if pending is not None and observation.present and (asked or requires_replacement(pending, base.desired)):
        bound = pending.model_copy(update={"id": observation.id})
        tracked = replace(tracked, binding=bound, id=observation.id)
        place = replace(base.old_placement, route=tracked.place.to_json())
        identity = replace(base.identity, id=observation.id)
        base = replace(base, identity=identity, applied=bound.applied, old_placement=place)
    if tracked.binding is None:
        if pending is not None and observation.present:  # it is adopted, and cannot become what it was edited to
            bound = pending.model_copy(update={"id": observation.id})
            edited = replace(tracked, binding=bound)
            made.problems.extend(difference(context, edited, resource, observation, base.desired, whole).refusals)
        return unbound(context, tracked, resource, observation, base, made.problems)
    if not observation.present:
        reason = observation.reason or f"{tracked.id} was deleted outside dbc-iac"
        return new_object(context, tracked, resource, base, Action.CREATE, (reason,))
    seen = replace(base, observed=observation.values, notes=observation.notes)
    machine = tracked.binding.route.get("target")
    if machine != tracked.route.target and (problem := moved_node(tracked, resource)):
        made.problems.add(problem)
        return seen
    found = difference(context, tracked, resource, observation, base.desired, whole)
    made.stays[resource.address] = tuple(found.replacement_only)
    made.ignored[resource.address] = tuple(found.ignored)
    if observation.stuck:
        made.problems.add(cannot_be_deleted(tracked, observation))
        failed = replace(seen, fields=found.of_a_new_one)
        reason = "creation failed, and the node cannot delete it"
        return new_object(context, tracked, resource, failed, Action.CREATE, (reason,))
    if observation.failed_creation:
        # unusable, and holds the capacity that the new one needs
        failed = replace(seen, delete_first=True, fields=found.of_a_new_one)
        return new_object(context, tracked, resource, failed, Action.REPLACE, (FAILED,))
    if kind_of(resource.kind).irreplaceable or not (asked or found.replaces):
        made.problems.extend(found.refusals)  # a new object has all fields of the manifest
        if found.ignored:
            made.problems.extend(elsewhere(tracked, resource, found.ignored))
    return _compared(context, tracked, resource, seen, found, asked, observation.unfinished)


def _compared(
    context: PlanContext,
    tracked: TrackedObject,
    resource: Resource[Spec],
    seen: Change,
    found: Difference,
    asked: tuple[str, ...],
    unfinished: str,
) -> Change:
    """The change of a bound resource by its differences, and by the part of its creation that is not done."""
    assert tracked.binding is not None  # noqa: S101 - only bound resources are compared
    fields = list(found.changes)
    if tracked.binding.protected != seen.protected:
        fields.append(FieldChange(PROTECTION, not seen.protected, seen.protected, Behaviour.ACCESS.value))
    notes = (*seen.notes, *found.notes)
    applied = tracked.binding.applied
    settled = {p: v for p, v in found.settled.items() if applied.get(p) != v}
    changed = replace(seen, fields=tuple(fields), notes=notes, settled=settled)
    down = (POWERED_OFF_REASON,) if changed.observed_power == "off" and _was_to_come_back(tracked) else ()
    if found.replaces or asked:
        losses = data_loss(changed)
        notes = (*seen.notes, *not_ignored(found.ignored))
        whole = (*fields, *found.replacement_only, *found.ignored)
        changed = replace(changed, fields=whole, notes=notes, losses=losses)
        forced = tuple(f"{c.path} cannot be changed in place" for c in fields if c.behaviour == Behaviour.REPLACE)
        return new_object(context, tracked, resource, changed, Action.REPLACE, (*down, *asked, *forced))
    if found.ignored or found.replacement_only:
        changed = _left_alone(changed, (*found.ignored, *found.replacement_only))
    if fields:
        reason = _drifted(fields) if all(c.drift for c in fields) else "manifest changed"
        if all(c.path in tracked.binding.uncertain for c in fields):
            reason = "unknown outcome of an earlier call"
        only_down = bool(down) and [c.path for c in fields] == [kind_of(seen.kind).power_field]
        unsettled = any(i.address == changed.address and i.call_class == "blind" for i in context.state.open)
        reasons = down if only_down else (*down, reason)
        return replace(changed, action=Action.UPDATE, reasons=reasons, unsettled=unsettled)
    return replace(changed, action=Action.UPDATE, reasons=(unfinished,)) if unfinished else changed


def not_ignored(ignored: Iterable[FieldChange]) -> tuple[str, ...]:
    """Note on fields of `ignoreChanges` that a new object gets."""
    paths = ", ".join(f.path for f in ignored)
    return (f"ignoreChanges does not apply to a new object: it gets {paths} of the manifest",) if paths else ()


def _left_alone(change: Change, staying: Iterable[FieldChange]) -> Change:
    """A change in place with the present values of the fields that stay, such as those of `ignoreChanges`: some calls
    send more than the differences."""
    has = {f.path: f.before for f in staying if not f.secret}
    if not has:
        return change
    desired = {path: value for path, value in {**change.desired, **has}.items() if value is not None}
    return replace(change, desired=desired)


def _drifted(fields: list[FieldChange]) -> str:
    """The reason of drift. Of a secret only its reference is compared: its value may have changed on either side."""
    reason = "drift"
    return f"{reason}, or a new value of its secret" if any(f.secret for f in fields) else reason
