"""`destroy`: delete all resources in the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.apply_flow import confirm_and_apply
from dbc_iac.cli.approval import Approval
from dbc_iac.cli.options import (
    ApplyArguments,
    PlanOutput,
    Selection,
    apply_options,
    json_option,
    lock_option,
    plan_output_options,
    selection_options,
    yes_option,
)
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.operations.plan import plan_now


@click.command("destroy")
@selection_options
@plan_output_options
@apply_options
@yes_option
@lock_option
@json_option
@click.pass_obj
def command(
    app: App,
    /,
    selection: Selection,
    output: PlanOutput,
    arguments: ApplyArguments,
    yes: bool,
    lock_timeout: float,
) -> None:
    """Delete all resources in the state. Shows the plan and asks for approval first."""
    project = app.project()
    check_outputs(app, {**output.files, **arguments.files}, project.loaded)
    with project.locked("destroy", lock_timeout):
        given = Approval.DATA_LOSS if yes else Approval.NONE
        to_apply = plan_now(project, selection.plan_options(destroy=True))
        confirm_and_apply(app, project, to_apply, given, output, arguments)
