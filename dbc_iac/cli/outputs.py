"""`output`: what others want to know of what is there: the project's `outputs`, ssh commands, an ssh configuration."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from dbc_iac.cli.app import App, Exit
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

if TYPE_CHECKING:
    from dbc_iac.api.responses import VmDetails
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.kinds.framework.cached_reader import Unreadable
    from dbc_iac.plan import PlanContext
    from dbc_iac.state import State
    from dbc_iac.state.document import Binding


@click.command("output")
@click.argument("name", required=False)
@click.option("--ssh-config", is_flag=True, help="Print entries for ~/.ssh/config, one a VM.")
@json_option
@click.pass_obj
def command(app: App, /, name: str | None, ssh_config: bool, as_json: bool) -> None:
    """Print the outputs of the project, or the one called NAME. Without any: where each VM is and how to log in."""
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    if ssh_config and name is not None:
        raise click.UsageError("--ssh-config is about every VM: leave out NAME")
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    outputs = workspace.loaded.project.outputs
    if name is not None and name not in outputs:
        known = ", ".join(sorted(outputs)) or "none"
        raise _problem("unknown-output", f"the project has no output {name}", f"Known: {known}.")
    looked = look(workspace, workspace.recorded())
    problems = [*looked.problems]
    if ssh_config:
        _show(app, _ssh_config(looked.found), looked.found, "No VM that was read has an ssh port.")
    elif not outputs:
        lines = [f"{a}  {r['id']}  {r.get('ssh') or '-'}" for a, r in looked.found.items()]
        _show(app, lines, looked.found, "The state is empty.")
    else:
        wanted = outputs if name is None else {name: outputs[name]}
        values, untold = _evaluated(app, workspace, wanted, looked)
        # Of one output its name is asked for: without a value there is nothing that a script could go on with.
        problems += [replace(d, severity=Severity.ERROR) for d in untold] if name is not None else untold
        _show_values(app, app.redaction(values), name)
    app.report(problems)
    if codes := [d.exit_code for d in problems if d.severity is Severity.ERROR]:
        raise Exit(max(codes))


def _show(app: App, lines: list[str], value: Any, nothing: str) -> None:
    """Lines for another program, or for people. That there are none is no line."""
    if lines or app.json:
        app.show("\n".join(lines), value)
    else:
        app.runtime.tell(nothing)


def _show_values(app: App, values: Mapping[str, Any], name: str | None) -> None:
    from dbc_iac.views.text.fields import value_text

    if name is None:
        app.show("\n".join(f"{n} = {value_text(v)}" for n, v in values.items()), values)
    elif values[name] is not None or app.json:
        app.show(value_text(values[name]), values[name])


def _evaluated(
    app: App, workspace: Workspace, wanted: Mapping[str, str], looked: OutputValues
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Each output; what cannot be told, perhaps because it is not applied yet, is None and a warning."""
    from dbc_iac.manifest.templates import Templates

    templates = Templates({"resource": looked.found, "project": workspace.loaded.name, "env": app.environment})
    remedy = "Apply first, or correct it in the project file."
    if looked.problems:
        remedy = "Something could not be read: ask again when it can be."
    values: dict[str, Any] = {}
    untold: list[Diagnostic] = []
    for name, text in wanted.items():
        try:
            values[name] = templates.evaluated(text)
        except ValueError as error:
            values[name] = None
            summary = f"the output {name} cannot be told: {error}"
            untold.append(Diagnostic("no-output", Severity.WARNING, summary, remedy=remedy, exit_code=ExitCode.ERROR))
    return values, untold


@dataclass(frozen=True, slots=True)
class OutputValues:
    """What is known of everything in the state, by address, and what could not be read of it."""

    found: dict[str, dict[str, Any]]
    problems: tuple[Diagnostic, ...]


def look(workspace: Workspace, state: State) -> OutputValues:
    """What is known of everything in the state; VMs are looked at. One that cannot be read is not taken for absent."""

    async def ask(session: PlanContext) -> OutputValues:
        from dbc_iac.kinds.current_route import route_to
        from dbc_iac.kinds.framework.cached_reader import CachedReader, Known

        reader = CachedReader(session.connect)
        vms = {a: b for a, b in state.bindings.items() if b.kind == "VirtualMachine"}
        read = await asyncio.gather(*(reader.vm(route_to(b, session.inventory), b.id) for b in vms.values()))
        known = {a: r.value for a, r in zip(vms, read, strict=True) if isinstance(r, Known) and r.value is not None}
        unread = {a: r for a, r in zip(vms, read, strict=True) if not isinstance(r, Known)}
        found = {a: _resource(workspace, state, a, known.get(a)) for a in sorted(state.bindings)}
        return OutputValues(found, tuple(_unreadable(a, unread[a]) for a in sorted(unread)))

    return workspace.work(ask, state)


def _unreadable(address: str, reading: Unreadable) -> Diagnostic:
    turned_away = reading.authority or reading.not_rented
    return Diagnostic(
        "unreadable",
        Severity.ERROR,
        f"{address} cannot be read: {reading.reason}",
        remedy="" if turned_away else "Try again when its node answers.",
        address=address,
        exit_code=ExitCode.AUTHORISATION if turned_away else ExitCode.ERROR,
    )


def _resource(workspace: Workspace, state: State, address: str, vm: VmDetails | None) -> dict[str, Any]:
    binding = state.bindings[address]
    document = workspace.inventory.resources.get(address)
    known = {
        "kind": binding.kind,
        "name": address.partition("/")[2],
        "id": binding.id,
        "node": str(binding.route.get("name", "")).partition("/")[2],
        "nodeId": binding.route.get("target", ""),
        "labels": dict(document.labels) if document is not None else {},
        "fields": {**binding.applied, **binding.resolved},
    }
    return known if vm is None else {**known, **_way_in(binding, vm)}


def _way_in(binding: Binding, vm: VmDetails) -> dict[str, Any]:
    """How to log in to a VM; nothing where it has no ssh, or where what the node tells is no address."""
    from dbc_iac.cli.ops.ssh import ssh_line
    from dbc_iac.kinds.virtual_machine.reading import login_account

    user = login_account(vm, binding.applied)
    try:
        line = ssh_line(binding.address, vm, user, ())
    except DiagnosticError:
        return {}
    return {"host": vm.ssh_ip, "sshPort": vm.ssh_port, "user": user, "ssh": shlex.join(line)}


def _ssh_config(found: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"Host {one['name']}\n  HostName {one['host']}\n  Port {one['sshPort']}\n  User {one['user']}\n"
        for one in found.values()
        if one.get("ssh")
    ]


def _problem(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy))
