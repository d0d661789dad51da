"""The name of a stack. It becomes a file name, and a part of the marker of each VM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dbc_iac.diagnostics import DiagnosticError, SourceRange, failure
from dbc_iac.manifest.header import STACK_NAME

if TYPE_CHECKING:
    from dbc_iac.manifest.project import ProjectSpec

DEFAULT = "main"


def check_stack_name(name: str) -> None:
    """Raise DiagnosticError for a name that a stack cannot have."""
    if not STACK_NAME.fullmatch(name):
        summary = f"invalid stack name {name[:44]!r}"
        remedy = "Use --stack with at most 42 letters, digits, _ and -, beginning with a letter or digit."
        raise failure("stack-name", summary, remedy=remedy)


def stack_of(
    project: ProjectSpec, environment: str, given: str | None, where: Callable[[str], SourceRange | None]
) -> str:
    """The stack of a run: that of its environment, or `given`. Raises DiagnosticError for another environment's."""
    chosen = project.environments.get(environment)
    own = chosen.stack if chosen is not None else None
    if own is not None and given not in {None, own}:
        summary = f"environment {environment} has stack {own}, not {given}"
        raise _refused(summary, "Remove --stack.", where(f"environments.{environment}.stack"))
    stack = own or given or DEFAULT
    for name, other in project.environments.items():
        if other.stack == stack and name != environment:
            place = where(f"environments.{name}.stack")
            if own is not None:
                raise _refused(
                    f"environments {environment} and {name} share stack {stack}", "Give each its own `stack`.", place
                )
            raise _refused(f"stack {stack} belongs to environment {name}", f"Use -e {name}.", place)
    return stack


def _refused(summary: str, remedy: str, place: SourceRange | None) -> DiagnosticError:
    detail = "With the values of another environment, a plan would change or delete its resources."
    return failure("stack-of-environment", summary, detail, remedy, place)
