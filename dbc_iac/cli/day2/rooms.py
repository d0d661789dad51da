"""`network`, `server`, `deeplink`: LANs of a machine room, bare-metal servers as owner and renter, DeepLink."""

from __future__ import annotations

from typing import Any

import click

from dbc_iac.api import wire
from dbc_iac.api.endpoints import bare_metal, instances, networks
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import HIDDEN, done, problem, seen, table
from dbc_iac.cli.day2.scope import Scope
from dbc_iac.cli.day2.vm import _password
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.plan import Session


@click.group()
def network() -> None:
    """Look at virtual LANs."""


@network.command("list")
@click.option("--node", default="", metavar="NODE", help="As this node knows them.")
@json_option
@click.pass_obj
def network_list(app: App, node: str, as_json: bool) -> None:
    """The LANs that the project's nodes know, of all tenants (31 a node at most)."""
    app.json = as_json
    scope = Scope(app)

    async def ask(session: Session) -> list[dict[str, Any]]:
        rows = []
        for reach in scope.nodes(node):
            for lan in seen(await networks.list_networks(session.connect(reach)), reach.name):
                rows.append(_lan(lan) | {"node": reach.name, "address": scope.managed("Network", lan.network_name)})
        return rows

    rows = scope.work(ask)
    keys = ("name", "cidr", "members", "owner", "node", "address")
    heads = ("NAME", "CIDR", "MEMBERS", "OWNER", "NODE", "DOCUMENT")
    app.show(table(heads, [[len(r[k]) if k == "members" else r[k] for k in keys] for r in rows]), rows)


@network.command("show")
@click.argument("name", metavar="NETWORK")
@click.option("--node", default="", metavar="NODE", help="Default: the one of its document, or the first.")
@json_option
@click.pass_obj
def network_show(app: App, name: str, node: str, as_json: bool) -> None:
    """One LAN, with its members as that node heard of them."""
    app.json = as_json
    scope = Scope(app)
    place = scope.bound("Network", name) if not node else None
    reach = place.reach if place is not None else scope.nodes(node)[0]
    lan_name = place.id if place is not None else name

    async def ask(session: Session) -> Any:
        return seen(await networks.network(session.connect(reach), lan_name), lan_name)

    lan = scope.work(ask)
    if lan is None:
        raise problem("unknown-name", f"{reach.name} knows no LAN {lan_name}", "See `dbc-iac network list`.")
    value = _lan(lan) | {"node": reach.name}
    app.show("\n".join(f"{k:<10} {', '.join(v) if isinstance(v, list) else v}" for k, v in value.items()), value)


def _lan(lan: Any) -> dict[str, Any]:
    return {"name": lan.network_name, "cidr": lan.ip_cidr, "owner": lan.rent_wallet, "members": list(lan.members)}


@click.group()
def server() -> None:
    """Bare-metal servers: the owner's list, and the renter's power."""


@server.command("list")
@click.argument("manager", metavar="MANAGER")
@json_option
@click.pass_obj
def server_list(app: App, manager: str, as_json: bool) -> None:
    """The servers of a BareMetalManager, as their owner sees them (51 at most)."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.manager(manager)

    async def ask(session: Session) -> Any:
        return seen(await bare_metal.list_servers(session.connect(reach)), reach.name)

    rows = [_server(s) | {"address": scope.managed("BareMetalServer", s.node_id)} for s in scope.work(ask)]
    keys = ("uuid", "ip", "bmc", "id", "address")
    app.show(table(("UUID", "IP", "BMC", "NODE ID", "DOCUMENT"), [[r[k] for k in keys] for r in rows]), rows)


@server.command("show")
@click.argument("manager", metavar="MANAGER")
@click.argument("name", metavar="UUID")
@json_option
@click.pass_obj
def server_show(app: App, manager: str, name: str, as_json: bool) -> None:
    """One server, with what its BMC says. Slow: the manager asks it."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.manager(manager)

    async def ask(session: Session) -> Any:
        return seen(await bare_metal.server(session.connect(reach), name), name)

    found = scope.work(ask)
    if found is None:
        raise problem("unknown-name", f"{reach.name} has no server {name}", "See `dbc-iac server list`.")
    value = _server(found) | {"power": found.power_status}
    app.show("\n".join(f"{k:<12} {v}" for k, v in value.items() if v), value)


