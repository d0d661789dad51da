"""`network`: virtual LANs of the nodes."""

from __future__ import annotations

import asyncio

import click
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.api.endpoints import networks
from dbc_iac.api.endpoints.networks import LIST_CAP
from dbc_iac.api.outcome import Done
from dbc_iac.api.responses import LanView
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import TargetOptions, node_names
from dbc_iac.cli.ops.outcomes import failed, read, read_remedy
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.network import NetworkSpec, lan_name
from dbc_iac.views.text.tables import members, object_text, table

node_option = click.option(
    "--node",
    default="",
    metavar="NAME|ID",
    shell_complete=node_names,
    help="Only this node; default: the Nodes of the manifests.",
)


@click.group()
def command() -> None:
    """Virtual LANs: list, show."""


@command.command("list")
@node_option
@json_option
@click.pass_obj
def list_networks(app: App, /, node: str) -> None:
    """List the LANs of the nodes, of all tenants."""

    async def work(console: Console) -> list[dict[str, Json]]:
        wanted = [node] if node else sorted(r.name for r in console.inventory.of("Node"))
        reaches = {r.target: r for r in (lookup.node(console, TargetOptions(name)) for name in wanted)}
        rows = await asyncio.gather(*(_listed(console, route) for route in reaches.values()))
        return [row for of_node in rows for row in of_node]

    rows = run(app, work)
    lines = [(r["networkName"], r["ipCidr"], r["resource"] or "-", r["members"], r["node"], r["rentWallet"])
             for r in rows if "networkName" in r]  # fmt: skip
    unread = any("unreadable" in row for row in rows)
    header = ("NAME", "RANGE", "RESOURCE", "MEMBERS", "NODE", "OWNER")
    app.show(table(header, lines) if lines else _NONE[unread], rows)
    if unread:
        raise click.exceptions.Exit(ExitCode.ERROR)


_NONE = {False: "There is no LAN.", True: "There is no LAN on the nodes that could be read."}


async def _listed(console: Console, route: Route) -> list[dict[str, Json]]:
    outcome = await networks.list_networks(console.public(route))
    if not isinstance(outcome, Done):
        summary = f"cannot read the LANs on {route.name}: {outcome.message}"
        console.warn("unreadable", summary, remedy=read_remedy(outcome))
        return [{"node": route.name, "unreadable": outcome.message}]
    found = {lan.network_name: lan for lan in outcome.value}
    if len(found) >= LIST_CAP:
        console.warn(
            "list-truncated", f"{route.name} lists at most {LIST_CAP} LANs; there may be more",
            remedy="Use `dbc-iac network show NAME` for a LAN that is not listed.",
        )  # fmt: skip
    for name in _documents(console, route).keys() - found.keys():
        lan = read(await networks.network(console.public(route), name), f"LAN {name}")
        if lan is not None:
            found[name] = lan
    return [_row(console, route, lan) for _, lan in sorted(found.items())]


def _name_of(console: Console, document: str) -> str:
    """The name of a Network's LAN: without `name` that of the LAN that the state has."""
    ids = {address: binding.id for address, binding in console.state.bindings.items()}
    return lan_name(document, replace(console.inventory, bound=ids))


def _documents(console: Console, route: Route) -> dict[str, str]:
    """Networks of the manifests on this node: address by LAN name."""
    return {
        _name_of(console, r.name): r.address
        for r in console.inventory.of("Network")
        if isinstance(r.spec, NetworkSpec) and lookup.node(console, TargetOptions(r.spec.via)).target == route.target
    }


def _row(console: Console, route: Route, lan: LanView) -> dict[str, Json]:
    return members(lan, node=route.name, resource=_documents(console, route).get(lan.network_name, ""))


@command.command("show")
@click.argument("name", metavar="NETWORK", shell_complete=names("Network"))
@node_option
@json_option
@click.pass_obj
def show_network(app: App, /, name: str, node: str) -> None:
    """Show one LAN of a node. NETWORK is a name of the manifests, or the name of the LAN."""

    async def work(console: Console) -> tuple[Route, LanView, dict[str, Json]]:
        document = console.inventory.resources.get(Address.given("Network", name))
        spec = document.spec if document is not None else None
        via = node or (spec.via if isinstance(spec, NetworkSpec) else "")
        route = lookup.node(console, TargetOptions(via))
        own = _name_of(console, document.name) if document is not None else name
        lan = read(await networks.network(console.public(route), own), f"LAN {own}")
        if lan is None:
            detail = "Another node may host it, or it has not been created yet."
            remedy = "Run `dbc-iac network list` for the LANs, and use --node."
            raise failed("not-found", f"{route.name} has no LAN {own}", detail, remedy)
        return route, lan, _row(console, route, lan)

    route, lan, row = run(app, work)
    text = object_text(str(row["resource"] or lan.network_name), {
        "name": lan.network_name, "range": lan.ip_cidr, "addresses": f"{lan.ip_start or '?'} to {lan.ip_end or '?'}",
        "owner": lan.rent_wallet, "members": lan.members, "vni": lan.vxlan_vni, "last used": lan.last_use_time,
        "machine": lan.machine_id, "as known by": route.name,
    })  # fmt: skip
    app.show(text, row)
