"""The name of a stack. It becomes a file name, and a part of the marker of each VM."""

from __future__ import annotations

import re

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,41}")


def check_stack_name(name: str) -> None:
    """Raise DiagnosticError for a name that a stack cannot have."""
    if not _NAME.fullmatch(name):
        summary = f"invalid stack name {name[:44]!r}"
        remedy = "Use --stack with at most 42 letters, digits, _ and -, beginning with a letter or digit."
        raise DiagnosticError(Diagnostic("stack-name", Severity.ERROR, summary, remedy=remedy))
