"""Literals of kinds: plans, applies, imports and output formats ask the kind, and name neither a kind nor its fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.kind import MODELS

PACKAGE = Path(__file__).parents[2] / "dbc_iac"
ENGINE = ("plan", "apply", "importing", "views", "cli")
OF_KINDS = "cli/ops"
"""Operations commands: each of them is of one kind."""
PLAIN = {
    "clients", "description", "external", "file", "id", "identity", "name", "node", "refresh", "server", "trigger",
    "url", "vm",
}  # fmt: skip
"""Fields whose names are also words of the engine: of references, of the journal, of JSON and of arguments."""
GROUPS = {"image", "network", "node", "server", "snapshot", "vm", "disk", "wallet", "api", "deeplink"}
"""Groups of the command line."""


def literals(source: str, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and text of each string constant that is one of the names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in names:
            yield node.lineno, node.value


@pytest.mark.parametrize("package", ENGINE)
def test_the_engine_names_no_kind_and_no_field_of_a_kind(package: str) -> None:
    fields = {field.path for kind in MODELS for field in kind_of(kind).fields} - PLAIN
    found = []
    for file in sorted((PACKAGE / package).rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(OF_KINDS):
            continue
        names = {*fields, *MODELS} - (GROUPS if name == "cli/commands/__init__.py" else set())
        found += [f"{name}:{line}: {text}" for line, text in literals(file.read_text("utf-8"), names)]
    assert found == []


def test_literals_are_found() -> None:
    assert [*literals('if path == "power" or kind == "Node":\n    pass\n', {"power", "Node"})] == [
        (1, "power"),
        (1, "Node"),
    ]
