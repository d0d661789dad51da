"""`node`: hardware, free capacity and rent orders of GPU nodes, and the client nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click
from msgspec import convert

from dbc_iac.address import Address
from dbc_iac.api.endpoints import bare_metal, images, nodes
from dbc_iac.api.outcome import Done, NotSent, Refused, Unknown
from dbc_iac.api.requests import MonitorServers
from dbc_iac.api.responses import NodeHardware, NodeListing, RentOrder
from dbc_iac.cli.app import App
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import TargetOptions, identity_options, node_names
from dbc_iac.cli.ops.outcomes import accepted, read, read_remedy, retry_remedy
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import Reading, Unreadable
from dbc_iac.kinds.framework.route import Route
from dbc_iac.operations.rentals import chain_clock
from dbc_iac.plan.chain import ChainHead
from dbc_iac.plan.model import Rental
from dbc_iac.plan.observe.rentals import order_of, rental_of
from dbc_iac.views.text.tables import gib, members, object_text, plain_json, table
from dbc_iac.views.wording import count, end_text


@click.group()
def command() -> None:
    """GPU nodes: capacity, images, free GPUs, orders."""


@command.command("list")
@click.option("--all", "everyone", is_flag=True, help="Also unmanaged nodes that the client nodes know.")
@json_option
@click.pass_obj
def list_nodes(app: App, everyone: bool) -> None:
    """List the nodes with their free capacity, and when their rentals end. `node show` has the whole id."""

    async def work(console: Console) -> list[dict[str, Json]]:
        documents = sorted(r.name for r in console.inventory.of("Node"))
        reaches = {name: lookup.node(console, TargetOptions(name)) for name in documents}
        head = await _chain_head(console)
        rows = await asyncio.gather(*(_row(console, name, route, head) for name, route in reaches.items()))
        known = {route.target for route in reaches.values()}
        heard = await _heard(console) if everyone else {}
        return rows + [_listed(one) for node_id, one in sorted(heard.items()) if node_id not in known]

    rows = run(app, work)
    header = ("NAME", "VERSION", "GPUS FREE", "CORES", "MEMORY FREE", "DISK FREE", "ORDER", "RENTAL ENDS", "ID")
    app.show(table(header, map(_columns, rows)) if rows else "There is no Node.", rows)
    if any("unreadable" in row for row in rows):
        raise click.exceptions.Exit(ExitCode.ERROR)


async def _chain_head(console: Console) -> ChainHead | None:
    """The newest block of the project's chain; None without one, or with a warning."""
    loaded = console.project.loaded
    if (spec := loaded.project.chain) is None:
        return None
    head = await chain_clock(spec, console.project.runtime, loaded.where).head()
    if isinstance(head, Diagnostic):
        console.warn(head.code, head.summary, detail=head.detail, remedy=head.remedy)
        return None
    return head


async def _rental(console: Console, route: Route, head: ChainHead | None) -> Rental | None:
    """The rental of a node; None if its order cannot be read, as without a key."""
    order = await order_of(route, console.project.identities.wallets, console.reader)
    return None if order is None else rental_of(route, order, head)


async def _row(console: Console, name: str, route: Route, head: ChainHead | None) -> dict[str, Json]:
    outcome = await nodes.node_hardware(console.public(route))
    row: dict[str, Json] = {"name": name, "id": route.target, "rentOrder": route.rent_order or "none"}
    if not isinstance(outcome, Done):
        summary, remedy = f"cannot read Node/{name}: {outcome.message}", read_remedy(outcome)
        console.warn("unreadable", summary, remedy=remedy, address=Address.of("Node", name))
        return {**row, "unreadable": outcome.message}
    rental = await _rental(console, route, head)
    return {**row, **_capacity(outcome.value), "rental": plain_json(rental)}


def _capacity(has: NodeHardware) -> dict[str, Json]:
    return members(has, gpuFree=has.gpu_count - has.gpu_used)


async def _heard(console: Console) -> dict[str, NodeListing]:
    heard: dict[str, NodeListing] = {}
    for client in console.inventory.clients:
        listed = read(await nodes.list_nodes(console.client(client)), f"the nodes known to {client}")
        heard.update({one.node_id: one for one in listed})
    return heard


