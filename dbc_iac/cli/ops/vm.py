"""`vm`: list and show VMs, their logs, power, passwords, and ssh."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any, Literal

import click
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import vms
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.requests import SetPassword
from dbc_iac.api.responses import VmDetails, VmDisk, without_passwords
from dbc_iac.cli.app import App
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.drift_warnings import warn_of_password, warn_of_power
from dbc_iac.cli.ops.lookup import ResolvedTarget, TargetOptions, vm_argument, where_options
from dbc_iac.cli.ops.options import reveal_option, wait_options
from dbc_iac.cli.ops.outcomes import accepted, failed, read, read_remedy, retry_remedy, wait_for_goal
from dbc_iac.cli.ops.passwords import password_from_options, password_options
from dbc_iac.cli.options import WholeNumber, json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.goal import GoalStatus
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.virtual_machine.goals import VmPower
from dbc_iac.kinds.virtual_machine.reading import login_account
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.operations.ssh import ssh_line
from dbc_iac.views.text.tables import cell, gib, object_text, plain_json, table

SYSTEM = "vda"
UNTOLD = 350
"""GiB that a node reports for every system disk before its first resize."""


@click.group()
def command() -> None:
    """Virtual machines: list, show, logs, power, password, ssh."""


@command.command("list")
@where_options
@json_option
@click.pass_obj
def list_vms(app: App, /, node: str, identity: str, order: str) -> None:
    """List the VMs of all nodes, or of --node, including unmanaged ones."""

    async def work(console: Console) -> list[dict[str, Json]]:
        given = TargetOptions(node, identity, order)
        wanted = (
            [lookup.node(console, given)]
            if node
            else [lookup.node(console, TargetOptions(r.name, identity, order)) for r in console.inventory.of("Node")]
        )
        # Two Nodes on one machine are two orders: the list is the wallet's, over all of them.
        machines = {(route.target, route.identity): route for route in wanted}
        found = await asyncio.gather(*(_listed(console, route) for route in machines.values()))
        return [row for rows in found for row in rows]

    rows = run(app, work)
    columns = ("name", "status", "node", "created", "id")
    lines = [tuple(row.get(k) or "-" for k in columns) for row in rows]
    app.show(table([c.upper() for c in columns], lines) if rows else "There is no VM.", rows)
    if any("unreadable" in row for row in rows):
        raise click.exceptions.Exit(ExitCode.ERROR)


async def _listed(console: Console, route: Route) -> list[dict[str, Json]]:
    outcome = await vms.list_vms(console.channel(route))
    if not isinstance(outcome, Done):
        summary = f"cannot read the VMs on {route.name}: {outcome.message}"
        console.warn("unreadable", summary, remedy=read_remedy(outcome))
        return [{"node": route.name, "unreadable": outcome.message}]
    rows: list[dict[str, Json]] = []
    for one in outcome.value:
        found = lookup.owned(console, "VirtualMachine", ResolvedTarget(one.task_id, route))
        document = Address(found.address).name
        rows.append({"name": document, "id": one.task_id, "status": one.status, "node": route.name,
                     "created": one.create_time, "description": one.desc})  # fmt: skip
    return rows


@command.command("show")
@vm_argument
@where_options
@reveal_option
@json_option
@click.pass_obj
def show_vm(app: App, /, vm: str, node: str, identity: str, order: str, reveal: bool) -> None:
    """Show one VM as its node reports it. VM is a name of the manifests or a task id."""

    async def work(console: Console) -> tuple[ResolvedTarget, VmDetails]:
        found = await lookup.vm(console, vm, TargetOptions(node, identity, order))
        details = await details_of(console, found)
        return found, replace(details, disks=tuple(replace(d, size_gib=disk_size(d)) for d in details.disks))

    found, details = run(app, work)
    shown = plain_json(details, reveal=reveal)
    value: dict[str, Json] = {"resource": found.address, **(shown if isinstance(shown, dict) else {})}
    app.show(_text(found, details, reveal), value, redact=not reveal)


async def details_of(console: Console, found: ResolvedTarget) -> VmDetails:
    """Details of an existing VM. Raises DiagnosticError."""
    details = read(await vms.vm_details(console.channel(found.route), found.id), found.label)
    if details is None:
        raise failed(
            "not-found", f"{found.label} does not exist on {found.route.name}", "It may belong to another wallet.",
            "List the VMs with `dbc-iac vm list`.",
        )  # fmt: skip
    return details


def disk_size(disk: VmDisk) -> Fraction | None:
    """Size of a disk in GiB; None for a system disk before its first resize."""
    return None if disk.name == SYSTEM and disk.size_gib == UNTOLD else disk.size_gib


def _account(console: Console, found: ResolvedTarget, details: VmDetails) -> str:
    """The account to log in with, managed or the image's own."""
    binding = console.state.bindings.get(found.address)
    return login_account(details, binding.applied if binding is not None else {})


