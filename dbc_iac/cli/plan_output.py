"""A plan on the terminal and in files, in the forms that the options ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbc_iac.cli.app import App, Exit
from dbc_iac.cli.options import PlanOutput
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.diagnostics import DiagnosticError, ExitCode, Severity
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import read_file
from dbc_iac.files.writing import write_whole
from dbc_iac.plan import Plan
from dbc_iac.views.grouping import Detail
from dbc_iac.views.markdown.failure import failed_markdown
from dbc_iac.views.markdown.plan import part_mark, plan_markdown
from dbc_iac.views.text.plan import plan_lines


def show_plan(app: App, plan: Plan, output: PlanOutput, value: Any, *, reported: bool = False) -> None:
    """Print a plan (with --json: `value`), and write it to the files that the options name.

    `reported`: its diagnostics have been printed by `report_diagnostics`.
    """
    write_outputs(app, plan, output)
    app.show_lines(plan_lines(plan, _detail(output), reported=reported), value)


def report_diagnostics(app: App, plan: Plan) -> None:
    """Print the diagnostics of a plan on standard error, and a blank line between them and the plan."""
    app.report(plan.diagnostics)
    if plan.diagnostics and not app.json:
        app.runtime.tell("")


def write_outputs(app: App, plan: Plan, output: PlanOutput) -> None:
    """Write a plan to the files that the options name. Raises DiagnosticError."""
    shown, detail = app.redaction(plan), _detail(output)
    if output.markdown is not None:
        write_parts(output.markdown, plan_markdown(shown, detail))
    if output.html is not None:
        from dbc_iac.views.html.plan import plan_html

        write_output(output.html, plan_html(shown, detail))


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
            problems = app.redaction(list(error.diagnostics))
            write_parts(output.markdown, [failed_markdown(problems, app.sources, error.exit_code)])
        raise


def refuse_errors(plan: Plan) -> None:
    """End the command if a plan has errors, such as those of policies; they are reported with the plan."""
    if any(d.severity is Severity.ERROR for d in plan.diagnostics):
        raise Exit(ExitCode.REFUSED)


def _detail(output: PlanOutput) -> Detail:
    return Detail.FULL if output.full else Detail.GROUPED


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
    try:
        return part_mark(number).encode() in read_file(file)
    except OSError:
        return False


def _part(file: Path, number: int) -> Path:
    return file if number == 1 else file.with_name(f"{file.stem}-{number}{file.suffix}")


def write_output(file: Path, text: str) -> None:
    """Write a file that an option names. Raises DiagnosticError."""
    with writing():
        write_whole(file, text.encode("utf-8", "replace"))
