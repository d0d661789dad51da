"""`output`: the project's outputs, ssh commands, and an ssh configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Severity
from dbc_iac.operations.outputs import evaluate_outputs, output_templates, resource_values
from dbc_iac.views.text.fields import value_text
from dbc_iac.views.text.outputs import outputs_text


@click.command("output")
@click.argument("name", required=False)
@click.option("--ssh-config", is_flag=True, help="Print entries for ~/.ssh/config, one for each VM.")
@json_option
@click.pass_obj
def command(app: App, /, name: str | None, ssh_config: bool) -> None:
    """Print the outputs of the project. With NAME, print only this one.

    If the project has no outputs, prints the ssh command of each VM.
    """
    if ssh_config and name is not None:
        raise click.UsageError("--ssh-config prints every VM: leave out NAME")
    project = app.project_of_state()
    templates = output_templates(project, name)
    used = templates.values() if templates and not ssh_config else None
    resources = resource_values(project, project.state, used)
    problems = [*resources.problems]
    if ssh_config:
        _show(app, _ssh_config(resources.found), resources.found, "No VM has an ssh port.")
    elif not templates:
        lines = [f"{a}  {r['id']}  {r.get('ssh') or '-'}" for a, r in resources.found.items()]
        _show(app, lines, resources.found, "The state is empty.")
    else:
        values, failed = evaluate_outputs(project, templates, resources)
        # A script that asks for one output cannot continue without its value.
        problems += [replace(d, severity=Severity.ERROR) for d in failed] if name is not None else failed
        _show_values(app, values, name)
    app.report(problems)
    if codes := [d.exit_code for d in problems if d.severity is Severity.ERROR]:
        raise click.exceptions.Exit(max(codes))


def _show(app: App, lines: list[str], value: Any, nothing: str) -> None:
    """Print lines for another program; that there are none goes to standard error."""
    if lines or app.json:
        app.show("\n".join(lines), value)
    else:
        app.note(nothing)


def _show_values(app: App, values: Mapping[str, Any], name: str | None) -> None:
    if name is None:
        app.show(outputs_text(values), values)
    elif values[name] is not None or app.json:
        app.show(value_text(values[name]), values[name])


def _ssh_config(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"Host {one['name']}\n  HostName {one['host']}\n  Port {one['sshPort']}\n  User {one['user']}\n"
        for one in found.values()
        if one.get("ssh")
    ]