def _text(found: ResolvedTarget, vm: VmDetails, reveal: bool) -> str:
    hidden = "*** (use --reveal)"
    lines: dict[str, object] = {
        "id": vm.task_id,
        "status": vm.status,
        "node": found.route.name,
        "order": vm.rent_order or None,
        "created": vm.create_time,
        "description": vm.desc,
        "system": vm.os,
        "gpus": vm.gpu_count,
        "cores": vm.cpu_cores,
        "memory": gib(vm.mem_size),
        "address": vm.ssh_ip,
        "ssh port": vm.ssh_port,
        "rdp port": vm.rdp_port,
        "vnc port": vm.vnc_port,
        "account": vm.user_name,
        "password": vm.login_password.reveal() if reveal else hidden,
        "vnc password": vm.vnc_password.reveal() if reveal else hidden,
        "network": vm.network_name or None,
        "local address": vm.local_address,
        "mac": vm.interface[0].mac_address if vm.interface else None,
        "firewall": vm.network_filters,
    }
    disks = "".join(f"\n  disk {d.name}  {gib(d.size_gib)}  {cell(d.source_file)}" for d in vm.disks)
    return object_text(found.label, lines) + disks


@command.command("logs")
@vm_argument
@click.option("--head", "end", flag_value="head", help="Show the oldest lines.")
@click.option("--tail", "end", flag_value="tail", default="tail", help="Show the newest lines (default).")
@click.option(
    "-n",
    "lines",
    type=WholeNumber(1, 99),
    default=50,
    show_default=True,
    metavar="NUMBER",
    help="Number of lines, at most 99.",
)
@where_options
@json_option
@click.pass_obj
def logs(app: App, /, vm: str, end: Literal["head", "tail"], lines: int, node: str, identity: str, order: str) -> None:
    """Show the node's log of a VM, without passwords."""

    async def work(console: Console) -> tuple[str, ...]:
        found = await lookup.vm(console, vm, TargetOptions(node, identity, order))
        # The log is read first: a password set between the two calls is not in the details yet.
        noted = read(await vms.vm_logs(console.channel(found.route), found.id, end, lines), f"the log of {found.label}")
        details = await vms.vm_details(console.channel(found.route), found.id)
        # Known places of passwords are blank already; this also removes their values elsewhere.
        known = details.value if isinstance(details, Done) else None
        return noted if known is None else without_passwords(noted, known)

    shown = run(app, work)
    app.show("\n".join(map(cell, shown)) or "The log is empty.", {"lines": list(shown)})


Press = Callable[[Channel, str], Awaitable[Outcome[None]]]


def _power_options(function: Any) -> Any:
    for option in (vm_argument, where_options, wait_options, yes_option, json_option, click.pass_obj):
        function = option(function)
    return function


@command.command("start")
@_power_options
def start(app: App, /, vm: str, wait: float | None, yes: bool, **where: str) -> None:
    """Start a VM, or wake a suspended one."""
    _power(app, yes, vm, TargetOptions(**where), "on", vms.start_vm, wait)


@command.command("stop")
@click.option("--force", is_flag=True, help="Power off even while the guest is shutting down.")
@_power_options
def stop(app: App, /, vm: str, force: bool, wait: float | None, yes: bool, **where: str) -> None:
    """Power a VM off. This is a hard power-off: the guest is not notified."""
    press = vms.poweroff_vm if force else vms.shutdown_vm
    _power(app, yes, vm, TargetOptions(**where), "off", press, wait)


def _power(
    app: App,
    yes: bool,
    vm: str,
    where: TargetOptions,
    to: Literal["on", "off"],
    press: Press,
    wait: float | None,
) -> None:
    async def work(console: Console) -> tuple[ResolvedTarget, str]:
        found = await lookup.vm(console, vm, where)
        goal = VmPower(address=found.label, route=found.route, id=found.id, powers=to)
        seen = await goal.look(console.reader)
        if seen.sight in {GoalStatus.MET, GoalStatus.FAILED, GoalStatus.UNKNOWN}:
            if seen.sight is not GoalStatus.MET:
                show = f"Check the VM with `dbc-iac vm show {found.label}`."
                remedy = retry_remedy(seen.text) if seen.sight is GoalStatus.UNKNOWN else show
                raise failed("unreadable", f"{found.label}: {seen.text}", remedy=remedy)
            return found, f"already {'running' if to == 'on' else 'off'}"
        spec = found.spec
        if isinstance(spec, VirtualMachineSpec) and not spec.external:
            warn_of_power(console, found.address, spec.power, to)
        question, command = ("Start", "vm start") if to == "on" else ("Power off", "vm stop")
        with console.changing(f"{question} {found.label}?", command):
            outcome = await press(console.channel(found.route), found.id)
        return found, await wait_for_goal(console, goal, outcome, f"dbc-iac vm show {found.label}", wait)

    found, status = run(app, work, yes=yes)
    text = "powered off" if status == "closed" else status
    app.show(f"{found.label}: {text}", {"vm": found.id, "resource": found.address, "status": status})


