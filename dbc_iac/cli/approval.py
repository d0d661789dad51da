"""Approval of a change without a plan: asked for on a terminal, or given with --yes."""

from __future__ import annotations

from collections.abc import Callable

import click

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.views.text.lines import escaped


def confirm(app: App, question: str, remedy: str = "Use --yes.") -> None:
    """Ask for approval on the terminal. Raises DiagnosticError without one, Exit if it is refused."""
    require_terminal(app, remedy)
    if not click.confirm(escaped(app.redaction(question))):
        app.note("Nothing was changed: it was not approved.")
        raise click.exceptions.Exit(ExitCode.REFUSED)


def require_terminal(app: App, remedy: str) -> None:
    """Raise DiagnosticError if nobody can be asked."""
    if not app.runtime.terminal:
        raise failure("needs-yes", "no terminal to ask for approval", remedy=remedy)


def asking(app: App, yes: bool) -> Callable[[str], None]:
    """A function that asks for approval of a question, unless --yes is given."""
    return lambda question: None if yes else confirm(app, question)
