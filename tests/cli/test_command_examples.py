"""Every command has help and examples whose options exist; completion works in a real shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from dbc_iac.cli.app import App
from dbc_iac.cli.command_examples import EXAMPLES
from dbc_iac.cli.commands import dbc_iac
from dbc_iac.cli.runtime import CommandRuntime
from tests.cli.forge import DBC_IAC
from tests.projects import PROJECT, Emulated, Project, project, vm


def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, f"{path} {name}".strip())


COMMANDS = dict(leaves(dbc_iac))


def test_every_command_has_examples_and_no_example_is_left_over() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


def test_an_optional_argument_is_shown_in_brackets() -> None:
    arguments = [p for command in COMMANDS.values() for p in command.params if isinstance(p, click.Argument)]
    assert [a.name for a in arguments if a.metavar and a.metavar.startswith("[") == a.required] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_explains_itself(path: str, tmp_path: Path) -> None:
    result = Project(tmp_path).run(*path.split(), "--help")
    assert result.code == 0
    assert "Examples:" in result.out or "Examples:" in (COMMANDS[path].epilog or "")
    assert "--json" in {o for p in COMMANDS[path].params for o in p.opts}
    for option in COMMANDS[path].params:
        assert not isinstance(option, click.Option) or option.help or option.opts == ["--format"], option.name


def groups(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        yield path
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from groups(inner, (*path, name))


@pytest.mark.parametrize("path", list(groups(dbc_iac)), ids=" ".join)
def test_every_group_has_examples(path: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Project(tmp_path).run(*path, "--help").code == 0
    shown = capsys.readouterr().out.partition("Examples:\n")[2].splitlines()
    assert shown
    words = " ".join(("dbc-iac", *path))
    assert all(line.startswith(f"    {words} ") for line in shown)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_can_be_parsed(line: str) -> None:
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
    context = dbc_iac.make_context("dbc-iac", words, obj=App(CommandRuntime()))
    command, rest = dbc_iac, [*context._protected_args, *context.args]
    while isinstance(command, click.Group):
        inner = command.get_command(context, rest[0])
        assert inner is not None, line
        command, rest = inner, rest[1:]  # type: ignore[assignment]
        context = (
            command.make_context(rest[0] if rest else "", list(rest), parent=context)
            if not isinstance(command, click.Group)
            else context
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, tmp_path: Path) -> None:
    result = Project(tmp_path).run("completion", shell)
    assert result.code == 0
    assert "_DBC_IAC_COMPLETE" in result.out
    if program := shutil.which(shell):
        file = tmp_path / "script"
        file.write_text(result.out)
        subprocess.run([program, "-n", str(file)], check=True)


Completed = Callable[[str], list[str]]


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Completed:
    """Completions that bash gets for the unfinished last word."""

    def complete(words: str) -> list[str]:
        for name, value in asked(words).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            Project(Path()).run()
        assert end.value.code == 0
        told, err = capfd.readouterr()
        assert err == ""
        return [line.removeprefix("plain,") for line in told.splitlines() if line]

    return complete


def asked(words: str) -> dict[str, str]:
    return {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_DBC_IAC_COMPLETE": "bash_complete"}


def test_a_process_completes_words() -> None:
    environ = {**os.environ, **asked("dbc-iac state ")}
    told = subprocess.run([*DBC_IAC], env=environ, check=True, capture_output=True, text=True)
    assert {"plain,list", "plain,mv", "plain,rebuild", "plain,rm", "plain,show"} <= set(told.stdout.split())
    assert told.stderr == ""


def test_words_are_completed(completed: Completed) -> None:
    assert completed("dbc-iac completion z") == ["zsh"]


@pytest.mark.parametrize("backend", ["local", "http"])
def test_completion_runs_no_program_of_the_project(tmp_path: Path, backend: str, completed: Completed) -> None:
    """Pressing Tab in a cloned directory must be harmless."""
    run = str({"exec": [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w'); print('x')"]})
    state = "{backend: http, address: 'http://127.0.0.1:1/x', headers: {X-Key: " + run + "}}"
    section = f"state: {state}" if backend == "http" else f"encryption: {{passphrase: {run}}}"
    project(tmp_path, vm()).write({"dbc-iac.yaml": f"{PROJECT}  {section}\n"})
    assert completed(f"dbc-iac -C {tmp_path} plan --target V") == ["VirtualMachine/trainer"]
    assert completed(f"dbc-iac -C {tmp_path} state rm V") == []
    assert completed(f"dbc-iac -C {tmp_path} --stack ") == []
    assert not (tmp_path / "ran").exists()


def test_environments_are_completed_from_the_project(tmp_path: Path, completed: Completed) -> None:
    project(tmp_path, vm()).write({"prod.yaml": "count: 3\n"})
    assert completed(f"dbc-iac -C {tmp_path} -e p") == ["prod"]
    assert completed(f"dbc-iac -C {tmp_path} -e ") == ["prod"]
    assert completed(f"dbc-iac -C {tmp_path} -e x") == []
    assert completed(f"dbc-iac -C {tmp_path}/nowhere -e ") == []


def test_addresses_are_completed_from_the_project(tmp_path: Path, completed: Completed) -> None:
    project(tmp_path, vm("trainer"), vm("other"))
    assert completed(f"dbc-iac -C {tmp_path} plan --target VirtualMachine/t") == ["VirtualMachine/trainer"]
    assert completed(f"dbc-iac -C {tmp_path} apply --replace Virt") == [
        "VirtualMachine/other",
        "VirtualMachine/trainer",
    ]
    assert completed(f"dbc-iac -C {tmp_path}/nowhere plan --target ") == []


COMPLETED = {
    "vm ssh ": ["lost", "trainer"],
    "vm stop t": ["trainer"],
    "disk list ": ["lost", "trainer"],
    "node show ": ["gpu-a"],
    "node monitor g": ["gpu-a"],
    "vm list --node ": ["gpu-a"],
    "image list --node ": ["gpu-a"],
    "vm list --identity ": ["tenant"],
    "wallet address ": ["tenant"],
    "state show ": ["VirtualMachine/lost"],
    "state rm ": ["VirtualMachine/lost"],
    "state mv ": ["VirtualMachine/lost"],
    "explain Im": ["Image", "ImageExport"],
    "explain P": ["Project"],
    "--stack ": ["blue", "main"],
    "--stack b": ["blue"],
}


def test_names_are_completed_from_the_manifests_and_the_state(
    world: Callable[..., Emulated], completed: Completed
) -> None:
    made = world(vm("lost"))
    assert made.run("apply", "--yes").code == 0
    directory = made.project.directory
    with_stack = PROJECT.replace("prod: {", "prod: {stack: blue, ")
    project(directory, vm("trainer")).write({"dbc-iac.yaml": with_stack})
    assert {words: completed(f"dbc-iac -C {directory} {words}") for words in COMPLETED} == COMPLETED
