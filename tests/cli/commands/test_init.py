"""`init` writes a project that `validate` accepts, for any name, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import SEED, Project

NAMES = ["lab", "a-1", "null", "true", "yes", "123", "1e5", "0x1f", "2026-01-01", "x" * 42]
INVALID = {
    "Lab_1": "lab-1",
    "a b": "a-b",
    "-x": "x",
    "\u00c4": "project",
    "x" * 60: "x" * 42,
    'a"b': "a-b",
    "a: b": "a-b",
}


def new(directory: Path) -> Project:
    return Project(directory, {"DBC_WALLET_SEED": SEED})


@pytest.mark.parametrize("name", NAMES)
def test_a_project_of_a_valid_name_is_valid(tmp_path: Path, name: str) -> None:
    made = new(tmp_path)
    assert made.run("init", "--name", name).code == 0
    result = made.run("validate")
    assert result.code == 0, result.err


@pytest.mark.parametrize("name", ["Lab_1", "123", "null", "\u00c4", ".hidden"])
def test_a_project_named_after_its_directory_is_valid(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    made = new(tmp_path / name)
    assert made.run("init").code == 0
    result = made.run("validate")
    assert result.code == 0, result.err


@pytest.mark.parametrize(("name", "close"), INVALID.items(), ids=repr)
def test_a_name_that_validate_refuses_is_refused_with_the_closest_valid_one(
    tmp_path: Path, name: str, close: str
) -> None:
    result = new(tmp_path).run("init", "--name", name, "--json")
    assert (result.code, result.codes) == (3, ["invalid-name"])
    assert f"Use --name {close}." in result.err
    assert list(tmp_path.iterdir()) == []
