"""`apply`: plan and apply, or apply a reviewed plan."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.apply_flow import confirm_and_apply
from dbc_iac.cli.approval import Approval
from dbc_iac.cli.options import FILE, ApplyArguments, PlanOutput, apply_options, yes_option
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.cli.selection import planning_options
from dbc_iac.diagnostics import failure
from dbc_iac.operations.plan import PlanToApply, plan_now
from dbc_iac.operations.project import Project
from dbc_iac.plan import PlanOptions


@click.command("apply")
@click.argument("file", required=False, type=FILE)
@click.option(
    "--expect", "reviewed", type=FILE,
    help="Plan again, and apply only if the plan equals the reviewed plan in this file.",
)  # fmt: skip
@click.option("--allow-data-loss", "lossy", is_flag=True, help="With --yes: also approve the loss of disks and files.")
@planning_options(apply_options, yes_option)
@click.pass_obj
def command(
    app: App,
    /,
    file: Path | None,
    reviewed: Path | None,
    lossy: bool,
    selection: PlanOptions,
    output: PlanOutput,
    arguments: ApplyArguments,
    yes: bool,
    lock_timeout: float,
) -> None:
    """Plan, ask for approval, and apply. With FILE, apply exactly that plan, without asking."""
    if file is not None and reviewed is not None:
        raise click.UsageError("give either FILE, which is applied as it is, or --expect, which plans again")
    if (file or reviewed) and selection != PlanOptions():
        summary = "options that select changes cannot be used with a plan FILE"
        detail = "A plan FILE is applied with the options that it was made with."
        remedy = "Give them to `dbc-iac plan -o FILE`."
        raise failure("plan-is-made", summary, detail, remedy)
    project = app.project()
    check_outputs(app, {**output.files, **arguments.files}, project.loaded, (file, reviewed))
    with project.locked("apply", lock_timeout):
        to_apply = _reviewed(project, file, reviewed) if file or reviewed else plan_now(project, selection)
        given = Approval.DATA_LOSS if lossy or file or reviewed else Approval.CHANGES
        given = given if yes or file else Approval.NONE
        confirm_and_apply(app, project, to_apply, given, output, arguments, reviewed=file is not None)


def _reviewed(project: Project, file: Path | None, expected: Path | None) -> PlanToApply:
    """The plan of the file that an option names."""
    from dbc_iac.operations.reviewed_plans import plan_as_expected, plan_from_file

    if expected is not None:
        return plan_as_expected(project, expected)
    assert file is not None  # noqa: S101 - one of them is given
    return plan_from_file(project, file)
