"""A plan on the terminal and in files, in the forms that the options ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbc_iac.cli.app import App
from dbc_iac.cli.options import PlanOutput
from dbc_iac.cli.output_files import check_outputs, write_output
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import read_file
from dbc_iac.plan import Plan
from dbc_iac.views.text.plan import plan_lines


def show_plan(app: App, plan: Plan, output: PlanOutput, *, reported: bool = False) -> None:
    """Print a plan, and write it to the files that the options name.

    `reported`: its diagnostics have been printed by `report_diagnostics`.
    """
    if any(output.files.values()):
        write_outputs(app, plan, output)
    app.show_lines(plan_lines(plan, output.detail, reported=reported), dict(plan.members()) if app.json else None)


def report_diagnostics(app: App, plan: Plan) -> None:
    """Print the diagnostics of a plan on standard error, and a blank line between them and the plan."""
    app.report(plan.diagnostics)
    if plan.diagnostics and not app.json:
        app.runtime.print_err("")


def write_outputs(app: App, plan: Plan, output: PlanOutput) -> None:
    """Write a plan to the files that the options name. Raises DiagnosticError."""
    from dbc_iac.views.html.plan import plan_html
    from dbc_iac.views.markdown.plan import plan_markdown

    plan = app.redaction(plan)
    if output.markdown is not None:
        write_parts(output.markdown, plan_markdown(plan, output.detail))
    if output.html is not None:
        write_output(output.html, plan_html(plan, output.detail))


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
            from dbc_iac.views.markdown.failure import failed_markdown

            problems = app.redaction(list(error.diagnostics))
            write_parts(output.markdown, [failed_markdown(problems, app.sources, error.exit_code)])
        raise


def write_parts(file: Path, parts: Iterable[str]) -> None:
    """Write the first part into the file, the others beside it: `plan.md`, `plan-2.md`, and so on.

    Parts of an earlier, larger plan are removed: they would be read as parts of this one.
    """
    number = 0
    for number, text in enumerate(parts, 1):
        write_output(_part(file, number), text)
    with writing():
        while _is_part(stale := _part(file, number := number + 1), number):
            stale.unlink()


def _is_part(file: Path, number: int) -> bool:
    """Whether a file is a part of an earlier plan, and not another file of that name."""
    from dbc_iac.views.markdown.plan import part_mark

    try:
        return part_mark(number).encode() in read_file(file)
    except OSError:
        return False


def _part(file: Path, number: int) -> Path:
    return file if number == 1 else file.with_name(f"{file.stem}-{number}{file.suffix}")
