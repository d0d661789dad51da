"""Approval of changes: asked for on a terminal, given with --yes, or by a review of the plan."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import click

from dbc_iac.address import Address
from dbc_iac.cli.app import App
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.kinds import kind_of
from dbc_iac.plan import Plan
from dbc_iac.views.disruption import disruptions
from dbc_iac.views.text.lines import escaped, escaped_lines
from dbc_iac.views.text.plan import scope, summary


class Approval(Enum):
    """The approval that was given before the plan was shown."""

    NONE = auto()
    """The user is asked, and sees the data loss first."""
    CHANGES = auto()
    """`--yes`: all changes but the loss of users' data."""
    DATA_LOSS = auto()
    """A reviewed plan, `destroy`, or --allow-data-loss."""


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
    _require_terminal(app, "Use --yes, or apply a plan FILE.")
    what = "the name of the project" if expected == plan.project else "yes"
    about = f"{summary(plan)} {scope(plan, disruptions(plan))}"
    question = f"{about}\nType {what} to {'delete the data' if what != 'yes' else 'apply'}:"
    text = escaped_lines(app.redaction(question))
    answer = click.prompt(text, default="", show_default=False, prompt_suffix=" ")
    if answer.strip() != expected:
        app.note("Nothing was changed: the plan was not approved.")
        raise click.exceptions.Exit(ExitCode.REFUSED)


def confirm(app: App, question: str, remedy: str = "Use --yes.") -> None:
    """Ask for approval on the terminal. Raises DiagnosticError without one, Exit if it is refused."""
    _require_terminal(app, remedy)
    if not click.confirm(escaped(app.redaction(question))):
        app.note("Nothing was changed: it was not approved.")
        raise click.exceptions.Exit(ExitCode.REFUSED)


def _require_terminal(app: App, remedy: str) -> None:
    if not app.runtime.terminal:
        problem = "no terminal to ask for approval"
        raise failure("needs-yes", problem, remedy=remedy)


def asking(app: App, yes: bool) -> Callable[[str], None]:
    """A function that asks for approval of a question, unless --yes is given."""
    return lambda question: None if yes else confirm(app, question)
