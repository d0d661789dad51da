"""Taking an object in: the document says how it is to be, the API how it is, the binding that it is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.importing.discover import whose
from dbc_iac.json import Json
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Child
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.plan.check.references import dependencies
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object, object_of, objects
from dbc_iac.plan.decide.port_allocation import choose_ports
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import find_tracked_objects, parent_address
from dbc_iac.state.document import Binding


@dataclass(frozen=True, slots=True)
class OtherStacks:
    """What is another's: what other stacks have, by their states, and which; and whether its marker may be passed over.

    `told` collects the warnings that go with that.
    """

    held: Mapping[Object, str] = field(default_factory=dict)
    taken_over: bool = False
    told: Diagnostics = field(default_factory=Diagnostics)


async def adopt(
    context: PlanContext, address: str, identity: str, reader: CachedReader, others: OtherStacks
) -> Binding:
    """The binding of a document to the object with that id. Raises DiagnosticError where it cannot be."""
    resource = _document(context, address)
    parent = parent_address(resource)
    parent_id = context.state.bindings[parent].id if parent in context.state.bindings else ""
    if parent and not parent_id:
        raise _problem(address, f"{parent} is not in the state", f"Import {parent} first.")
    kind = kind_of(resource.kind)
    route = kind.route(resource, context.inventory)
    key = kind.natural_key(resource, context.inventory)
    lookup = Lookup(address, route, identity, 1, None, key, parent_id)
    seen = await kind.observe(lookup, reader)
    if seen.present is None:
        raise _problem(address, f"{identity} cannot be read: {seen.reason}", "Try again when it can.")
    if not seen.present or seen.id != identity:
        raise _problem(address, f"there is no {kind.name} {identity} at {route.name}", "See `dbc-iac orphans`.")
    if isinstance(kind, Child) and (part := kind.part_of(seen)):
        raise _problem(address, f"{identity} is {part} of {parent}", "It is managed with its VM, by `dataDisk`.")
    holding = objects(context.state).get(object_of(kind.name, identity, route.target, parent_id))
    if holding is not None:
        remedy = f"Where the document was renamed: `dbc-iac state mv {holding} {address}`."
        raise _problem(address, f"{identity} is bound to {holding} already", remedy)
    if stack := others.held.get(object_of(kind.name, identity, route.target, parent_id)):
        remedy = f"Declare it in one of them; or take it from {stack} first: --stack {stack} state rm."
        raise _problem(address, f"{identity} is the stack {stack}'s already", remedy)
    _check_marker(context, address, identity, parse_marker(seen.marker), others)
    wallets = context.wallets(route.identity)
    if seen.owner and wallets and seen.owner not in wallets:
        raise _problem(address, f"{identity} belongs to {seen.owner}", "Declare it with `external: true`.")
    _check_made_with(context, resource, seen)
    return bound(context, resource, identity, seen, parent, reader)


def _check_made_with(context: PlanContext, resource: Resource[Spec], seen: Observation) -> None:
    """What is believed where the API does not show it: a user's own file would be deleted without being named."""
    wanted = kind_of(resource.kind).desired(resource, context.inventory)
    for path, value in seen.made_with.items():
        if wanted.get(path) != value:
            said = f"{seen.id} has the {path} {value}" if value else f"{seen.id} has no {path}"
            remedy = f"Write `{path}: {value}` in its document." if value else f"Take `{path}` out of its document."
            raise _problem(resource.address, f"{said}, and the document says otherwise", remedy)


def _check_marker(
    context: PlanContext, address: str, identity: str, marker: Marker | None, others: OtherStacks
) -> None:
    """A marker is a birth certificate: it may be stale, but whoever it names may still manage what carries it."""
    if marker is None or whose(marker, context) == "ours":
        return
    owner = f"the stack {marker.stack} of the project {marker.project}"
    summary = f"{identity} was made by {owner}, as {marker.name}"
    if not others.taken_over:
        remedy = f"If that manages it no more: `dbc-iac import --foreign {address} {identity}`."
        raise _problem(address, summary, remedy)
    detail = "What two projects or stacks manage, each changes and deletes under the other."
    remedy = f"Let {owner} forget it (`state rm`), and take its document away there."
    others.told.add(Diagnostic("taken-over", Severity.WARNING, summary, detail, remedy, address=address))


def bound(
    context: PlanContext, resource: Resource[Spec], identity: str, seen: Observation, parent: str, reader: CachedReader
) -> Binding:
    """What differs from the document is left to the next plan; what the API does not show is believed."""
    address, kind = resource.address, kind_of(resource.kind)
    refreshed = RefreshedState(find_tracked_objects(context), {address: seen}, reader)
    wanted = choose_ports(context.inventory, refreshed, Diagnostics())[address]
    applied = {path: seen.values.get(path, value) for path, value in wanted.items()}
    marker = parse_marker(seen.marker)
    known = context.state.generations.get(address, 0)
    generation = marker.generation if marker is not None and marker.generation > known else known + 1
    resolved: dict[str, Json] = dict(seen.resolved)
    return Binding(
        address=address,
        kind=kind.name,
        id=identity,
        generation=generation,
        route=kind.route(resource, context.inventory).to_json(),
        applied=applied,
        dependencies=dependencies(resource, context.inventory),
        protected=kind.protected(resource),
        parent=parent,
        resolved=resolved,
    )


def _document(context: PlanContext, address: str) -> Resource[Spec]:
    resource = context.inventory.resources.get(address)
    if resource is None:
        raise _problem(address, f"there is no document {address}", "Write it first, or use --all --generate DIR.")
    if kind_of(resource.kind).read_only:
        raise _problem(address, f"a {resource.kind} is only looked at", "There is nothing to import.")
    if address in context.state.bindings:
        raise _problem(
            address,
            f"{address} is bound to {context.state.bindings[address].id} already",
            f"`dbc-iac state rm {address}` forgets that, without touching it.",
        )
    return resource


def _problem(address: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic("cannot-import", Severity.ERROR, summary, remedy=remedy, address=address, exit_code=ExitCode.REFUSED)
    )
