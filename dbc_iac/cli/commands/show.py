"""`show`: the state, a plan file, or a copy of a state."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, PlanOutput, json_option, plan_output_options
from dbc_iac.cli.output_files import check_outputs, loaded_quietly
from dbc_iac.cli.plan_output import show_plan
from dbc_iac.operations.plan_files import read_plan_or_state
from dbc_iac.operations.state_admin import is_applying
from dbc_iac.plan import Plan
from dbc_iac.views.text.state import state_pages


@click.command("show")
@click.argument("file", required=False, type=FILE)
@plan_output_options
@json_option
@click.pass_obj
def command(app: App, /, file: Path | None, output: PlanOutput) -> None:
    """Show the state, or a plan or state in FILE."""
    if output.files:
        check_outputs(app, output.files, loaded_quietly(app), (file,))
    if file is None:
        project = app.project_of_state()
        state = project.state
        applying = bool(state.open) and is_applying(project)
        app.show_lines(state_pages(state, applying=applying), state.model_dump(mode="json", by_alias=True))
        return
    shown = read_plan_or_state(file, lambda: app.project().keyring)
    if isinstance(shown, Plan):
        show_plan(app, shown, output)
        return
    app.show_lines(state_pages(shown), shown.model_dump(mode="json", by_alias=True))
