"""`output`: what others want to know of what is there: the project's `outputs`, ssh commands, an ssh configuration."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Any

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity

if TYPE_CHECKING:
    from dbc_iac.api.reading import VmDetails
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan import Session
    from dbc_iac.state import State


@click.command("output")
@click.argument("name", required=False)
@click.option("--ssh-config", is_flag=True, help="Print entries for ~/.ssh/config, one a VM.")
@json_option
@click.pass_obj
def command(app: App, /, name: str | None, ssh_config: bool, as_json: bool) -> None:
    """Print the outputs of the project, or the one called NAME. Without any: where each VM is and how to log in."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.report.field_text import value_text

    app.json = as_json
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    outputs = workspace.loaded.project.outputs
    if name is not None and name not in outputs:
        known = ", ".join(sorted(outputs)) or "none"
        raise _problem("unknown-output", f"the project has no output {name}", f"Known: {known}.")
    found = resources(workspace, workspace.recorded())
    if ssh_config:
        app.show("\n".join(_ssh_config(found)) or "No VM has an ssh port.", found)
        return
    if not outputs:
        lines = [f"{a}  {r['id']}  {r.get('ssh') or '-'}" for a, r in found.items()]
        app.show("\n".join(lines) or "The state is empty.", found)
        return
    wanted = outputs if name is None else {name: outputs[name]}
    values = app.redaction(_evaluated(app, workspace, wanted, found))
    if name is not None:
        app.show(value_text(values[name]) if values[name] is not None else "", values[name])
    else:
        app.show("\n".join(f"{n} = {value_text(v)}" for n, v in values.items()), values)


def _evaluated(app: App, workspace: Workspace, wanted: dict[str, str], found: dict[str, Any]) -> dict[str, Any]:
    """Each output; what cannot be told, perhaps because it is not applied yet, is None and a warning."""
    from dbc_iac.manifest.template import evaluated

    context = {"resource": found, "project": workspace.loaded.name, "env": app.environment}
    values: dict[str, Any] = {}
    for name, text in wanted.items():
        try:
            values[name] = evaluated(text, context)
        except ValueError as error:
            values[name] = None
            summary = f"the output {name} cannot be told: {error}"
            remedy = "Apply first, or correct it in the project file."
            app.report([Diagnostic("no-output", Severity.WARNING, summary, remedy=remedy)])
    return values


def resources(workspace: Workspace, state: State) -> dict[str, dict[str, Any]]:
    """What is known of everything in the state, by address; VMs are looked at."""

    async def look(session: Session) -> dict[str, dict[str, Any]]:
        from dbc_iac.kinds.reach import Reach
        from dbc_iac.kinds.reader import Known, Reader

        reader = Reader(session.connect)
        vms = {a: b for a, b in state.bindings.items() if b.kind == "VirtualMachine"}
        read = await asyncio.gather(*(reader.vm(Reach.from_json(b.where), b.id) for b in vms.values()))
        details = {a: r.value for a, r in zip(vms, read, strict=True) if isinstance(r, Known) and r.value is not None}
        return {a: _resource(workspace, state, a, details.get(a)) for a in sorted(state.bindings)}

    return workspace.work(look, state)


def _resource(workspace: Workspace, state: State, address: str, vm: VmDetails | None) -> dict[str, Any]:
    binding = state.bindings[address]
    document = workspace.inventory.resources.get(address)
    known = {
        "kind": binding.kind,
        "name": address.partition("/")[2],
        "id": binding.id,
        "node": str(binding.where.get("name", "")).partition("/")[2],
        "nodeId": binding.where.get("target", ""),
        "labels": dict(document.labels) if document is not None else {},
        "fields": {**binding.applied, **binding.resolved},
    }
    return known if vm is None else {**known, **_way_in(address, vm)}


def _way_in(address: str, vm: VmDetails) -> dict[str, Any]:
    """How to log in to a VM; nothing where it has no ssh, or where what the node tells is no address."""
    from dbc_iac.cli.day2.ssh import ssh_line

    try:
        line = ssh_line(address, vm, ())
    except DiagnosticError:
        return {}
    return {"host": vm.ssh_ip, "sshPort": vm.ssh_port, "user": vm.user_name, "ssh": shlex.join(line)}


def _ssh_config(found: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"Host {one['name']}\n  HostName {one['host']}\n  Port {one['sshPort']}\n  User {one['user']}\n"
        for one in found.values()
        if one.get("ssh")
    ]


def _problem(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy))
