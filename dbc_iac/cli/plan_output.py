"""A plan on the terminal and in files, in the forms that the options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dbc_iac.cli.app import App
from dbc_iac.cli.options import PlanOutput
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.plan import Plan
from dbc_iac.views.text.plan import plan_lines


def show_plan(app: App, plan: Plan, output: PlanOutput, *, reported: bool = False) -> None:
    """Print a plan, and write it to the files that the options name.

    `reported`: its diagnostics have been printed by `report_diagnostics`.
    """
    if output.files:
        write_outputs(app, plan, output)
    app.show_lines(plan_lines(plan, output.detail, reported=reported), dict(plan.members()) if app.json else None)


def report_diagnostics(app: App, plan: Plan) -> None:
    """Print the diagnostics of a plan on standard error, and a blank line between them and the plan."""
    app.report(plan.diagnostics)
    if plan.diagnostics and not app.json:
        app.runtime.print_err("")


def write_outputs(app: App, plan: Plan, output: PlanOutput) -> None:
    """Write a plan to the files that the options name. Raises DiagnosticError."""
    from dbc_iac.cli.plan_documents import write_documents

    write_documents(app.redaction(plan), output)


@contextmanager
def failure_shown(app: App, output: PlanOutput) -> Iterator[None]:
    """Around planning: write the reason of a failure to the Markdown file, too."""
    try:
        yield
    except DiagnosticError as error:
        if output.markdown is not None:
            try:
                check_outputs(app, {"--markdown": output.markdown}, None)
            except DiagnosticError as unwritable:
                raise DiagnosticError(*dict.fromkeys((*error.diagnostics, *unwritable.diagnostics))) from None
            from dbc_iac.cli.plan_documents import write_failure

            problems = app.redaction(list(error.diagnostics))
            write_failure(output.markdown, problems, app.sources, error.exit_code)
        raise
