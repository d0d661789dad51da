"""Objects by the names and raw ids of the command line, with their routes and manifests."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

import click
from msgspec import Struct, convert
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.cli.completions import identities, names
from dbc_iac.cli.ops.console import Console
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.kinds.current_route import current_route
from dbc_iac.kinds.framework.cached_reader import Known
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.node import NodeSpec

F = TypeVar("F", bound=Callable[..., Any])
NODE_ID = re.compile(r"[0-9a-f]{64}")
TASK_ID = re.compile(r"[A-Za-z0-9]{20,22}")


class TargetOptions(Struct, frozen=True):
    """Options for the route to a raw id; empty for the values of the manifests."""

    node: str = ""
    identity: str = ""
    order: str = ""


class ResolvedTarget(Struct, frozen=True):
    """An object. `address`: of its resource, empty if it is not managed; `spec`: of its manifest."""

    id: str
    route: Route
    address: str = ""
    spec: Spec | None = None

    @property
    def label(self) -> str:
        return self.address or self.id


def identity_options(command: F) -> F:
    """--identity and --order."""
    command = click.option("--order", default="", metavar="ID", help="Rent order; default: the manifest's.")(command)
    return click.option(
        "--identity",
        default="",
        metavar="NAME",
        shell_complete=identities,
        help="Identity; default: the manifest's, or the only one.",
    )(command)


node_names = names("Node")
vm_argument = click.argument("vm", shell_complete=names("VirtualMachine"))
server_argument = click.argument("server", shell_complete=names("BareMetalInstance", "BareMetalServer"))


def where_options(command: F) -> F:
    """--node, --identity and --order."""
    node_option = click.option(
        "--node",
        default="",
        metavar="NAME|ID",
        shell_complete=node_names,
        help="Node; default: the manifest's, or the only one.",
    )
    return node_option(identity_options(command))


def node(console: Console, where: TargetOptions) -> Route:
    """Route to a node: by the name of a Node, by its id, or the only one."""
    documents = {r.name: r for r in console.inventory.of("Node")}
    named = documents.get(Address.given("Node", where.node).label)
    if not where.node:
        if len(documents) != 1:
            known = f"one of: {', '.join(sorted(documents))}" if documents else "a node id"
            raise unknown("node", "", documents, f"Use --node with {known}.")
        [named] = documents.values()
    if named is None:
        same = [r for r in documents.values() if isinstance(r.spec, NodeSpec) and r.spec.id == where.node]
        named = same[0] if len(same) == 1 else None
    if named is not None:
        return under(_route(console, named), where)
    if not NODE_ID.fullmatch(where.node):
        raise unknown("Node", where.node, documents, "Give the name of a Node, or a node id of 64 hexadecimal digits.")
    return raw_route(console, where.node, where)


def raw_route(console: Console, target: str, where: TargetOptions) -> Route:
    """Route to a target without a manifest. Default identity: the only one of the project."""
    identities = tuple(console.project.loaded.project.identities)
    identity = where.identity or (identities[0] if len(identities) == 1 else "")
    return under(Route(target, target, identity, console.inventory.clients), replace(where, identity=identity))


async def vm(console: Console, name: str, where: TargetOptions) -> ResolvedTarget:
    """A VM by its name, or by its task id: on the given node, else on the Node that lists it."""
    found = managed(console, ("VirtualMachine",), name, where)
    if found is not None:
        return found
    if not TASK_ID.fullmatch(name):
        raise unknown(
            "VirtualMachine", name, _names(console, "VirtualMachine"), "Give a name of the manifests, or a task id."
        )
    nodes = [replace(where, node=r.name) for r in console.inventory.of("Node")]
    if where.node or len(nodes) < 2:
        return owned(console, "VirtualMachine", ResolvedTarget(name, node(console, where)))
    for there in nodes:
        route = node(console, there)
        listed = await console.reader.vms(route)
        if isinstance(listed, Known) and name in listed.value:
            return owned(console, "VirtualMachine", ResolvedTarget(name, route))
    raise unknown("VM", name, (), "Name its node with --node; no Node of the project lists it.")


def target(console: Console, where: TargetOptions) -> Route:
    """Route to a Node, a BareMetalManager, a BareMetalInstance, or an id."""
    if where.node and console.inventory.find("Node", where.node) is None:
        for kind in ("BareMetalManager", "BareMetalInstance"):
            resource = console.inventory.resources.get(Address.given(kind, where.node))
            if resource is not None:
                return under(_route(console, resource), where)
    return node(console, where)


def managed(console: Console, kinds: tuple[str, ...], name: str, where: TargetOptions) -> ResolvedTarget | None:
    """The object managed under a name, of the first kind that has one; None without one."""
    for kind in kinds:
        address = name if name.startswith(f"{kind}/") else Address.of(kind, name)
        binding, resource = console.state.bindings.get(address), console.inventory.resources.get(address)
        spec = resource.spec if resource is not None else None
        if binding is not None:
            there = current_route(convert(binding.route, Route), kind_of(kind), console.inventory)
            if resource is not None and _route(console, resource).target == there.target:
                there = _route(console, resource)  # its identity and clients may have changed since
            return ResolvedTarget(binding.id, under(there, where), address, spec)
        if resource is None:
            continue
        own = getattr(spec, "id", None) or getattr(spec, "node_id", None)
        if own is None:
            raise DiagnosticError(
                resource.problem(
                    "not-applied", "", f"{address} is not in the state",
                    remedy="Run `dbc-iac apply` first, or give a raw id.", exit_code=ExitCode.ERROR,
                )
            )  # fmt: skip
        return ResolvedTarget(own, under(_route(console, resource), where), address, spec)
    return None


def owned(console: Console, kind: str, found: ResolvedTarget) -> ResolvedTarget:
    """The object with the address that it is managed as, if it is in the state."""
    for address, binding in console.state.bindings.items():
        if binding.kind == kind and binding.id == found.id and binding.route.get("target") == found.route.target:
            resource = console.inventory.resources.get(address)
            return replace(found, address=address, spec=resource.spec if resource is not None else None)
    return found


def unknown(what: str, name: str, known: Any, remedy: str) -> DiagnosticError:
    """Diagnostic for an unknown name, with the most similar one."""
    near = get_close_matches(name.rpartition("/")[2], [*known], 1)
    summary = f"there is no {what} {name}" if name else f"no {what} given, and the project does not have exactly one"
    hint = f"Did you mean {near[0]}? " if near else ""
    return failure("unknown-name", summary, remedy=hint + remedy)


def _names(console: Console, kind: str) -> set[str]:
    addresses = {*console.inventory.resources, *console.state.bindings}
    return {Address(a).name for a in addresses if a.startswith(f"{kind}/")}


def _route(console: Console, resource: Any) -> Route:
    try:
        return kind_of(resource.kind).route(resource, console.inventory)
    except KeyError:  # a reference to a missing resource
        raise DiagnosticError(*console.project.check().errors) from None


def under(route: Route, where: TargetOptions) -> Route:
    """The route with another order or identity, if given."""
    route = route.under(where.order) if where.order else route
    return replace(route, identity=where.identity) if where.identity else route
