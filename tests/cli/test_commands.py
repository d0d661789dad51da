"""The command line itself: what it says to arguments that it cannot use."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dbc_iac.cli import CommandRuntime, run_command
from dbc_iac.cli.commands import dbc_iac
from tests.projects import Emulated, Project, project, vm


@pytest.mark.parametrize("arguments", [[], ["state"]], ids=["alone", "state"])
def test_a_command_without_its_subcommand_shows_its_help(arguments: list[str]) -> None:
    err = io.StringIO()
    code = run_command(dbc_iac, arguments, CommandRuntime(environ={}, out=io.StringIO(), err=err, terminal=False))
    assert code == 3
    assert err.getvalue().startswith("Usage: dbc-iac")
    assert "\nCommands:\n" in err.getvalue()


@pytest.mark.parametrize("command", [["init"], ["schema"]])
def test_a_place_that_cannot_be_written_is_no_bug(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")
    result = Project(tmp_path).run("-C", str(tmp_path / "file" / "below"), *command, "--json")
    assert (result.code, result.codes) == (3, ["unwritable-file"])


def test_a_plan_file_that_cannot_be_written_is_no_bug(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm("one")))
    result = emulated.run("plan", "--json", "-o", str(tmp_path / "nowhere" / "plan.json"))
    emulated.close()
    assert (result.code, result.codes) == (3, ["unwritable-file"])


@pytest.mark.parametrize("stack", ["", "a/../../b", "..", ".hidden", "a.b", "a b", "x" * 43])
def test_a_stack_cannot_be_a_path(tmp_path: Path, stack: str) -> None:
    """Its name becomes a file name: state must not be written outside its directory."""
    emulated = Emulated(project(tmp_path / "project", vm("one")))
    result = emulated.run("--stack", stack, "plan", "--json")
    emulated.close()
    assert (result.code, result.codes) == (3, ["stack-name"])
    assert [p.name for p in tmp_path.iterdir()] == ["project"]
