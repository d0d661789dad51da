"""`vm`: look at VMs, power them by hand, set a password, find the way in. Their documents stay as they are."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import click

from dbc_iac.api import wire
from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import vms
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.reading import VmDetails
from dbc_iac.api.secret import SecretText
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import HIDDEN, done, gib, problem, seen, table
from dbc_iac.cli.day2.scope import POLL_SECONDS, Place, Scope, wait_option
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.kinds.virtual_machine.identity import read_marker
from dbc_iac.kinds.virtual_machine.power import TRANSITIONAL
from dbc_iac.plan import Session

PATIENCE = 600.0
"""Seconds that --wait waits."""
_SECRET_IN_LOG = re.compile(r"(?i)(password|passwd|pwd)(\s*[:=]\s*)(\S+?)(?=[,;\s]|$)")


@click.group()
def vm() -> None:
    """Look at VMs and handle them."""


@vm.command("list")
@click.option("--node", default="", metavar="NODE", help="Only of this node.")
@json_option
@click.pass_obj
def vm_list(app: App, node: str, as_json: bool) -> None:
    """All VMs of our wallets on the project's nodes, with the documents that manage them."""
    app.json = as_json
    scope = Scope(app)
    bound = {b.id: a for a, b in scope.state.bindings.items() if b.kind == "VirtualMachine"}

    async def ask(session: Session) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for reach in scope.nodes(node):
            for one in seen(await vms.list_vms(session.connect(reach)), reach.name):
                text, marker = read_marker(one.desc)
                row = {
                    "id": one.task_id,
                    "node": reach.name,
                    "status": one.status,
                    "address": bound.get(one.task_id, ""),
                }
                rows.setdefault(one.task_id, row | {"description": text, "marker": str(marker or "")})
        return rows

    rows = list(scope.work(ask).values())
    heads, keys = (
        ("ID", "NODE", "STATUS", "DOCUMENT", "DESCRIPTION"),
        ("id", "node", "status", "address", "description"),
    )
    app.show(table(heads, [[r[k] for k in keys] for r in rows]), rows)


@vm.command("show")
@click.argument("name", metavar="VM")
@click.option("--reveal", is_flag=True, help="Show its passwords, too.")
@json_option
@click.pass_obj
def vm_show(app: App, name: str, reveal: bool, as_json: bool) -> None:
    """One VM as the node tells it."""
    app.json = as_json
    scope = Scope(app)
    place = scope.vm(name)
    value = _shown(scope.work(lambda session: _details(session, place)), place, reveal=reveal)
    lines = [f"{k:<14} {v}" for k, v in value.items() if k != "disks" and v not in ("", [], None)]
    lines += [f"{'disk':<14} {d['name']}  {d['size']}  {d['file']}" for d in value["disks"]]
    app.show("\n".join(lines), value)


async def _details(session: Session, place: Place) -> VmDetails:
    found = seen(await vms.vm_details(session.connect(place.reach), place.id), place.id)
    if found is None:
        raise problem("gone", f"VM {place.id} does not exist any more", "See `dbc-iac plan`.")
    return found


def _shown(details: VmDetails, place: Place, *, reveal: bool) -> dict[str, Any]:
    text, marker = read_marker(details.desc)
    return {
        "id": details.task_id,
        "document": place.address,
        "node": place.reach.name,
        "status": details.status,
        "description": text,
        "marker": str(marker or ""),
        "os": details.os,
        "gpus": details.gpu_count,
        "cpus": details.cpu_cores,
        "memory": gib(details.mem_gib),
        "address": details.ssh_ip,
        "ssh": details.ssh_port,
        "rdp": details.rdp_port,
        "vnc": details.vnc_port,
        "user": details.user_name,
        "password": details.login_password.reveal() if reveal else HIDDEN,
        "vncPassword": details.vnc_password.reveal() if reveal else HIDDEN,
        "network": details.network_name or "",
        "rentOrder": details.rent_order or "",
        "localAddresses": list(details.local_address),
        "firewall": list(details.network_filters),
        "created": details.create_time,
        "disks": [
            {
                "name": d.name,
                "size": f"{float(d.size_gib):g}Gi" if d.size_gib is not None else "?",
                "file": d.source_file,
            }
            for d in details.disks
        ],
    }


