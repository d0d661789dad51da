"""`apply`: plan and apply, or apply a reviewed plan."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.apply_flow import confirm_and_apply
from dbc_iac.cli.approval import Approval
from dbc_iac.cli.options import (
    FILE,
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
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.operations.apply import plan_as_expected, plan_from_file, plan_now


@click.command("apply")
@click.argument("file", required=False, type=FILE)
@click.option(
    "--expect", "reviewed", type=FILE,
    help="Plan again, and apply only if the plan equals the reviewed plan in this file.",
)  # fmt: skip
@click.option("--allow-data-loss", "lossy", is_flag=True, help="With --yes: also approve the loss of disks and files.")
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
    file: Path | None,
    reviewed: Path | None,
    lossy: bool,
    selection: Selection,
    output: PlanOutput,
    arguments: ApplyArguments,
    yes: bool,
    lock_timeout: float,
) -> None:
    """Plan, ask for approval, and apply. With FILE, apply exactly that plan, without asking."""
    if file is not None and reviewed is not None:
        raise click.UsageError("give either FILE, which is applied as it is, or --expect, which plans again")
    if (file or reviewed) and selection != Selection():
        summary = "options that select changes cannot be used with a plan FILE"
        detail = "A plan FILE is applied with the options that it was made with."
        remedy = "Give them to `dbc-iac plan -o FILE`."
        raise DiagnosticError(Diagnostic("plan-is-made", Severity.ERROR, summary, detail, remedy))
    project = app.project()
    check_outputs(app, {**output.files, **arguments.files}, project.loaded, (file, reviewed))
    with project.locked("apply", lock_timeout):
        if reviewed is not None:
            to_apply = plan_as_expected(project, reviewed)
        elif file is not None:
            to_apply = plan_from_file(project, file)
        else:
            to_apply = plan_now(project, selection.plan_options())
        given = Approval.of(yes=yes or file is not None, data_loss=lossy or bool(file or reviewed))
        confirm_and_apply(app, project, to_apply, given, output, arguments, reviewed=file is not None)