def _server(one: Any) -> dict[str, Any]:
    port = f":{one.ipmi_port}" if one.ipmi_port else ""
    return {
        "id": one.node_id,
        "uuid": one.uuid,
        "ip": one.ip,
        "os": one.os,
        "description": one.description,
        "bmc": f"{one.ipmi_hostname}{port}",
        "ownerSeen": not one.masked,
    }


@server.command("power")
@click.argument("name", metavar="INSTANCE")
@click.argument("command", type=click.Choice(["status", "on", "off", "reset"]))
@yes_option
@json_option
@click.pass_obj
def server_power(app: App, name: str, command: str, yes: bool, as_json: bool) -> None:
    """Power of a rented server, by the exact words of its BMC. `off` is hard."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.instance(name)
    if command != "status":
        scope.consent(yes, f"Power {command} of {name}?")

    async def ask(session: Session) -> str:
        channel = session.connect(reach)
        if command == "status":
            return seen(await instances.power_status(channel), name)
        call = {"on": instances.power_on, "off": instances.power_off, "reset": instances.power_reset}[command]
        done(await call(channel), f"power {command} of {name}")
        return command

    said = scope.work(ask)
    text = f"{name} is {said}." if command == "status" else f"Power {command} of {name} was acknowledged by its BMC."
    app.show(text, {"node": reach.target, "command": command, "said": said})


@server.command("bootdev")
@click.argument("name", metavar="INSTANCE")
@click.argument("device", type=click.Choice(["none", "pxe", "disk", "cdrom", "bios"]))
@yes_option
@json_option
@click.pass_obj
def server_bootdev(app: App, name: str, device: Any, yes: bool, as_json: bool) -> None:
    """Where a rented server boots from the next time. Nothing shows whether it worked."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.instance(name)
    scope.consent(yes, f"Boot {name} from {device} the next time?")

    async def ask(session: Session) -> None:
        done(await instances.set_boot_device(session.connect(reach), device), f"boot device of {name}")

    scope.work(ask)
    app.show(f"{name} was told to boot from {device} once.", {"node": reach.target, "device": device})


@click.group()
def deeplink() -> None:
    """The DeepLink program on a rented server."""


@deeplink.command("get")
@click.argument("name", metavar="INSTANCE")
@click.option("--reveal", is_flag=True, help="Show its password, too.")
@json_option
@click.pass_obj
def deeplink_get(app: App, name: str, reveal: bool, as_json: bool) -> None:
    """Its device id, as it last reported."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.instance(name)

    async def ask(session: Session) -> Any:
        return seen(await instances.deeplink(session.connect(reach)), name)

    device = scope.work(ask)
    password = device.device_password.reveal() if reveal else HIDDEN
    app.show(
        f"device id  {device.device_id}\npassword   {password}", {"deviceId": device.device_id, "password": password}
    )


@deeplink.command("set")
@click.argument("name", metavar="INSTANCE")
@click.option("--password-env", metavar="NAME", help="Variable with the password; default: it is asked for.")
@yes_option
@json_option
@click.pass_obj
def deeplink_set(app: App, name: str, password_env: str | None, yes: bool, as_json: bool) -> None:
    """Set its password. It is passed on to the program; the old one is shown until that reports back."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.instance(name)
    password = _password(app, password_env)
    scope.consent(yes, f"Set the DeepLink password of {name}?")

    async def ask(session: Session) -> None:
        body = wire.DeeplinkPassword(device_password=password)
        done(await instances.set_deeplink_password(session.connect(reach), body), f"DeepLink of {name}")

    scope.work(ask)
    app.show(f"DeepLink of {name} was told the password.", {"node": reach.target})
