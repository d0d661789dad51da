"""`console`: evaluate expressions with the variables of the project."""

from __future__ import annotations

import readline  # noqa: F401 - lets `input` edit lines and recall earlier ones
from collections.abc import Iterator

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.cli.output_files import load_files
from dbc_iac.cli.runtime import standard_input
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.operations.evaluate import expressions_of
from dbc_iac.views.text.fields import value_text

_REMEDY = "Correct the expression; `dbc-iac console var` prints the variables."


@click.command("console")
@click.argument("expression", required=False)
@json_option
@click.pass_obj
def command(app: App, /, expression: str | None) -> None:
    """Evaluate an expression as in a manifest. Without EXPRESSION, each line of standard input.

    Names: `var`, `env`, `project`, and all functions and filters of templates.
    """
    evaluated = expressions_of(load_files(app))
    failed = False
    for line in [expression] if expression is not None else _typed(app):
        try:
            value = evaluated(line)
        except ValueError as error:
            problem = Diagnostic("expression", Severity.ERROR, f"cannot evaluate: {error}", remedy=_REMEDY)
            if expression is not None:
                raise DiagnosticError(problem) from None
            app.report([problem])
            failed = True
        else:
            app.show(value_text(value), value)
    if failed and not app.runtime.terminal:
        raise click.exceptions.Exit(ExitCode.CONFIGURATION)


def _typed(app: App) -> Iterator[str]:
    """Lines of standard input; on a terminal with a prompt, until `exit` or the end of the input."""
    given = standard_input()
    while True:
        try:
            line = input("> ") if app.runtime.terminal else next(given).rstrip("\n")
        except (EOFError, StopIteration):
            return
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            summary = f"cannot read standard input ({why})"
            remedy = "Pass an expression, or a file with one expression per line: dbc-iac console < FILE."
            raise failure("unreadable-file", summary, remedy=remedy) from None
        if line.strip() in {"exit", "quit"}:
            return
        if line.strip():
            yield line
