"""Every option and argument of every command: hostile values end with a result or a problem, never as a bug."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from dbc_iac.cli.commands import dbc_iac
from tests.examples import examples
from tests.projects import Emulated, document, project, vm

pytestmark = pytest.mark.hostile_summaries  # values of any length and form are printed

VALUES = [
    "", "sur\udcffrogate", "\x1b[31m", "é\u2028", "a" * 5000, "-1", "nan", "1e999", "9" * 30, "\u0663", "{{ x }}", "[",
    "\n", "Disk/", "/", "VirtualMachine/trainer", "=", "http://[::1", "http://a:99999/", "gpu-a", "2026-99-99",
]  # fmt: skip
EVERY = examples(suite=11, proof=1)
"""One in so many values is tried in each place, another one in the next place; `make prove` tries each in each."""
SERVES = {"emulator", "demo"}
"""Commands that go on until they are stopped, or bring a world of their own."""
NAMED = {"address": "VirtualMachine/trainer", "path": "/peers/gpu"}
"""Required arguments, by name, whose other values are the subject of another run."""


def some(place: int) -> list[str]:
    """The values that are tried in a place."""
    return VALUES[place % EVERY :: EVERY]


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        elif name not in SERVES:
            yield (*words, name), command


COMMANDS = dict(commands(dbc_iac))


def lines(words: tuple[str, ...], command: click.Command) -> Iterator[list[str]]:
    """The command with each hostile value in each of its places."""
    parameters = [p for p in command.params if not getattr(p, "hidden", False)]  # the options of all commands are below
    arguments = [p for p in parameters if isinstance(p, click.Argument)]
    needed = [NAMED.get(p.name or "", "trainer") if p.required else None for p in arguments]
    # `fmt /` would rewrite every YAML file of the machine.
    agreed = [o for o in ("--yes", "--check") if any(o in p.opts for p in command.params)]
    for place, parameter in enumerate(parameters, list(COMMANDS).index(words)):
        if isinstance(parameter, click.Option) and parameter.is_flag:
            continue
        asked = [o for p in command.params if p.required and isinstance(p, click.Option) and p is not parameter
                 for o in (p.opts[0], "1")]  # fmt: skip
        for value in some(place):
            if words == ("fmt",) and value == "/":
                continue  # all projects of the machine
            if isinstance(parameter, click.Option):
                given = [*asked, parameter.opts[0], value, "--", *(n for n in needed if n is not None)]
            else:
                others = [value if p is parameter else n for p, n in zip(arguments, needed, strict=True)]
                given = [*asked, "--", *(n for n in others if n is not None)]
            yield [*words, *agreed, *given]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    emulated = Emulated(
        project(tmp_path_factory.mktemp("lab"), vm(), document("Disk", "x", {"vm": "trainer", "size": "50Gi"}))
    )
    assert emulated.run("apply", "--yes").code == 0
    yield emulated
    emulated.close()


def assert_no_bug(emulated: Emulated, line: list[str]) -> None:
    result = emulated.run(*line)
    assert result.code != 70, (line, result.err)
    assert "Traceback" not in result.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_value_of_an_option_or_argument_ends_as_a_bug(
    lab: Emulated, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in lines(words, COMMANDS[words]):
        assert_no_bug(lab, line)


@pytest.mark.parametrize("option", ["-C", "-e", "--stack", "--var", "--var-file"])
def test_no_value_of_an_option_of_all_commands_ends_as_a_bug(
    lab: Emulated, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = [*VALUES, "team=sur\udcff", "team={{ x }}", "count=[", "team=" + "[" * 5000]
    for place, command in enumerate((["plan"], ["state", "list"], ["validate"])):
        for value in values[place % EVERY :: EVERY]:
            assert_no_bug(lab, [option, value, *command])


VARIABLES = ["SEED", "DBC_VAR_count", "DBC_VAR_team", "DBC_IAC_SIGNING_KEY", "DBC_IAC_UNTRUSTED",
             "DBC_IAC_PASS_ENV", "XDG_CACHE_HOME", "TERM", "NO_COLOR", "USER", "CI_JOB_URL", "GITHUB_RUN_ID"]  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
def test_no_value_of_a_variable_ends_as_a_bug(lab: Emulated, name: str, tmp_path: Path) -> None:
    before = dict(lab.project.environ)
    try:
        for value in some(VARIABLES.index(name)):
            lab.project.environ[name] = value
            for line in (["apply", "--yes"], ["plan", "-o", str(tmp_path / "plan")], ["output"]):
                assert_no_bug(lab, line)
    finally:
        lab.project.environ.clear()
        lab.project.environ.update(before)


BODIES: list[Any] = [None, [], "x", 1.5, {"": {}}, {"additional": []}, {"additional": {"a": None}}, {"rent_order": 1},
                     {"peer_nodes_list": "x"}, {"additional": {"a": "\ud800"}}, {"a": 10**30}]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=repr)
def test_no_body_of_a_request_ends_as_a_bug(lab: Emulated, body: Any, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(body))
    assert_no_bug(lab, ["api", "/tasks", "--node", "gpu-a", "-f", str(tmp_path / "body.json")])
