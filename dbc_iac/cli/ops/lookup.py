"""What a name or a raw id on the command line means: an object, the way to it, and the document that manages it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from dbc_iac.address import Address
from dbc_iac.cli.ops.console import Console
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds.current_route import current_route
from dbc_iac.kinds.framework.cached_reader import Known
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.node import NodeSpec

F = TypeVar("F", bound=Callable[..., Any])
NODE_ID = re.compile(r"[0-9a-f]{64}")
TASK_ID = re.compile(r"[A-Za-z0-9]{20,22}")


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The options that say how a raw id is reached; empty where the manifests say it."""

    node: str = ""
    identity: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """An object. `address` is that of its document, empty where no manifest manages it; `spec` what that says."""

    id: str
    route: Route
    address: str = ""
    spec: Spec | None = None

    @property
    def label(self) -> str:
        return self.address or self.id


def identity_options(command: F) -> F:
    """--identity and --order."""
    command = click.option("--order", default="", metavar="ID", help="Rent order; default: the document's.")(command)
    return click.option(
        "--identity", default="", metavar="NAME", help="Who asks; default: the document's, or the only identity."
    )(command)


def where_options(command: F) -> F:
    """--node, --identity and --order."""
    node_option = click.option("--node", default="", metavar="NAME|ID", help="The node of it; default: the only Node.")
    return node_option(identity_options(command))


def node(console: Console, where: TargetOptions) -> Route:
    """The way to a node: by the name of a Node document, by its id, or to the only one that there is."""
    documents = {r.name: r for r in console.inventory.of("Node")}
    named = documents.get(where.node.removeprefix("Node/"))
    if not where.node:
        if len(documents) != 1:
            raise unknown("node", "", documents, "Say which one with --node.")
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
    """The way to a target that no document names. Without --identity the only one of the project."""
    identities = tuple(console.project.loaded.project.identities)
    identity = where.identity or (identities[0] if len(identities) == 1 else "")
    return under(Route(target, target, identity, console.inventory.clients), replace(where, identity=identity))


async def vm(console: Console, name: str, where: TargetOptions) -> ResolvedTarget:
    """A VM by its document, or by its task id: on the node that is said, else on the Node that lists it."""
    found = managed(console, ("VirtualMachine",), name, where)
    if found is not None:
        return found
    if not TASK_ID.fullmatch(name):
        raise unknown(
            "VirtualMachine", name, _names(console, "VirtualMachine"), "Give a document's name, or a task id."
        )
    nodes = [replace(where, node=r.name) for r in console.inventory.of("Node")]
    if where.node or len(nodes) < 2:
        return owned(console, "VirtualMachine", ResolvedTarget(name, node(console, where)))
    for there in nodes:
        route = node(console, there)
        listed = await console.reader.vms(route)
        if isinstance(listed, Known) and name in listed.value:
            return owned(console, "VirtualMachine", ResolvedTarget(name, route))
    raise unknown("VM", name, (), "No Node of the project lists it. Say where it is with --node.")


def target(console: Console, where: TargetOptions) -> Route:
    """The way to anything that can be asked: a Node, a BareMetalManager or a BareMetalInstance, or an id."""
    if where.node and console.inventory.find("Node", where.node) is None:
        for kind in ("BareMetalManager", "BareMetalInstance"):
            resource = console.inventory.find(kind, where.node.removeprefix(f"{kind}/"))
            if resource is not None:
                return under(_route(console, resource), where)
    return node(console, where)


def managed(console: Console, kinds: tuple[str, ...], name: str, where: TargetOptions) -> ResolvedTarget | None:
    """What the document of that name (of the first of the kinds that has one) is bound to; None without one."""
    for kind in kinds:
        address = name if name.startswith(f"{kind}/") else Address.of(kind, name)
        binding, resource = console.state.bindings.get(address), console.inventory.resources.get(address)
        spec = resource.spec if resource is not None else None
        if binding is not None:
            there = current_route(Route.from_json(binding.route), kind_of(kind), console.inventory)
            if resource is not None and _route(console, resource).target == there.target:
                there = _route(console, resource)  # its identity and clients may have changed since
            return ResolvedTarget(binding.id, under(there, where), address, spec)
        if resource is None:
            continue
        own = getattr(spec, "id", None) or getattr(spec, "node_id", None)
        if own is None:
            raise DiagnosticError(
                resource.problem(
                    "not-applied", "", f"{address} is not in the state: it does not exist yet",
                    remedy="Apply it first, or give a raw id.", exit_code=ExitCode.ERROR,
                )
            )  # fmt: skip
        return ResolvedTarget(own, under(_route(console, resource), where), address, spec)
    return None


def owned(console: Console, kind: str, found: ResolvedTarget) -> ResolvedTarget:
    """The same object with the document that manages it, where the state binds one to its id."""
    for address, binding in console.state.bindings.items():
        if binding.kind == kind and binding.id == found.id and binding.route.get("target") == found.route.target:
            resource = console.inventory.resources.get(address)
            return replace(found, address=address, spec=resource.spec if resource is not None else None)
    return found


def unknown(what: str, name: str, known: Any, remedy: str) -> DiagnosticError:
    """Nothing has that name. The one that was probably meant is told."""
    near = get_close_matches(name.rpartition("/")[2], [*known], 1)
    summary = f"there is no {what} {name}" if name else f"there is not exactly one {what}"
    hint = f"Did you mean {near[0]}? " if near else ""
    return DiagnosticError(Diagnostic("unknown-name", Severity.ERROR, summary, remedy=hint + remedy))


def _names(console: Console, kind: str) -> set[str]:
    addresses = {*console.inventory.resources, *console.state.bindings}
    return {Address(a).name for a in addresses if a.startswith(f"{kind}/")}


def _route(console: Console, resource: Any) -> Route:
    try:
        return kind_of(resource.kind).route(resource, console.inventory)
    except KeyError:  # it refers to a document that is not there
        raise DiagnosticError(*console.project.check().errors) from None


def under(route: Route, where: TargetOptions) -> Route:
    """The same way under another order or identity, where one is given."""
    route = route.under(where.order) if where.order else route
    return replace(route, identity=where.identity) if where.identity else route
