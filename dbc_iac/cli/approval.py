"""What a user has agreed to, before anything is applied: asked on a terminal, said with --yes, or reviewed."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, Exit
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state.document import DEPOSED_SEPARATOR

if TYPE_CHECKING:
    from dbc_iac.plan import Plan


class Approval(Enum):
    """How much has been said before the plan was seen."""

    NONE = auto()
    """The user is asked, and sees what is lost first."""
    CHANGES = auto()
    """`--yes`: whatever is to be changed, but no users' data is lost."""
    LOSSES = auto()
    """A plan that was reviewed, `destroy`, or --allow-data-loss."""

    @classmethod
    def of(cls, *, yes: bool, losses: bool) -> Approval:
        if not yes:
            return cls.NONE
        return cls.LOSSES if losses else cls.CHANGES


def approved(app: App, made: Plan, consent: Approval) -> None:
    """Ask where that is needed. Raises DiagnosticError, Exit."""
    if consent is Approval.NONE:
        _ask(app)
    if consent is not Approval.CHANGES:
        return
    # What an earlier run left behind was agreed to then.
    going = [c for c in made.pending if c.losses and DEPOSED_SEPARATOR not in c.address]
    lost = [c.address for c in going if _keeps_data(c.kind, {**c.applied, **c.observed})]
    if lost:
        raise DiagnosticError(
            Diagnostic(
                "data-loss",
                Severity.ERROR,
                f"the data of {', '.join(lost)} would be lost for ever",
                "--yes says that changes are meant. Data that nothing makes anew goes only where that is said, too.",
                "Use --allow-data-loss, or apply a plan that was reviewed (`plan -o FILE`, then `apply FILE`).",
                address=lost[0],
                exit_code=ExitCode.REFUSED,
            )
        )


def _keeps_data(kind: str, had: dict[str, object]) -> bool:
    from dbc_iac.kinds import kind_of

    return kind_of(kind).keeps_data(had)  # type: ignore[arg-type]


def _ask(app: App) -> None:
    if not app.runtime.terminal:
        raise DiagnosticError(
            Diagnostic(
                "needs-yes", Severity.ERROR, "there is no terminal to ask on", remedy="Use --yes, or apply a plan FILE."
            )
        )
    if not click.confirm("Apply this?"):
        raise Exit(ExitCode.REFUSED)