@vm.command("logs")
@click.argument("name", metavar="VM")
@click.option("--head", is_flag=True, help="The first lines, not the last.")
@click.option("-n", "lines", default=99, show_default=True, type=click.IntRange(1, 99), help="How many.")
@json_option
@click.pass_obj
def vm_logs(app: App, name: str, head: bool, lines: int, as_json: bool) -> None:
    """The node's own notes on a VM. It writes passwords there: they are taken out."""
    app.json = as_json
    scope = Scope(app)
    place = scope.vm(name)

    async def ask(session: Session) -> list[str]:
        channel = session.connect(place.reach)
        found = seen(await vms.vm_logs(channel, place.id, "head" if head else "tail", lines), place.id)
        details = await vms.vm_details(channel, place.id)
        known = details.value if isinstance(details, Done) else None
        return [_clean(line, known) for line in found]

    found = scope.work(ask)
    app.show("\n".join(found) or "no notes", found)


def _clean(line: str, details: VmDetails | None) -> str:
    line = _SECRET_IN_LOG.sub(rf"\1\2{HIDDEN}", line)
    secrets = (details.login_password.reveal(), details.vnc_password.reveal()) if details is not None else ()
    for secret in secrets:
        line = line.replace(secret, HIDDEN) if len(secret) >= 4 else line
    return line


Operation = Callable[[Channel, str], Awaitable[Outcome[None]]]


def _operation(
    app: App, name: str, verb: str, call: Operation, ends: str, *, yes: bool, wait: bool, drifts: str = ""
) -> None:
    """One call on one VM, and with `wait` until its status is the one it leads to."""
    scope = Scope(app)
    place = scope.vm(name)
    scope.consent(yes, f"{verb.capitalize()} {place.address or place.id}?")
    if drifts:
        scope.warn_managed(place.address, drifts)

    async def ask(session: Session) -> str:
        channel = session.connect(place.reach)
        done(await call(channel, place.id), f"{verb} {place.id}")
        return await _until(channel, place.id, ends) if wait else ""

    status = scope.work(ask)
    text = (
        f"{place.address or place.id} is {status}." if wait else f"{verb} of {place.address or place.id} is accepted."
    )
    app.show(text, {"id": place.id, "address": place.address, "accepted": verb, "status": status})


async def _until(channel: Channel, task_id: str, wanted: str) -> str:
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while True:
        await asyncio.sleep(POLL_SECONDS)
        listing = seen(await vms.list_vms(channel), task_id)
        status = next((v.status for v in listing if v.task_id == task_id), "gone")
        if status == wanted:
            return status
        if status not in TRANSITIONAL and status != "none":
            raise problem("not-reached", f"VM {task_id} is {status}, not {wanted}", "See `dbc-iac vm logs`.")
        if loop.time() >= end:
            raise problem("still-waiting", f"VM {task_id} is still {status}", "Look again later.", ExitCode.PARTIAL)


@vm.command("start")
@click.argument("name", metavar="VM")
@wait_option
@yes_option
@json_option
@click.pass_obj
def vm_start(app: App, name: str, wait: bool, yes: bool, as_json: bool) -> None:
    """Start a VM, or wake a suspended one."""
    app.json = as_json
    _operation(app, name, "start", vms.start_vm, "running", yes=yes, wait=wait)


@vm.command("stop")
@click.argument("name", metavar="VM")
@wait_option
@yes_option
@json_option
@click.pass_obj
def vm_stop(app: App, name: str, wait: bool, yes: bool, as_json: bool) -> None:
    """Power a VM off, at once: the guest is not asked."""
    app.json = as_json
    drifts = "an apply starts it again, unless its manifest says power: off"
    _operation(app, name, "power off", vms.poweroff_vm, "closed", yes=yes, wait=wait, drifts=drifts)