@command.command("restart")
@click.option("--force", is_flag=True, help="Power off and on instead of asking the guest.")
@_power_options
def restart(app: App, /, vm: str, force: bool, wait: float | None, yes: bool, **where: str) -> None:
    """Ask the guest of a running VM to reboot. Changes that need a cold boot take effect only with --force."""
    press = vms.force_restart_vm if force else vms.restart_vm
    _again(app, yes, vm, TargetOptions(**where), "Restart", press, wait)


@command.command("reset")
@_power_options
def reset(app: App, /, vm: str, wait: float | None, yes: bool, **where: str) -> None:
    """Reset a running VM, like its reset button."""
    _again(app, yes, vm, TargetOptions(**where), "Reset", vms.reset_vm, wait)


def _again(app: App, yes: bool, vm: str, where: TargetOptions, verb: str, press: Press, wait: float | None) -> None:
    """A call that must not be repeated, and whose effect cannot be read: an unknown outcome stays unknown."""

    async def work(console: Console) -> tuple[ResolvedTarget, str]:
        found = await lookup.vm(console, vm, where)
        off = VmPower(address=found.label, route=found.route, id=found.id, powers="off")
        if (await off.look(console.reader)).sight is GoalStatus.MET:
            raise failed(
                "vm-off", f"{found.label} is off", "Nothing was sent.",
                f"Start it with `dbc-iac vm start {found.label}`.", ExitCode.REFUSED,
            )  # fmt: skip
        console.reader.forget()
        with console.changing(f"{verb} {found.label}?", f"vm {verb.lower()}"):
            outcome = await press(console.channel(found.route), found.id)
        look = f"dbc-iac vm show {found.label}"
        accepted(outcome, f"the {verb.lower()} of {found.label}", look)
        goal = VmPower(address=found.label, route=found.route, id=found.id, powers="on")
        return found, await wait_for_goal(console, goal, outcome, look, wait)

    found, status = run(app, work, yes=yes)
    app.show(f"{found.label}: {status}", {"vm": found.id, "resource": found.address, "status": status})


@command.command("passwd")
@vm_argument
@click.option("--username", default="", help="Account in the guest; default: the managed one, or the first of the VM.")
@password_options
@where_options
@yes_option
@json_option
@click.pass_obj
def passwd(
    app: App,
    /,
    vm: str,
    username: str,
    password_env: str,
    password_file: str,
    yes: bool,
    **where: str,
) -> None:
    """Set the password of an account in a running guest with the agent. The VNC password is unchanged."""

    async def work(console: Console) -> tuple[ResolvedTarget, str]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        password = password_from_options(app, password_env, password_file)
        account = username or _account(console, found, await details_of(console, found))
        body = SetPassword(username=account, password=password)
        if isinstance(found.spec, VirtualMachineSpec) and found.spec.login.password is not None:
            warn_of_password(console, found.address, "login.password")
        with console.changing(f"Set the password of {account} on {found.label}?", "vm passwd"):
            outcome = await vms.set_password(console.channel(found.route), found.id, body)
        accepted(outcome, f"the password of {account} on {found.label}", f"dbc-iac vm show {found.label} --reveal")
        return found, account

    found, account = run(app, work, yes=yes)
    app.show(
        f"{found.label}: the password of {account} is set", {"vm": found.id, "username": account, "outcome": "done"}
    )


@command.command("ssh", context_settings={"ignore_unknown_options": True})
@vm_argument
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--print", "only_print", is_flag=True, help="Print the command line instead of running it.")
@where_options
@json_option
@click.pass_obj
def ssh(app: App, /, vm: str, arguments: tuple[str, ...], only_print: bool, **where: str) -> None:
    """Log in to a VM by ssh. Without a terminal, or with --print, the command line is printed.

    ARGUMENTS are a command to run there. ssh itself asks for a password: none is ever put on its command line.
    """

    async def work(console: Console) -> list[str]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        details = await details_of(console, found)
        return ssh_line(found.label, details, _account(console, found, details), arguments)

    line = run(app, work)
    if app.runtime.terminal and not only_print and not app.json:
        try:
            os.execvp(line[0], line)  # noqa: S606 - ssh is to take the place of this process
        except OSError as error:
            remedy = "Install an ssh client, or use --print."
            raise failed("no-ssh", f"cannot start ssh ({error.strerror})", remedy=remedy) from None
    app.show(shlex.join(line), {"command": [*line]})