def _listed(one: NodeListing) -> dict[str, Json]:
    return {"name": "", "id": one.node_id, "host": one.name, "version": one.version}


def _columns(row: dict[str, Any]) -> tuple[object, ...]:
    if "gpuCount" not in row:
        state = "unreadable" if "unreadable" in row else row["version"]
        return row["name"] or "-", state, "", "", "", "", row.get("rentOrder", ""), "", row["id"]
    return (
        row["name"], row["version"], f"{row['gpuFree']}/{row['gpuCount']}", row["cpuCores"],
        f"{row['memFreeGib']}/{row['memSizeGib']}Gi", ", ".join(f"{d['path']} {d['freeGib']}Gi" for d in row["disks"]),
        row["rentOrder"], _end_text(convert(row["rental"], Rental)) if row["rental"] else "",
        f"{row['id'][:12]}…",
    )  # fmt: skip


@command.command("show")
@click.argument("name", metavar="[NODE]", default="", shell_complete=node_names)
@identity_options
@json_option
@click.pass_obj
def show_node(app: App, /, name: str, identity: str, order: str) -> None:
    """Show hardware, image files and rent orders of a node. NODE is a name of the manifests or a node id."""

    async def work(
        console: Console,
    ) -> tuple[Route, NodeHardware, Reading[tuple[RentOrder, ...]] | None, ChainHead | None]:
        route = lookup.node(console, TargetOptions(name, identity, order))
        has = read(await nodes.node_hardware(console.public(route)), f"node {route.name}")
        orders = await console.reader.orders(route) if route.identity else None
        if isinstance(orders, Unreadable):
            summary = f"cannot read the orders of {route.name}: {orders.reason}"
            console.warn("unreadable", summary, remedy=retry_remedy(orders.reason))
        return route, has, orders, await _chain_head(console)

    route, has, found, head = run(app, work)
    orders = None if found is None or isinstance(found, Unreadable) else found.value
    rentals = {o.id: rental_of(route, o, head) for o in orders or ()}
    listed: Json = None if orders is None else [members(o, **_end(rentals[o.id])) for o in orders]
    shown: dict[str, Json] = {"name": route.name, "id": route.target, **_capacity(has), "orders": listed}
    app.show(_text(route, has, orders, rentals), shown)
    if isinstance(found, Unreadable):
        raise click.exceptions.Exit(ExitCode.ERROR)


def _end_text(rental: Rental) -> str:
    """The end of a rental below the heading of its column: `in 2 d 2 h, 2026-12-01 08:00 UTC`."""
    return end_text(rental).removeprefix("ends ")


def _end(rental: Rental | None) -> dict[str, Json]:
    return {"endsAt": rental.ends_at, "secondsLeft": rental.seconds_left} if rental else {}


def _text(
    route: Route, has: NodeHardware, orders: tuple[RentOrder, ...] | None, rentals: Mapping[str, Rental | None]
) -> str:
    head = object_text(
        route.name,
        {
            "id": route.target,
            "version": has.version,
            "address": has.ip,
            "system": has.os,
            "cpu": f"{has.cpu_cores} cores for rent on {count(has.physical_cpus, 'socket')} ({has.cpu_type})",
            "gpus": f"{has.gpu_count - has.gpu_used} of {has.gpu_count} free",
            "memory": f"{gib(has.mem_free_gib)} of {gib(has.mem_size_gib)} free",
            **{f"disk {d.path}": f"{gib(d.free_gib)} of {gib(d.size_gib)} free" for d in has.disks},
        },
    )
    images = table(("IMAGE", "SIZE"), ((i.name, gib(i.size_gib)) for i in has.images))
    if orders is None:
        return f"{head}\n\n{images}"
    ends = {key: _end_text(rental) if rental else None for key, rental in rentals.items()}
    rows = ((o.id, o.rent_status, o.gpu_count, o.gpu_index, ends[o.id], o.renter) for o in orders)
    return f"{head}\n\n{images}\n\n{table(('ORDER', 'STATUS', 'GPUS', 'GPU INDEXES', 'RENTAL ENDS', 'RENTER'), rows)}"


