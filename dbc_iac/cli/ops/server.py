"""`server`: bare-metal servers, as the owner of a manager keeps them and as a renter uses them."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

import click

from dbc_iac.address import Address
from dbc_iac.api.endpoints import bare_metal, instances
from dbc_iac.api.endpoints.bare_metal import LIST_CAP
from dbc_iac.api.endpoints.instances import BootDevice
from dbc_iac.api.outcome import Done
from dbc_iac.api.storage_responses import InstanceView, ServerView
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.drift_warnings import warn_of_power
from dbc_iac.cli.ops.lookup import ResolvedTarget, TargetOptions, identity_options, server_argument
from dbc_iac.cli.ops.options import wait_options
from dbc_iac.cli.ops.outcomes import accepted, failed, read, read_remedy, retry_remedy, wait_for_goal
from dbc_iac.cli.ops.rented_server import instance
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.bare_metal.instance import BareMetalInstanceSpec, InstancePower
from dbc_iac.kinds.bare_metal.server import find_server
from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.framework.route import Route
from dbc_iac.views.text.tables import object_text, plain_json, table

manager_names = names("BareMetalManager")


@click.group()
def command() -> None:
    """Bare-metal servers: list, show, power, bootdev."""


@command.command("list")
@click.argument("manager", default="", shell_complete=manager_names)
@json_option
@click.pass_obj
def list_servers(app: App, /, manager: str) -> None:
    """List the servers of MANAGER, or of all BareMetalManagers; without any, those that the client nodes know."""

    async def work(console: Console) -> list[dict[str, Json]]:
        managers = _managers(console, manager)
        if not managers:
            return await _heard(console)
        rows = await asyncio.gather(*(_of_manager(console, route) for route in managers.values()))
        return [row for of_manager in rows for row in of_manager]

    rows = run(app, work)
    columns = ("resource", "uuid", "ip", "ipmiHostname", "description", "manager", "nodeId")
    lines = [[row.get(column) or "-" for column in columns] for row in rows if "nodeId" in row]
    unread = any("unreadable" in row for row in rows)
    header = ("RESOURCE", "UUID", "IP", "BMC", "DESCRIPTION", "MANAGER", "NODE ID")
    app.show(table(header, lines) if lines else _NONE[unread], rows)
    if unread:
        raise click.exceptions.Exit(ExitCode.ERROR)


_NONE = {False: "There is no server.", True: "There is no server of the managers that could be read."}


def _managers(console: Console, name: str) -> dict[str, Route]:
    """The way to the manager of that name, or to all."""
    documents = {r.name: r for r in console.inventory.of("BareMetalManager")}
    wanted = Address.given("BareMetalManager", name).label
    if wanted and wanted not in documents:
        raise lookup.unknown("BareMetalManager", name, documents, "Give the name of a BareMetalManager.")
    kind = kind_of("BareMetalManager")
    return {n: kind.route(r, console.inventory) for n, r in sorted(documents.items()) if wanted in {"", n}}


async def _of_manager(console: Console, route: Route) -> list[dict[str, Json]]:
    outcome = await bare_metal.list_servers(console.channel(route))
    if not isinstance(outcome, Done):
        summary = f"cannot read the servers of {route.name}: {outcome.message}"
        console.warn("unreadable", summary, remedy=read_remedy(outcome))
        return [{"manager": route.name, "unreadable": outcome.message}]
    if len(outcome.value) >= LIST_CAP:
        console.warn(
            "list-truncated", f"{route.name} lists at most {LIST_CAP} servers; there may be more",
            remedy="Use `dbc-iac server show UUID` for a server that is not listed.",
        )  # fmt: skip
    return [_owners(console, route, view) for view in outcome.value]


def _owners(console: Console, route: Route, view: ServerView) -> dict[str, Json]:
    """A server as its owner sees it, without the private key of its node."""
    if view.masked:
        raise failed(
            "owner-key-rejected", f"{route.name} rejected the key of the owner",
            remedy="Correct `nodeKey` of its identity.", exit_code=ExitCode.AUTHORISATION,
        )  # fmt: skip
    document = lookup.owned(console, "BareMetalServer", ResolvedTarget(view.node_id, route)).address
    shown = plain_json(view)
    rest = {k: v for k, v in shown.items() if k != "nodePrivateKey"} if isinstance(shown, dict) else {}
    return {"resource": document, "manager": route.name, **rest}


async def _heard(console: Console) -> list[dict[str, Json]]:
    rows: dict[str, dict[str, Json]] = {}
    for client in console.inventory.clients:
        heard = read(await bare_metal.list_heard_servers(console.client(client)), f"the servers known to {client}")
        rows.update({one.node_id: {"nodeId": one.node_id, "manager": one.name} for one in heard})
    return [rows[node_id] for node_id in sorted(rows)]


@command.command("show")
@server_argument
@click.option(
    "--manager",
    default="",
    shell_complete=manager_names,
    metavar="NAME",
    help="As the owner; SERVER is a UUID or node id of this manager.",
)
@identity_options
@json_option
@click.pass_obj
def show_server(app: App, /, server: str, manager: str, **where: str) -> None:
    """Show one server: as its owner (a BareMetalServer, or a UUID with --manager), else as its renter."""

    async def work(console: Console) -> dict[str, Json]:
        name = Address.given("BareMetalServer", server).label
        document = console.inventory.find("BareMetalServer", name)
        if manager or (document is not None and console.inventory.find("BareMetalInstance", name) is None):
            return await _as_owner(console, name, manager)
        found = instance(console, server, TargetOptions(**where))
        view = read(await instances.instance(console.channel(found.route)), found.label)
        return _renters(found, view)

    shown = run(app, work)
    app.show(
        object_text(str(shown["resource"] or shown["nodeId"]), {k: v for k, v in shown.items() if k != "resource"}),
        shown,
    )


async def _as_owner(console: Console, name: str, manager: str) -> dict[str, Json]:
    document = console.inventory.find("BareMetalServer", name)
    key = name
    if manager or document is None:
        ways = [*_managers(console, manager).values()]
        route = ways[0]
    else:
        route = kind_of("BareMetalServer").route(document, console.inventory)
        key = str(getattr(document.spec, "uuid", name))
    found: Any = await find_server(console.reader, route, node_id=key, uuid=key)
    if isinstance(found, Unreadable):
        code = ExitCode.AUTHORISATION if found.authority else ExitCode.ERROR
        summary, remedy = f"cannot read server {name}: {found.reason}", retry_remedy(found.reason)
        raise failed("unreadable", summary, remedy=remedy, exit_code=code)
    if found.value is None:
        raise failed(
            "not-found", f"{route.name} has no server {name}", remedy="Run `dbc-iac server list` for the servers."
        )
    return _owners(console, route, found.value)


def _renters(found: ResolvedTarget, view: InstanceView) -> dict[str, Json]:
    shown = plain_json(view)
    return {"resource": found.address, "nodeId": found.id, **(shown if isinstance(shown, dict) else {})}


@command.command("power")
@server_argument
@click.argument("verb", metavar="status|on|off|reset", type=click.Choice(["status", "on", "off", "reset"]))
@identity_options
@wait_options
@yes_option
@json_option
@click.pass_obj
def power(app: App, /, server: str, verb: str, wait: float | None, yes: bool, **where: str) -> None:
    """Show or change the power of a rented server. Off and reset are hard: the system is not notified.

    SERVER is a BareMetalInstance, a BareMetalServer or a node id.
    """

    async def work(console: Console) -> tuple[ResolvedTarget, str]:
        found = instance(console, server, TargetOptions(**where))
        now = read(await instances.power_status(console.channel(found.route)), f"the power of {found.label}")
        if verb == "status":
            return found, now
        if verb == now:
            return found, f"already {now}"
        if verb == "reset":
            return found, await _reset(console, found, now)
        return found, await _power(console, found, "on" if verb == "on" else "off", wait)

    found, status = run(app, work, yes=yes)
    app.show(f"{found.label}: {status}", {"server": found.id, "resource": found.address, "status": status})


async def _power(console: Console, found: ResolvedTarget, to: Literal["on", "off"], wait: float | None) -> str:
    spec = found.spec
    if isinstance(spec, BareMetalInstanceSpec):
        warn_of_power(console, found.address, spec.power, to)
    goal = InstancePower(address=found.label, route=found.route, id=found.id, to=to)
    with console.changing(f"Power {found.label} {to}?", f"server power {to}"):
        outcome = await goal.act(console.context(), console.reader)
    return await wait_for_goal(console, goal, outcome, f"dbc-iac server power {found.label} status", wait)


async def _reset(console: Console, found: ResolvedTarget, now: str) -> str:
    """Reset a server. Blind: its effect cannot be read."""
    if now == "off":
        raise failed(
            "server-off",
            f"{found.label} is off, and a reset has no effect",
            remedy=f"Use `dbc-iac server power {found.label} on`.",
        )
    with console.changing(f"Reset {found.label}?", "server power reset"):
        outcome = await instances.power_reset(console.channel(found.route))
    accepted(outcome, f"the reset of {found.label}", f"dbc-iac server show {found.label}")
    return "reset"


@command.command("bootdev")
@server_argument
@click.argument("device", type=click.Choice(get_args(BootDevice)))
@identity_options
@yes_option
@json_option
@click.pass_obj
def bootdev(app: App, /, server: str, device: BootDevice, yes: bool, **where: str) -> None:
    """Set the boot device of the next boot of a rented server. The setting cannot be read.

    The node does not report whether the BMC accepted it.
    """

    async def work(console: Console) -> ResolvedTarget:
        found = instance(console, server, TargetOptions(**where))
        spec = found.spec
        if isinstance(spec, BareMetalInstanceSpec) and spec.next_boot is not None:
            console.warn(
                "drift",
                f"the manifest of {found.address} has a nextBoot",
                detail="The next apply sets the boot device of nextBoot only if its trigger has changed.",
                remedy=f"Set `nextBoot.device` to {device} before you change its trigger.",
                address=found.address,
            )
        with console.changing(f"Boot {found.label} from {device} next time?", "server bootdev"):
            outcome = await instances.set_boot_device(console.channel(found.route), device)
        accepted(outcome, f"the boot device of {found.label}", f"dbc-iac server show {found.label}")
        return found

    found = run(app, work, yes=yes)
    text = f"{found.label}: next boot set to {device}; the node does not report whether the BMC accepted it"
    app.show(text, {"server": found.id, "resource": found.address, "device": device, "outcome": "accepted"})
