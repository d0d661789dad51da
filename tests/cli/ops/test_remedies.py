"""Remedies of the operations commands: every error and warning has one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dbc_iac.cli.ops

MODULES = sorted(Path(dbc_iac.cli.ops.__path__[0]).glob("*.py"))
REMEDY_POSITION = 3


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_error_and_warning_of_an_operations_command_has_a_remedy(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    found = [
        ast.unparse(call)
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in {"failed", "warn"}
        and len(call.args) <= REMEDY_POSITION
        and not any(keyword.arg == "remedy" for keyword in call.keywords)
    ]
    assert not found
