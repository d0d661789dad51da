"""Whose an object is that the API shows: by its owner's wallet, by its marker, by the machine that it is on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.marker import Marker, parse_marker
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.candidates import Candidate
from dbc_iac.plan.model import Change, FieldChange
from dbc_iac.plan.session import Session
from dbc_iac.state.document import Binding, State


def with_birth(session: Session, resource: Resource[Spec], base: Change, observation: Observation) -> Change:
    """The change with the marker and generation of what exists, where that was made by this stack as the document says.

    The name in it may be an earlier one: documents are renamed, markers are not.
    """
    born = _born(session, base, observation)
    if born is None or not kind_of(base.kind).matches(born, resource, session.inventory):
        return base
    return replace(base, generation=born.generation, marker=str(born))


def _born(session: Session, base: Change, observation: Observation) -> Marker | None:
    """The marker of what exists, where it is one of this project and stack."""
    born = parse_marker(observation.marker) if base.marker else None
    inventory = session.inventory
    return born if born is not None and born.is_of(inventory.project, inventory.stack) else None


Object = tuple[str, str, str, str]
"""One object, wherever it is bound: see `object_of`."""


def object_of(kind: str, identity: str, target: str, holder_id: str) -> Object:
    """What is equal for two bindings of one object. `holder_id`: of the VM that it lives on, where it lives on one."""
    return (kind, identity, "" if kind_of(kind).roams else target, holder_id)


def objects(state: State) -> dict[Object, str]:
    """The address that each object of a state is bound to."""
    return {_object(bound, state): address for address, bound in state.bindings.items()}


def _object(bound: Binding, state: State) -> Object:
    holder = state.bindings.get(bound.holder)
    holder_id = str(bound.resolved.get("vm", "")) or (holder.id if holder is not None else "")
    return object_of(bound.kind, bound.id, str(bound.where.get("target", "")), holder_id)


def foreign(
    session: Session, candidate: Candidate, resource: Resource[Spec], observation: Observation, base: Change
) -> Diagnostic | None:
    """Why an object that exists is not taken for ours; None where it is."""
    wallets = session.wallets(candidate.reach.identity)
    if observation.owner and wallets and observation.owner not in wallets:
        return resource.problem(
            "foreign-owner",
            "name",
            f"{observation.id} exists and belongs to {observation.owner}",
            remedy="Choose another name, or declare it with `external: true`.",
            exit_code=ExitCode.REFUSED,
        )
    if base.marker and observation.marker != base.marker and _born(session, base, observation) is not None:
        return resource.problem(
            "made-otherwise",
            "",
            f"{observation.id} is ours, and was made from another document: what the API never shows differs",
            detail="That is image, biosMode, multicast, nicModel or dataDisk.file. State, which would tell, was lost.",
            remedy=f"Write them as they were, or take it as it is: `dbc-iac import {base.address} {observation.id}`.",
            exit_code=ExitCode.REFUSED,
        )
    if base.marker and observation.marker != base.marker:
        return resource.problem(
            "foreign-owner",
            "",
            f"{observation.id} exists with another marker: {observation.marker or 'none'}",
            remedy="Is the uid of the project file copied from another project? Each project needs its own.",
            exit_code=ExitCode.REFUSED,
        )
    return None


def unproved(session: Session, resource: Resource[Spec], base: Change) -> Diagnostic | None:
    """The warning that goes with what is taken for ours by its name alone, and would be deleted with its document.

    What lives on a VM is that VM's, and what this state once began to make is likely its own.
    """
    kind = kind_of(base.kind)
    if base.marker or base.holder or base.address in session.state.generations or kind.left_behind(base.desired):
        return None
    other = "declare it with `external: true`" if hasattr(resource.spec, "external") else "remove the document here"
    return resource.problem(
        "adopted",
        "",
        f"{base.id} exists already, and nothing tells who made it: from now on it is {base.address}",
        detail="Its owner is ours, but it carries no mark of a project. What two projects manage, each changes and "
        "deletes under the other.",
        remedy=f"If another project manages it, {other}.",
        severity=Severity.WARNING,
    )


def moved_node(candidate: Candidate, resource: Resource[Spec]) -> Diagnostic | None:
    """A Node document whose id changed moves nothing: the VMs are still on the old machine."""
    assert candidate.binding is not None  # noqa: S101 - only bound resources are compared
    where = candidate.binding.where
    if where.get("name") != candidate.reach.name or where.get("target") == candidate.reach.target:
        return None
    return resource.problem(
        "node-id-changed",
        "",
        f"{candidate.reach.name} has another id now, but {resource.address} is on the old machine",
        remedy="Set the old id again, destroy what is there, and then change the id; or add a second Node document.",
        exit_code=ExitCode.REFUSED,
    )


def elsewhere(candidate: Candidate, resource: Resource[Spec], ignored: Iterable[FieldChange]) -> Iterator[Diagnostic]:
    """An object that stays where it is, though its manifest names another place: every call would go there."""
    kind, place, named = kind_of(resource.kind), candidate.place.target, candidate.reach.target
    moved = (f for f in ignored if f.path == kind.holder or (f.before, f.after) == (place, named))
    for field in moved:
        here = field.before if field.path == kind.holder else candidate.place.name.partition("/")[2]
        anew = "" if kind.irreplaceable else f", or replace it: --replace {resource.address}"
        yield resource.problem(
            "ignored-place",
            field.path,
            f"{resource.address} stays on {here}: {field.path} is in ignoreChanges",
            detail="Calls go where the manifest says that it is.",
            remedy=f"Write `{field.path}: {here}`{anew}.",
            exit_code=ExitCode.REFUSED,
        )
