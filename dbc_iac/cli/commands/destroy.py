"""`destroy`: delete all resources in the state."""

from __future__ import annotations

import click
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.cli.commands.apply import Approval, confirm_and_apply
from dbc_iac.cli.options import ApplyArguments, PlanOutput, apply_options, yes_option
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.cli.selection import planning_options
from dbc_iac.operations.plan import plan_now
from dbc_iac.plan import PlanOptions


@click.command("destroy")
@planning_options(apply_options, yes_option)
@click.pass_obj
def command(
    app: App,
    /,
    selection: PlanOptions,
    output: PlanOutput,
    arguments: ApplyArguments,
    yes: bool,
    lock_timeout: float,
) -> None:
    """Delete all resources in the state. Shows the plan and asks for approval first."""
    project = app.project()
    if files := {**output.files, **arguments.files}:
        check_outputs(app, files, project.loaded)
    with project.locked("destroy", lock_timeout):
        given = Approval.DATA_LOSS if yes else Approval.NONE
        to_apply = plan_now(project, replace(selection, destroy=True))
        confirm_and_apply(app, project, to_apply, given, output, arguments)
