"""In what forms a plan is shown, and the end of an apply: options that several commands share, and the writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dbc_iac.cli.app import App, Exit, writing
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.reading import read_file, read_given
from dbc_iac.files.writing import write_whole
from dbc_iac.json import load_json

if TYPE_CHECKING:
    from dbc_iac.cli.encryption import Keys
    from dbc_iac.plan import Plan
    from dbc_iac.state import State
    from dbc_iac.views.grouping import Detail


def plan_output_options(command: click.Command) -> click.Command:
    """The options about how a plan is shown; a command gets them by their names, and gives them on to `show_plan`."""
    file = click.Path(path_type=Path, dir_okay=False)
    command.params += [
        click.Option(["--full"], is_flag=True, help="Tell every resource, also those that are alike."),
        click.Option(["--markdown"], type=file, help="Write the plan here too, for a pull request."),
        click.Option(["--html"], type=file, help="Write the plan here too, as a page that needs nothing else."),
    ]
    return command


def follow_options(command: click.Command) -> click.Command:
    """The options about how an apply is followed, the same for apply and destroy."""
    file = click.Path(path_type=Path, dir_okay=False)
    command.params += [
        click.Option(
            ["--events"], metavar="FILE|-", help="Write events here, a JSON value a line; -: standard output."
        ),
        click.Option(["--report"], type=file, help="Write the end report too: Markdown (.md), JSON (.json) or text."),
    ]
    return command


def show_plan(app: App, made: Plan, chosen: Mapping[str, object], value: Any) -> None:
    """The plan on standard output (with --json: `value`), and in the files that were asked for."""
    from dbc_iac.views.text.plan import plan_lines

    write_outputs(app, made, chosen)
    app.show_lines(plan_lines(app.redaction(made), _detail(chosen)), value)


def write_outputs(app: App, made: Plan, chosen: Mapping[str, object]) -> None:
    """The plan in the files that were asked for."""
    from dbc_iac.views.markdown.plan import plan_markdown

    shown, detail = app.redaction(made), _detail(chosen)
    if isinstance(markdown := chosen.get("markdown"), Path):
        write_parts(markdown, plan_markdown(shown, detail))
    if isinstance(page := chosen.get("html"), Path):
        from dbc_iac.views.html.plan import plan_html

        write_output(page, plan_html(shown, detail))


@contextmanager
def failure_told(app: App, chosen: Mapping[str, object]) -> Iterator[None]:
    """Around the making of a plan: where there is none, the Markdown that was asked for says so, and why."""
    try:
        yield
    except DiagnosticError as error:
        if isinstance(markdown := chosen.get("markdown"), Path):
            from dbc_iac.views.markdown.failure import failed_markdown

            try:
                check_outputs(app, {"markdown": markdown}, None)
            except DiagnosticError as unwritable:
                raise DiagnosticError(*dict.fromkeys((*error.diagnostics, *unwritable.diagnostics))) from None
            problems = app.redaction(list(error.diagnostics))
            write_parts(markdown, [failed_markdown(problems, app.sources, error.exit_code)])
        raise


def refuse(made: Plan) -> None:
    """Ends the command where a policy refuses the plan; its problems have been told with the plan."""
    if any(d.severity is Severity.ERROR for d in made.diagnostics):
        raise Exit(ExitCode.REFUSED)


def _detail(chosen: Mapping[str, object]) -> Detail:
    from dbc_iac.views.grouping import Detail

    return Detail.FULL if chosen.get("full") else Detail.GROUPED


def write_parts(file: Path, parts: Iterable[str]) -> None:
    """The first part into the file, the others beside it: `plan.md`, `plan-2.md`, and so on. What an earlier, larger
    plan left beside it is taken away: it would be read as a part of this one."""
    number = 0
    for number, text in enumerate(parts, 1):
        write_output(_part(file, number), text)
    with writing():
        while _is_part(left := _part(file, number := number + 1), number):
            left.unlink()


def _is_part(file: Path, number: int) -> bool:
    """Whether a file is such a part of an earlier plan. Another one that has its name stays."""
    from dbc_iac.views.markdown.plan import part_mark

    try:
        return part_mark(number).encode() in read_file(file)
    except OSError:
        return False


def _part(file: Path, number: int) -> Path:
    return file if number == 1 else file.with_name(f"{file.stem}-{number}{file.suffix}")


def write_output(file: Path, text: str) -> None:
    """Raises DiagnosticError where the file cannot be written."""
    with writing():
        write_whole(file, text.encode("utf-8", "replace"))


def state_file(file: Path, keys: Keys) -> State | None:
    """The state that a file holds; None where it holds a plan. Raises DiagnosticError where it is neither, damaged, or
    of a newer format."""
    from dbc_iac.cli.encryption import opened
    from dbc_iac.state.backup import read_backup

    try:
        content = opened(read_given(file), str(file), keys)
    except OSError:
        return None  # whoever reads plans tells why
    value = _json(content)
    if isinstance(value, dict) and {"bindings", "state"} & set(value):
        return read_backup(content, str(file)).folded
    if isinstance(value, dict) and "changes" in value:
        return None
    if value is None and isinstance(_json(content.partition(b"\n")[0]), dict):
        return None  # signed
    summary = f"{file} is neither a plan nor a state"
    remedy = "Give what `plan -o`, `state pull` or an apply wrote, as a whole."
    raise DiagnosticError(Diagnostic("not-shown", Severity.ERROR, summary, remedy=remedy))


def _json(content: bytes) -> Any:
    try:
        return load_json(content)
    except ValueError:
        return None