@command.command("clients")
@json_option
@click.pass_obj
def clients(app: App) -> None:
    """List the client nodes with the numbers of nodes, peers and image servers that they know."""

    async def work(console: Console) -> list[dict[str, Json]]:
        return list(await asyncio.gather(*(_client(console, name) for name in console.inventory.clients)))

    rows = run(app, work)
    header = ("NAME", "VERSION", "GPU NODES", "SERVERS", "PEERS", "IMAGE SERVERS")
    app.show(table(header, [tuple(row.get(k) for k in _CLIENT) for row in rows]), rows)
    if any("unreadable" in row for row in rows):
        raise click.exceptions.Exit(ExitCode.ERROR)


_CLIENT = ("name", "version", "gpuNodes", "servers", "peers", "imageServers")


async def _client(console: Console, name: str) -> dict[str, Json]:
    way = console.client(name)
    version = await nodes.client_version(way)
    if not isinstance(version, Done):
        return {"name": name, **_unreadable(console, f"client node {name}", version)}
    heard = {
        "gpuNodes": ("GPU nodes", await nodes.list_nodes(way)),
        "servers": ("servers", await bare_metal.list_heard_servers(way)),
        "peers": ("peers", await nodes.peers(way, "active")),
        "imageServers": ("image servers", await images.list_image_servers(way)),
    }
    row: dict[str, Json] = {"name": name, "version": version.value}
    for key, (what, outcome) in heard.items():
        if not isinstance(outcome, Done):
            row |= {key: None, **_unreadable(console, f"the {what} of client node {name}", outcome)}
        else:
            row[key] = [*outcome.value] if key == "imageServers" else len(outcome.value)
    return row


def _unreadable(console: Console, what: str, outcome: Refused | NotSent | Unknown) -> dict[str, Json]:
    console.warn("unreadable", f"cannot read {what}: {outcome.message}", remedy=read_remedy(outcome))
    return {"unreadable": outcome.message}


@command.command("free-memory")
@click.argument("name", metavar="[NODE]", default="", shell_complete=node_names)
@identity_options
@yes_option
@json_option
@click.pass_obj
def free_memory(app: App, /, name: str, identity: str, order: str, yes: bool) -> None:
    """Drop the page cache of a node, if a VM is refused for lack of memory."""

    async def work(console: Console) -> str:
        route = lookup.node(console, TargetOptions(name, identity, order))
        with console.changing(f"Drop the page cache of {route.name}?", "node free-memory"):
            outcome = await nodes.free_memory(console.channel(route))
        accepted(outcome, "dropping the page cache", f"dbc-iac node show {route.name}")
        return route.name

    done = run(app, work, yes=yes)
    app.show(f"{done}: dropped the page cache", {"node": done, "outcome": "done"})


@command.command("monitor")
@click.argument("name", metavar="NODE", shell_complete=node_names)
@click.argument("servers", nargs=-1, metavar="[HOST:PORT]...")
@click.option("--clear", is_flag=True, help="Remove all monitor servers.")
@identity_options
@yes_option
@json_option
@click.pass_obj
def monitor(
    app: App,
    /,
    name: str,
    servers: tuple[str, ...],
    clear: bool,
    identity: str,
    order: str,
    yes: bool,
) -> None:
    """Show the Zabbix servers that receive the measurements of your VMs, or set at most two."""

    if servers and clear:
        raise click.UsageError("give either HOST:PORT or --clear")

    async def work(console: Console) -> tuple[str, ...]:
        route = lookup.node(console, TargetOptions(name, identity, order))
        if servers or clear:
            body = MonitorServers(servers=servers)
            look = f"dbc-iac node monitor {route.name}"
            with console.changing(f"Change the monitor servers of {route.name}?", "node monitor"):
                accepted(
                    await nodes.set_monitor_servers(console.channel(route), body), "setting the monitor servers", look
                )
        return read(await nodes.monitor_servers(console.channel(route)), "the monitor servers")

    found = run(app, work, yes=yes)
    app.show("\n".join(found) or "There is no monitor server.", {"servers": list(found)})
