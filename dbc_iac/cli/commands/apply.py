"""`apply`: plan and apply, or apply a reviewed plan. `destroy` shares the approval, the apply and the report."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Any, NoReturn

import click

from dbc_iac.address import Address
from dbc_iac.apply import ApplyOptions, Report
from dbc_iac.cli.app import App
from dbc_iac.cli.approval import require_terminal
from dbc_iac.cli.options import FILE, ApplyArguments, PlanOutput, apply_options, yes_option
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.cli.plan_output import report_diagnostics, write_outputs
from dbc_iac.cli.progress_reporting import ProgressReporter, write_report
from dbc_iac.cli.selection import planning_options
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.kinds import kind_of
from dbc_iac.operations.apply import apply_plan, close_pending
from dbc_iac.operations.outputs import evaluate_outputs, resource_values
from dbc_iac.operations.plan import PlanToApply, plan_now
from dbc_iac.operations.project import Project
from dbc_iac.operations.secrets import require_secrets
from dbc_iac.plan import Action, Plan, PlanOptions
from dbc_iac.views.disruption import disruptions
from dbc_iac.views.text.apply import report_json, report_lines
from dbc_iac.views.text.lines import Line, Tone, escaped_lines
from dbc_iac.views.text.outputs import outputs_text
from dbc_iac.views.text.plan import plan_lines, scope, summary


class Approval(Enum):
    """The approval that was given before the plan was shown."""

    NONE = auto()
    """The user is asked, and sees the data loss first."""
    CHANGES = auto()
    """`--yes`: all changes but the loss of users' data."""
    DATA_LOSS = auto()
    """A reviewed plan, `destroy`, or --allow-data-loss."""


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
    if files := {**output.files, **arguments.files}:
        check_outputs(app, files, project.loaded, (file, reviewed))
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


def confirm_and_apply(
    app: App,
    project: Project,
    to_apply: PlanToApply,
    given: Approval,
    output: PlanOutput,
    arguments: ApplyArguments,
    *,
    reviewed: bool = False,
) -> NoReturn:
    """Apply a plan with approval; the state is locked. Always raises: Exit with the code, or DiagnosticError.

    `reviewed`: the plan has been shown when it was made, and only its summary is printed.
    """
    plan = to_apply.plan
    reporter = ProgressReporter(app, arguments.events)
    if plan.diagnostics:
        report_diagnostics(app, plan)
    if output.files:
        write_outputs(app, plan, output)
    if reviewed and not app.json:
        app.show_lines([Line(summary(plan), Tone.HEAD), Line(scope(plan, disruptions(plan)), Tone.ASIDE), Line()], None)
    elif not app.json:
        app.show_lines(plan_lines(plan, output.detail, reported=True), None)
    if plan.errors:
        if not app.json:
            app.note("Nothing was changed: the plan was refused.")
        raise click.exceptions.Exit(plan.exit_code)
    shown = plan.to_json() if app.json else None
    if plan.empty:
        close_pending(project, to_apply)
        nothing = Report(unknown=tuple(c.address for c in plan.changes if c.action is Action.UNKNOWN))
        written = write_report(app, nothing, arguments.report) if arguments.report else ExitCode.OK
        if app.json:
            app.show("", {"plan": shown, "report": None})
        raise click.exceptions.Exit(max(plan.exit_code, written))
    require_secrets(plan, project.inventory, project.resolver, programs=False)  # before an answer is asked for
    require_approval(app, plan, given)
    options = ApplyOptions(arguments.wait_timeout, not arguments.no_wait, arguments.settle)
    report = app.redaction(apply_plan(project, to_apply, options, reporter))
    reporter.end(report)
    app.report(d for d in report.diagnostics if d not in plan.diagnostics)
    written = write_report(app, report, arguments.report) if arguments.report else ExitCode.OK
    evaluated = project.loaded.project.outputs and not plan.destroy and report.exit_code is ExitCode.OK
    outputs = _outputs(app, project) if evaluated else {}
    ended = [*report_lines(report, reported=True)]
    if outputs:
        ended += [Line(), Line("Outputs:", Tone.HEAD), *map(Line, outputs_text(outputs).splitlines())]
    value = {"plan": shown, "report": report_json(report)} if app.json else {}
    app.show_lines(ended, {**value, "outputs": outputs} if outputs else value)
    raise click.exceptions.Exit(max(report.exit_code, written))


def _outputs(app: App, project: Project) -> dict[str, Any]:
    """The values of the project's outputs after an apply; those that cannot be evaluated are reported as warnings."""
    templates = project.loaded.project.outputs
    resources = resource_values(project, project.journalled_state(), templates.values())
    values, problems = evaluate_outputs(project, templates, resources)
    app.report(problems)
    return {name: value for name, value in values.items() if value is not None}


def require_approval(app: App, plan: Plan, given: Approval) -> None:
    """Ask for approval if it is not given. Raises DiagnosticError, Exit."""
    if given is Approval.NONE:
        _ask(app, plan)
    if given is not Approval.CHANGES:
        return
    # Deposed objects were approved with the plan that replaced them.
    removed = [c for c in plan.pending if c.losses and not Address(c.address).deposed]
    lost = [c.address for c in removed if kind_of(c.kind).keeps_data({**c.applied, **c.observed})]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise failure(
            "data-loss",
            f"--yes does not approve the data loss of {lost[0]}{more}",
            f"--yes covers only disks created with a VM, not separate disks and files: {', '.join(lost)}.",
            "Use --allow-data-loss, or apply a reviewed plan (`dbc-iac plan -o FILE`, `dbc-iac apply FILE`).",
            address=lost[0],
            exit_code=ExitCode.REFUSED,
        )


def _ask(app: App, plan: Plan) -> None:
    """Ask for `yes`, or to delete data with all resources, for the name of the project."""
    expected = plan.project if plan.destroy and any(change.losses for change in plan.pending) else "yes"
    require_terminal(app, "Use --yes, or apply a plan FILE.")
    what = "the name of the project" if expected == plan.project else "yes"
    about = f"{summary(plan)} {scope(plan, disruptions(plan))}"
    question = f"{about}\nType {what} to {'delete the data' if what != 'yes' else 'apply'}:"
    text = escaped_lines(app.redaction(question))
    answer = click.prompt(text, default="", show_default=False, prompt_suffix=" ")
    if answer.strip() != expected:
        app.note("Nothing was changed: the plan was not approved.")
        raise click.exceptions.Exit(ExitCode.REFUSED)