@vm.command("restart")
@click.argument("name", metavar="VM")
@click.option("--force", is_flag=True, help="Power off and on; else the guest is asked.")
@wait_option
@yes_option
@json_option
@click.pass_obj
def vm_restart(app: App, name: str, force: bool, wait: bool, yes: bool, as_json: bool) -> None:
    """Restart a VM. Changes that wait for a cold start take effect only with --force."""
    app.json = as_json
    call = vms.force_restart_vm if force else vms.restart_vm
    _operation(app, name, "restart", call, "running", yes=yes, wait=wait)


@vm.command("reset")
@click.argument("name", metavar="VM")
@wait_option
@yes_option
@json_option
@click.pass_obj
def vm_reset(app: App, name: str, wait: bool, yes: bool, as_json: bool) -> None:
    """Press the reset button of a running VM."""
    app.json = as_json
    _operation(app, name, "reset", vms.reset_vm, "running", yes=yes, wait=wait)


@vm.command("passwd")
@click.argument("name", metavar="VM")
@click.option("--user", default="", help="Account; default: the one that the node shows.")
@click.option("--password-env", metavar="NAME", help="Variable with the password; default: it is asked for.")
@yes_option
@json_option
@click.pass_obj
def vm_passwd(app: App, name: str, user: str, password_env: str | None, yes: bool, as_json: bool) -> None:
    """Set an account's password in a running guest that has the agent."""
    app.json = as_json
    scope = Scope(app)
    place = scope.vm(name)
    password = _password(app, password_env)
    scope.consent(yes, f"Set a password in {place.address or place.id}?")
    scope.warn_managed(place.address, "where its manifest has login.password, an apply sets that again")

    async def ask(session: Session) -> str:
        account = user or (await _details(session, place)).user_name
        body = wire.SetPassword(username=account, password=password)
        done(await vms.set_password(session.connect(place.reach), place.id, body), place.id)
        return account

    account = scope.work(ask)
    app.show(f"{account} on {place.address or place.id} has the password.", {"id": place.id, "user": account})


def _password(app: App, variable: str | None) -> SecretText:
    """From the environment, or asked for on a terminal: never an argument, which everyone on the machine can read."""
    if variable is not None:
        value = app.runtime.environ.get(variable, "")
        if not value:
            raise problem("secret-missing", f"environment variable {variable} is not set", f"Set {variable}.")
        return SecretText(value)
    if not app.runtime.terminal:
        raise problem("secret-missing", "there is no terminal to ask for a password", "Use --password-env NAME.")
    return SecretText(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@vm.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="VM")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- SSH ARGUMENTS]")
@click.option("--print", "only_print", is_flag=True, help="Print the command, do not run it.")
@json_option
@click.pass_obj
def vm_ssh(app: App, name: str, arguments: tuple[str, ...], only_print: bool, as_json: bool) -> None:
    """Log in over ssh: the node's address and the VM's forwarded port. The password is asked for by ssh."""
    app.json = as_json
    scope = Scope(app)
    place = scope.vm(name)
    details = scope.work(lambda session: _details(session, place))
    if details.ssh_port is None or not details.ssh_ip:
        raise problem("no-ssh", f"{place.address or place.id} has no ssh port", "A Windows VM has rdp: see `vm show`.")
    if details.user_name == "N/A":
        raise problem("no-account", "the guest has no agent: the node knows no account", "Give it: ssh -l USER ...")
    command = ["ssh", "-p", str(details.ssh_port), f"{details.user_name}@{details.ssh_ip}", *arguments]
    if only_print or app.json or not app.runtime.terminal:
        app.show(" ".join(command), {"command": command})
        return
    os.execvp(command[0], command)  # noqa: S606 - the user asked for this program
