"""Literals of kinds: plans, applies, imports and output formats ask the kind, and name neither a kind nor its fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.kind import MODELS
from dbc_iac.kinds.virtual_machine.goals import CREATE_ERROR, POWER, TRANSITIONAL

PACKAGE = Path(__file__).parents[2] / "dbc_iac"
ENGINE = ("plan", "apply", "importing", "views", "cli")
OF_KINDS = "cli/ops"
"""Operations commands: each of them is of one kind."""
PLAIN = {"description", "external", "file", "id", "identity", "name", "node", "refresh", "server"}
"""Fields whose names are also words of the engine: of references, of the journal, of JSON and of arguments."""
GROUPS = {"image", "network", "node", "server", "snapshot", "vm", "disk", "wallet", "api", "deeplink"}
"""Groups of the command line."""


FIELDS = {field.path for kind in MODELS for field in kind_of(kind).fields}
PARTS = {f"{path.rpartition('.')[0]}." for path in FIELDS if "." in path}
"""Beginnings of fields, such as `ports.`."""
STATUSES = {CREATE_ERROR, *POWER, *TRANSITIONAL}


@cache
def constants(source: str) -> tuple[tuple[int, str], ...]:
    """Line and text of each string constant."""
    every = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return tuple((node.lineno, node.value) for node in every if isinstance(node.value, str))


def literals(source: str, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and text of each string constant that is one of the names."""
    return ((line, text) for line, text in constants(source) if text in names)


def found_in(package: str, names: set[str]) -> Iterator[tuple[str, str]]:
    """Place and text of each literal in a package, but for the groups of commands."""
    for file in sorted((PACKAGE / package).rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if not name.startswith(OF_KINDS):
            allowed = GROUPS if name == "cli/commands/__init__.py" else set()
            for line, text in literals(file.read_text("utf-8"), names - allowed):
                yield f"{name}:{line}: {text}", text


@pytest.mark.parametrize("package", ENGINE)
def test_the_engine_names_no_kind_and_no_field_of_a_kind(package: str) -> None:
    names = {*FIELDS, *PARTS, *STATUSES, *MODELS} - PLAIN
    assert [place for place, _ in found_in(package, names)] == []


def test_every_plain_word_is_used_by_the_engine_and_a_field() -> None:
    assert {text for package in ENGINE for _, text in found_in(package, PLAIN)} == PLAIN
    assert PLAIN <= FIELDS


def test_literals_are_found() -> None:
    assert [*literals('if path == "power" or kind == "Node":\n    pass\n', {"power", "Node"})] == [
        (1, "power"),
        (1, "Node"),
    ]
    assert [*literals('f"ports.{name}"', PARTS)] == [(1, "ports.")]
