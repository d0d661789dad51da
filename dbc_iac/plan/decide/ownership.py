"""Ownership of existing objects: by wallet, marker and machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Child, Marked
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import Change, FieldChange
from dbc_iac.plan.observe.tracked_objects import TrackedObject
from dbc_iac.state.document import Binding, State

ADOPTED = "adopted"
"""Code of the warning that an object is adopted by its name alone."""


def with_birth(context: PlanContext, resource: Resource[Spec], base: Change, observation: Observation) -> Change:
    """The change with marker and generation of the existing object, if it is of this stack and matches the manifest.

    The name in the marker may be an earlier one: a rename does not change it.
    """
    kind, born = kind_of(base.kind), _born(context, base, observation)
    if born is None or not isinstance(kind, Marked) or not kind.matches(born, resource, context.inventory):
        return base
    return replace(base, identity=replace(base.identity, generation=born.generation, marker=str(born)))


def _born(context: PlanContext, base: Change, observation: Observation) -> Marker | None:
    """Marker of the existing object, where it is of this project and stack."""
    born = parse_marker(observation.marker) if base.identity.marker else None
    inventory = context.inventory
    return born if born is not None and born.is_of(inventory.project, inventory.stack) else None


Object = tuple[str, str, str, str]
"""Identity of an object across addresses: see `object_of`."""


def object_of(kind: str, identity: str, target: str, parent_id: str) -> Object:
    """The value that is equal for two bindings of one object. `parent_id`: id of its VM, where it has one."""
    return (kind, identity, "" if kind_of(kind).location_independent else target, parent_id)


def objects(state: State) -> dict[Object, str]:
    """Address of each object of a state."""
    return {_object(bound, state): address for address, bound in state.bindings.items()}


def _object(bound: Binding, state: State) -> Object:
    kind, parent = kind_of(bound.kind), state.bindings.get(bound.parent)
    kept = kind.kept_parent_id(bound.resolved) if isinstance(kind, Child) else ""
    parent_id = kept or (parent.id if parent is not None else "")
    return object_of(bound.kind, bound.id, str(bound.route.get("target", "")), parent_id)


def foreign(
    context: PlanContext, tracked: TrackedObject, resource: Resource[Spec], observation: Observation, base: Change
) -> Diagnostic | None:
    """The refusal to adopt an existing object; None if it may be adopted."""
    wallets = context.wallets(tracked.route.identity)
    if observation.owner and wallets and observation.owner not in wallets:
        return resource.problem(
            "foreign-owner",
            "name",
            f"{observation.id} exists and belongs to {observation.owner}",
            remedy="Choose another name, or set `external: true`.",
            exit_code=ExitCode.REFUSED,
        )
    if (
        base.identity.marker
        and observation.marker != base.identity.marker
        and _born(context, base, observation) is not None
    ):
        return resource.problem(
            "created-differently",
            "",
            f"{observation.id} was created from another manifest",
            detail=f"One of these fields, which the API does not show, differs: {_hidden(base.kind)}.",
            remedy=f"Restore the values, or import it as it is: `dbc-iac import {base.address} {observation.id}`.",
            exit_code=ExitCode.REFUSED,
        )
    if base.identity.marker and observation.marker != base.identity.marker:
        return resource.problem(
            "foreign-owner",
            "",
            f"{observation.id} exists with another owner marker: {observation.marker or 'none'}",
            remedy="Give each project its own `uid` in the project file.",
            exit_code=ExitCode.REFUSED,
        )
    return None


def _hidden(kind: str) -> str:
    """Fields of a kind that require a replacement and that the API does not show."""
    found = (f.path for f in kind_of(kind).fields if f.rule.not_reported and f.rule.behaviour is Behaviour.REPLACE)
    return ", ".join(found)


def unproved(context: PlanContext, resource: Resource[Spec], base: Change) -> Diagnostic | None:
    """Warning of an adoption by name alone: the object would be deleted with its manifest.

    Children belong to their VM, and an address with an earlier generation was created by this stack.
    """
    kind = kind_of(base.kind)
    if (
        base.identity.marker
        or base.placement.parent
        or base.address in context.state.generations
        or kind.left_behind(base.desired)
    ):
        return None
    other = "set `external: true`" if hasattr(resource.spec, "external") else "remove it from the manifests"
    return resource.problem(
        ADOPTED,
        "",
        f"{base.identity.id} will be adopted as {base.address}",
        detail="It has no owner marker, and belongs to this wallet. Two projects must not manage the same object.",
        remedy=f"If another project manages it, {other}.",
        severity=Severity.WARNING,
    )


def moved_node(tracked: TrackedObject, resource: Resource[Spec]) -> Diagnostic | None:
    """The refusal of a Node whose id changed: its VMs stay on the old machine."""
    assert tracked.binding is not None  # noqa: S101 - only bound resources are compared
    bound_to = tracked.binding.route
    if bound_to.get("name") != tracked.route.name or bound_to.get("target") == tracked.route.target:
        return None
    return resource.problem(
        "node-id-changed",
        "",
        f"the id of {tracked.route.name} changed",
        detail=f"{resource.address} is on the old machine.",
        remedy="Set the old id again and destroy its resources first, or add a second Node.",
        exit_code=ExitCode.REFUSED,
    )


def elsewhere(tracked: TrackedObject, resource: Resource[Spec], ignored: Iterable[FieldChange]) -> Iterator[Diagnostic]:
    """Refusals of objects that stay while their manifests name another machine: calls would go there."""
    kind, place, named = kind_of(resource.kind), tracked.place.target, tracked.route.target
    moved = (f for f in ignored if f.path == kind.parent_field or (f.before, f.after) == (place, named))
    for field in moved:
        here = field.before if field.path == kind.parent_field else Address(tracked.place.name).name
        replace_it = "" if kind.irreplaceable else f", or replace it: --replace {resource.address}"
        yield resource.problem(
            "ignored-place",
            field.path,
            f"{resource.address} stays on {here}: {field.path} is in ignoreChanges",
            detail="Calls would go to the machine of the manifest.",
            remedy=f"Write `{field.path}: {here}`{replace_it}.",
            exit_code=ExitCode.REFUSED,
        )
