"""Import of an existing object: its binding to a resource of the manifests."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from msgspec import Struct, field

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity, failure
from dbc_iac.importing.discover import whose
from dbc_iac.json import Json
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Child
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object, object_of, objects
from dbc_iac.plan.decide.port_allocation import choose_ports
from dbc_iac.plan.dependencies import dependencies
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import find_tracked_objects, parent_address
from dbc_iac.state.document import Binding

_LOG = logging.getLogger("dbc_iac.importing")


class OtherStacks(Struct, frozen=True):
    """Objects of other stacks by their states, with the name of the stack; and whether foreign markers are accepted.

    `warnings` are about accepted markers.
    """

    held: Mapping[Object, str] = field(default_factory=dict)
    taken_over: bool = False
    warnings: Diagnostics = field(default_factory=Diagnostics)


async def adopt(
    context: PlanContext, address: str, identity: str, reader: CachedReader, others: OtherStacks
) -> Binding:
    """The binding of a resource to the object with that id. Raises DiagnosticError if it cannot be imported."""
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
        raise _problem(
            address, f"{identity} cannot be read: {seen.reason}", f"Run the import again when {route.name} answers."
        )
    if not seen.present or seen.id != identity:
        raise _problem(
            address, f"{route.name} has no {kind.name} {identity}", "Run `dbc-iac orphans` to list unmanaged objects."
        )
    if isinstance(kind, Child) and (part := kind.part_of(seen)):
        raise _problem(address, f"{identity} is {part} of a VM", f"Manage it with `dataDisk` of {parent}.")
    holding = objects(context.state).get(object_of(kind.name, identity, route.target, parent_id))
    if holding is not None:
        remedy = f"If the manifest was renamed, run `dbc-iac state mv {holding} {address}`."
        raise _problem(address, f"{identity} is already managed as {holding}", remedy)
    if stack := others.held.get(object_of(kind.name, identity, route.target, parent_id)):
        remedy = f"Remove it from that stack first: `dbc-iac --stack {stack} state rm`."
        raise _problem(address, f"{identity} is already managed by stack {stack}", remedy)
    _check_marker(context, address, identity, parse_marker(seen.marker), others)
    wallets = context.wallets(route.identity)
    if seen.owner and wallets and seen.owner not in wallets:
        raise _problem(address, f"{identity} belongs to wallet {seen.owner}", "Set `external: true` in its manifest.")
    _check_made_with(context, resource, seen)
    _LOG.info("%s can be managed as %s", identity, address)
    return bound(context, resource, identity, seen, parent, reader)


def _check_made_with(context: PlanContext, resource: Resource[Spec], seen: Observation) -> None:
    """Refuse a manifest that contradicts inferred fields: a user's own data file would be deleted without a warning."""
    wanted = kind_of(resource.kind).desired(resource, context.inventory)
    for path, value in seen.made_with.items():
        if wanted.get(path) != value:
            actual = f"{path} of {seen.id} is {value}" if value else f"{seen.id} has no {path}"
            remedy = f"Set `{path}: {value}` in its manifest." if value else f"Remove `{path}` from its manifest."
            raise _problem(resource.address, actual, remedy, f"The manifest has {wanted.get(path) or 'none'}.")


def _check_marker(
    context: PlanContext, address: str, identity: str, marker: Marker | None, others: OtherStacks
) -> None:
    """Refuse the marker of another project or stack, which may still manage the object."""
    if marker is None or whose(marker, context) == "ours":
        return
    owner = f"stack {marker.stack} of project {marker.project}"
    summary, created = f"{identity} belongs to another stack", f"It was created by {owner} as {marker.name}."
    if not others.taken_over:
        remedy = f"If {owner} no longer manages it, run `dbc-iac import --foreign {address} {identity}`."
        raise _problem(address, summary, remedy, created)
    detail = f"{created} Two stacks must not manage one object: each would change or delete it for the other."
    remedy = f"In {owner}, run `dbc-iac state rm` for it and remove its manifest."
    others.warnings.add(Diagnostic("taken-over", Severity.WARNING, summary, detail, remedy, address=address))


def bound(
    context: PlanContext, resource: Resource[Spec], identity: str, seen: Observation, parent: str, reader: CachedReader
) -> Binding:
    """The binding of an observed object. Hidden fields are assumed to be those of the manifest."""
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
        raise _problem(address, f"{address} is not in the manifests", "Add it first, or use --all --generate DIR.")
    if kind_of(resource.kind).read_only:
        raise _problem(address, f"a {resource.kind} is read-only", "Remove it from the command: it needs no import.")
    if address in context.state.bindings:
        raise _problem(
            address,
            f"{address} is already in the state (id {context.state.bindings[address].id})",
            f"Use `dbc-iac state rm {address}` first to import another object; the current one is untouched.",
        )
    return resource


def _problem(address: str, summary: str, remedy: str, detail: str = "") -> DiagnosticError:
    return failure("cannot-import", summary, detail, remedy, address=address, exit_code=ExitCode.REFUSED)
