"""A plan as Markdown and HTML, in the files that the options name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dbc_iac.cli.options import PlanOutput
from dbc_iac.cli.output_files import write_output
from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import read_file
from dbc_iac.plan import Plan
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.markdown.failure import failed_markdown
from dbc_iac.views.markdown.plan import part_mark, plan_markdown


def write_documents(plan: Plan, output: PlanOutput) -> None:
    """Write a plan, without secrets, to the files that the options name. Raises DiagnosticError."""
    if output.markdown is not None:
        write_parts(output.markdown, plan_markdown(plan, output.detail))
    if output.html is not None:
        write_output(output.html, plan_html(plan, output.detail))


def write_failure(file: Path, problems: Sequence[Diagnostic], sources: Mapping[str, str], code: ExitCode) -> None:
    """Write the reason why there is no plan. Raises DiagnosticError."""
    write_parts(file, [failed_markdown(problems, sources, code)])


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
