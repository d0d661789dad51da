"""References of the maintainers' pages to files and names of the code, and directories of tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
OTHER_TESTS = {"conformance", "openapi", "proof"}
"""Directories of tests of the whole."""
NO_TESTS = {"plan/cases", "state/format_1", "state/servers"}
"""Directories below those of a package that hold data or helpers."""
TESTED_ABOVE = {"cli/commands/controller", "cli/commands/state", "controller/migrations"}
"""Packages of modules without logic of their own, which the tests of their parent or of `controller` run."""
_REFERENCE = re.compile(r"`([a-z_/0-9]+\.(?:py|md|yaml|json)|[a-z_]+(?:/[a-z_]+)*/)(?::(\w+))?`")


def references(page: str) -> set[tuple[str, str]]:
    """Path and name (may be empty) of each reference."""
    return {(path, name) for path, name in _REFERENCE.findall((ROOT / page).read_text("utf-8"))}


def found(path: str) -> Path | None:
    return next((p for p in (ROOT / "dbc_iac" / path, ROOT / path) if p.exists()), None)


def names(file: Path) -> set[str]:
    """Names of functions, classes and constants at the top level of a module."""
    body = ast.parse(file.read_text("utf-8")).body
    defined = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    targets = [
        t
        for n in body
        if isinstance(n, ast.Assign | ast.AnnAssign)
        for t in getattr(n, "targets", [getattr(n, "target", None)])
    ]
    return defined | {t.id for t in targets if isinstance(t, ast.Name)}


@pytest.mark.parametrize("page", PAGES)
def test_references_exist(page: str) -> None:
    missing = []
    for path, name in sorted(references(page)):
        file = found(path)
        if file is None or (name and name not in names(file)):
            missing.append(f"{path}:{name}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_references(page: str) -> None:
    assert len(references(page)) > 10


def test_directories_of_tests_mirror_the_packages() -> None:
    tests = {file.parent.relative_to(ROOT / "tests") for file in (ROOT / "tests").glob("*/**/*.*")}
    directories = {d.as_posix() for d in tests if d.name != "__pycache__" and d.parts[0] not in OTHER_TESTS}
    assert {d for d in directories if not (ROOT / "dbc_iac" / d / "__init__.py").is_file()} == NO_TESTS


def test_every_package_has_a_directory_of_tests() -> None:
    packages = {file.parent.relative_to(ROOT / "dbc_iac") for file in (ROOT / "dbc_iac").glob("*/**/__init__.py")}
    assert {p.as_posix() for p in packages if not [*(ROOT / "tests" / p).glob("test_*.py")]} == TESTED_ABOVE
