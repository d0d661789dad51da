"""`node`: what the rented machines have, what of it is free, and under which orders."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from dbc_iac.api.endpoints import nodes, vms
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import done, seen, table
from dbc_iac.cli.day2.scope import Scope
from dbc_iac.cli.options import json_option
from dbc_iac.kinds.reach import Reach
from dbc_iac.plan import Session


@click.group()
def node() -> None:
    """Look at GPU nodes."""


@node.command("list")
@click.option("--all", "everyone", is_flag=True, help="All nodes that the client node has heard of, not only ours.")
@json_option
@click.pass_obj
def node_list(app: App, everyone: bool, as_json: bool) -> None:
    """The project's nodes, with what is free."""
    app.json = as_json
    scope = Scope(app)
    if everyone:
        reach = scope.client()

        async def ask(session: Session) -> Any:
            return seen(await nodes.list_nodes(session.connect(reach)), "nodes")

        found = scope.work(ask)
        rows = [{"id": n.node_id, "name": n.name, "version": n.version} for n in found]
        app.show(table(("NODE ID", "NAME", "VERSION"), [tuple(r.values()) for r in rows]), rows)
        return
    rows = scope.work(lambda session: _summaries(session, scope.nodes()))
    heads = ("NODE", "GPUS FREE", "GPUS", "CPUS", "MEMORY FREE", "ORDER", "VMS", "PROBLEM")
    keys = ("name", "gpusFree", "gpus", "cpus", "memoryFree", "order", "vms", "problem")
    app.show(table(heads, [[r.get(k) for k in keys] for r in rows]), rows)


async def _summaries(session: Session, reaches: list[Reach]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_summary(session, r) for r in reaches)))


async def _summary(session: Session, reach: Reach) -> dict[str, Any]:
    channel = session.connect(reach)
    hardware, listing = await nodes.node_hardware(channel), await vms.list_vms(channel)
    row: dict[str, Any] = {"name": reach.name, "id": reach.target, "order": reach.rent_order or "none"}
    if isinstance(hardware, Done):
        have = hardware.value
        row |= {"gpus": have.gpu_count, "gpusFree": have.gpu_count - have.gpu_used, "cpus": have.cpu_cores}
        row["memoryFree"] = f"{float(have.mem_free_gib):.4g}Gi"
    if isinstance(listing, Done):
        row["vms"] = len(listing.value)
    row["problem"] = _why(hardware) or _why(listing)
    return row


def _why(outcome: Outcome[Any]) -> str:
    return "" if isinstance(outcome, Done) else outcome.message


@node.command("show")
@click.argument("name", metavar="NODE")
@json_option
@click.pass_obj
def node_show(app: App, name: str, as_json: bool) -> None:
    """One node: hardware, data directories, images, orders."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.node(name)

    async def ask(session: Session) -> dict[str, Any]:
        channel = session.connect(reach)
        have = seen(await nodes.node_hardware(channel), reach.name)
        await vms.list_vms(channel)  # an authorised call fills the node's cache of orders
        orders = await nodes.rent_orders(channel)
        return {
            "name": reach.name,
            "id": reach.target,
            "version": have.version,
            "os": have.os,
            "ip": have.ip,
            "cpu": have.cpu_type,
            "cpus": have.cpu_cores,
            "sockets": have.physical_cpus,
            "gpus": have.gpu_count,
            "gpusFree": have.gpu_count - have.gpu_used,
            "memory": f"{float(have.mem_size_gib):.4g}Gi",
            "memoryFree": f"{float(have.mem_free_gib):.4g}Gi",
            "directories": [{"path": d.path, "freeGib": round(float(d.free_gib), 1)} for d in have.disks],
            "images": [i.name for i in have.images],
            "orders": [
                {"id": o.id, "renter": o.renter, "status": o.rent_status, "end": o.rent_end, "gpus": list(o.gpu_index)}
                for o in (orders.value if isinstance(orders, Done) else ())
            ],
        }

    value = scope.work(ask)
    app.show(_page(value), value)


def _page(value: dict[str, Any]) -> str:
    lines = [f"{k:<12} {v}" for k, v in value.items() if not isinstance(v, list)]
    lines += [f"{'directory':<12} {d['path']}  {d['freeGib']} GiB free" for d in value["directories"]]
    lines += [f"{'image':<12} {name}" for name in value["images"]]
    lines += [
        f"{'order':<12} {o['id']}  {o['status']}  until block {o['end']}  GPUs {o['gpus']}" for o in value["orders"]
    ]
    return "\n".join(lines)


@node.command("free-memory")
@click.argument("name", metavar="NODE")
@json_option
@click.pass_obj
def node_free_memory(app: App, name: str, as_json: bool) -> None:
    """Have the node drop its page cache."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.node(name)

    async def ask(session: Session) -> None:
        done(await nodes.free_memory(session.connect(reach)), reach.name)

    scope.work(ask)
    app.show(f"{reach.name} drops its page cache.", {"node": reach.name})


@node.command("monitor")
@click.argument("name", metavar="NODE")
@click.argument("servers", nargs=-1, metavar="[HOST:PORT]...")
@click.option("--clear", is_flag=True, help="Report to nobody.")
@json_option
@click.pass_obj
def node_monitor(app: App, name: str, servers: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Show, or set, the zabbix servers that the node reports our VMs to (two at most)."""
    from dbc_iac.api.endpoints import monitors
    from dbc_iac.api.wire import MonitorServers

    app.json = as_json
    scope = Scope(app)
    reach = scope.node(name)

    async def ask(session: Session) -> tuple[str, ...]:
        channel = session.connect(reach)
        if servers or clear:
            done(await monitors.set_monitors(channel, MonitorServers(servers=servers)), reach.name)
        return seen(await monitors.list_monitors(channel), reach.name)

    found = scope.work(ask)
    app.show("\n".join(found) or "none", list(found))
