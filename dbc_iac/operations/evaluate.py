"""Evaluation of single expressions with the names that manifests have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.load import LoadedProject
from dbc_iac.manifest.templates import Templates, has_markup


def expressions_of(loaded: LoadedProject) -> Callable[[str], Any]:
    """A function that evaluates an expression or a template; it raises ValueError with the problem.

    Raises DiagnosticError for variables without a value. Problems of manifests are irrelevant.
    """
    if unset := [d for d in loaded.diagnostics.errors if d.code.startswith("variable-")]:
        raise DiagnosticError(*unset)
    templates = Templates(loaded.names)

    def evaluated(text: str) -> Any:
        return templates.evaluated(text if has_markup(text) else f"{{{{ {text} }}}}")

    return evaluated
