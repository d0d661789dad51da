"""The modules of the command line and of the operations import each other in one direction, and at their top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules(package: str) -> dict[str, ast.Module]:
    """The syntax trees of all modules of a package, by name."""
    folder = ROOT / package.replace(".", "/")
    found = {}
    for path in folder.rglob("*.py"):
        words = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST, known: set[str], *, inside_functions: bool) -> Iterator[str]:
    """The known modules that a module imports, but those for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, FUNCTIONS) and not inside_functions:
            continue
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from {name if name in known else str(node.module) for name in names} & known
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known
        else:
            yield from imported(node, known, inside_functions=inside_functions)


def cycle(package: str, *, inside_functions: bool) -> list[str]:
    """A cycle of imports in a package; empty without one."""
    trees = modules(package)
    graph = {
        name: set(imported(tree, set(trees), inside_functions=inside_functions)) - {name}
        for name, tree in trees.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_cycle_is_found() -> None:
    trees = {"a": "from a.b import c", "a.b": "def f():\n    import a"}
    known = set(trees)
    assert [*imported(ast.parse(trees["a.b"]), known, inside_functions=True)] == ["a"]
    assert [*imported(ast.parse(trees["a.b"]), known, inside_functions=False)] == []
    assert [*imported(ast.parse(trees["a"]), known, inside_functions=True)] == ["a.b"]


@pytest.mark.parametrize(("package", "inside_functions"), [("dbc_iac.cli", True), ("dbc_iac.operations", False)])
def test_a_package_has_no_import_cycle(package: str, inside_functions: bool) -> None:
    assert cycle(package, inside_functions=inside_functions) == []


def test_only_the_methods_of_the_public_project_import_operations_when_called() -> None:
    trees = modules("dbc_iac.operations")
    late = {
        name: set(imported(tree, set(trees), inside_functions=True))
        - set(imported(tree, set(trees), inside_functions=False))
        for name, tree in trees.items()
    }
    public = {f"dbc_iac.operations.{name}" for name in ("plan", "plan_files", "reviewed_plans", "drift")}
    assert {name: found for name, found in late.items() if found} == {"dbc_iac.operations.project": public}


def test_a_function_of_the_command_line_has_at_most_one_import() -> None:
    found = {
        f"{name}.{function.name}": imports
        for name, tree in modules("dbc_iac.cli").items()
        for function in ast.walk(tree)
        if isinstance(function, FUNCTIONS)
        if (imports := sum(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))) > 1
    }
    assert found == {}


def test_a_command_file_imports_at_its_top_what_every_installation_has() -> None:
    """Only what an extra brings, or what few calls need, is imported inside a function."""
    inside = {
        name.removeprefix("dbc_iac.cli.commands.")
        for name, tree in modules("dbc_iac.cli.commands").items()
        for function in ast.walk(tree)
        if isinstance(function, FUNCTIONS)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    }
    assert inside == {"apply", "controller.access", "controller.run", "demo", "emulator", "graph"}
