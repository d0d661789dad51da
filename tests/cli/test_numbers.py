"""Options that take a number, of all commands: what is no number, not finite or out of range is a usage error."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.types import FloatParamType, IntParamType

from dbc_iac.cli.options import Number, WholeNumber
from tests.cli.test_command_examples import COMMANDS
from tests.projects import Emulated, Project, project, vm

NUMERIC = [
    pytest.param(path, option, id=f"{path} {option.opts[0]}")
    for path, command in COMMANDS.items()
    for option in command.params
    if isinstance(option.type, IntParamType | FloatParamType) and not getattr(option, "hidden", False)
]
NEVER = ["nan", "NaN", "-nan", "inf", "-inf", "1e999", "-1", "-5", "9" * 5000, "five", "", "0x10", "1,5"]


def test_the_numeric_options_are_found() -> None:
    found = {f"{p.values[0]} {p.values[1].opts[0]}" for p in NUMERIC}  # type: ignore[union-attr]
    assert {"plan --max-removals", "apply --lock-timeout", "apply --wait-timeout", "vm stop --timeout"} <= found
    assert {"emulator --time-scale", "wallet address --threshold", "vm logs -n"} <= found


@pytest.mark.parametrize(("path", "option"), NUMERIC)
def test_every_numeric_option_has_a_range_that_not_a_number_does_not_pass(path: str, option: click.Option) -> None:
    assert isinstance(option.type, Number | WholeNumber)
    assert option.type.min is not None


@pytest.mark.parametrize(("path", "option"), NUMERIC)
def test_a_number_that_is_none_is_a_usage_error(path: str, option: click.Option, tmp_path: Path) -> None:
    for value in NEVER:
        given = ["--", value] if isinstance(option, click.Argument) else [f"{option.opts[-1]}={value}"]
        result = Project(tmp_path).run(*path.split(), "--json", *given)
        assert (result.code, result.codes) == (3, ["usage"]), value
        shown = option.opts[0].upper() if isinstance(option, click.Argument) else option.opts[0]
        assert f"Invalid value for '{shown}'" in result.err, value
        assert " range." not in result.err, value


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--max-removals", "101"),
        ("plan", "--max-removals", "500"),
        ("wallet", "address", "--threshold", "0"),
        ("emulator", "--time-scale", "0"),
        ("emulator", "--time-scale", "1e300"),
    ],
    ids=" ".join,
)
def test_a_number_out_of_range_is_a_usage_error(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = Project(tmp_path).run(*arguments, "--json")
    assert (result.code, result.codes) == (3, ["usage"])


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("5x", "'5x' is not a valid time, such as 60, 60s, 5m or 1h"),
        ("xm", "'xm' is not a valid time, such as 60, 60s, 5m or 1h"),
        ("-5s", "-5.0 is not in the range"),
        ("1e308h", "inf is not a finite number"),
    ],
)
def test_a_time_that_is_none_is_quoted_as_typed(typed: str, problem: str, tmp_path: Path) -> None:
    result = Project(tmp_path).run("plan", f"--lock-timeout={typed}")
    assert result.code == 3
    assert problem in result.err


@pytest.mark.parametrize("share", ["0", "100"])
def test_both_ends_of_a_range_are_taken(share: str, tmp_path: Path) -> None:
    made = project(tmp_path, environ={"SEED": "e5" * 32})
    assert "max-removals" not in made.run("plan", "--refresh=false", "--max-removals", share).err


def test_a_wait_without_an_end_in_sight_is_no_bug(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    applied = emulated.run("apply", "--yes", "--wait-timeout", "1e308", "--lock-timeout", "1e308")
    restarted = emulated.run("vm", "stop", "trainer", "--yes", "--wait", "--timeout", "1e308")
    emulated.close()
    assert (applied.code, restarted.code) == (0, 0), applied.err + restarted.err


@pytest.mark.parametrize("port", ["²", "99999", "9" * 5000, "-1", "nan", ""])
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("clients: [default]\n", encoding="utf-8")
    result = Project(tmp_path).run("emulator", "--world", str(world), "--listen", f"127.0.0.1:{port}", "--json")
    assert (result.code, result.codes) == (3, ["emulator"])


@pytest.mark.parametrize("field", ["timeScale: .nan", "timeScale: .inf", "restartSeconds: .nan"])
def test_a_world_with_a_number_that_is_none_is_refused(field: str, tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(f"{field}\n", encoding="utf-8")
    result = Project(tmp_path).run("emulator", "--world", str(world), "--json")
    assert (result.code, result.codes) == (3, ["invalid-value"])
    assert field.partition(":")[0] in result.err
