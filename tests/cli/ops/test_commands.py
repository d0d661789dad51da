"""Common rules of all operations commands: help, --json, a question before a change, no secret as an argument."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from dbc_iac.cli import CommandRuntime, run_command
from dbc_iac.cli.commands import OPS, dbc_iac
from tests.projects import NODE_ID, SEED, Emulated, document, project, vm


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from _leaves(found, (*path, name))
    else:
        yield " ".join(path), command


ALL = {path: command for path, command in _leaves(dbc_iac, ()) if path.split()[0] in OPS}
LOOKING = {
    "deeplink get", "disk list", "image list", "network list", "network show", "node clients", "node list", "node show",
    "server list", "server show", "snapshot list", "snapshot show", "vm list", "vm logs", "vm show", "vm ssh",
    "wallet address", "wallet new", "wallet session", "wallet sign",
}  # fmt: skip
"""Those that change nothing of what is rented."""


@pytest.mark.parametrize("path", sorted(ALL))
def test_every_command_has_help_json_and_asks_before_it_changes_anything(path: str) -> None:
    command = ALL[path]
    options = {text for parameter in command.params for text in parameter.opts}
    assert command.help
    assert "--json" in options
    assert ("--yes" in options) == (path not in LOOKING)
    assert ("--wait" in options) == ("--timeout" in options)
    assert not options & {"--password", "--seed", "--key", "--mnemonic-phrase", "--secret"}, "arguments are seen by all"
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_they_are_listed_with_the_others() -> None:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert run_command(dbc_iac, ["--help"], CommandRuntime(out=out)) == 0
    assert all(re.search(rf"^  {name} ", out.getvalue(), re.M) for name in (*OPS, "plan", "apply"))


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    made: Emulated = world(vm())
    assert made.run("apply", "--yes").code == 0
    return made


def on_a_terminal(emulated: Emulated, *arguments: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    run: Any = emulated.loop.run_until_complete
    runtime = CommandRuntime(emulated.project.environ, run, emulated.network.transport, out=out, err=err, terminal=True)
    code = run_command(dbc_iac, ["-C", str(emulated.project.directory), *arguments], runtime)
    return int(code), out.getvalue() + err.getvalue()


@pytest.mark.parametrize(("answer", "code", "domain"), [(False, 5, "running"), (True, 0, "off")])
def test_a_terminal_is_asked(
    emulated: Emulated, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int, domain: str
) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    assert on_a_terminal(emulated, "vm", "stop", "trainer")[0] == code
    assert asked == ["Power off VirtualMachine/trainer?"]
    emulated.settle(60)
    [machine] = emulated.vms.values()
    assert machine["domain"] == domain


def test_a_password_is_typed_on_a_terminal_and_not_echoed(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    def prompt(text: str, *, hide_input: bool, confirmation_prompt: bool, **more: Any) -> str:
        assert hide_input
        assert confirmation_prompt
        return "canary-typed"

    monkeypatch.setattr("click.prompt", prompt)
    code, said = on_a_terminal(emulated, "vm", "passwd", "trainer", "--yes")
    [machine] = emulated.vms.values()
    assert (code, machine["password"]) == (0, "canary-typed")
    assert "canary" not in said


def test_on_a_terminal_ssh_takes_our_place_and_printing_is_asked_for(
    emulated: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def execvp(file: str, line: list[str]) -> None:
        ran.append(line)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("os.execvp", execvp)
    code, said = on_a_terminal(emulated, "vm", "ssh", "trainer", "uptime")
    assert (code, ran) == (1, [["ssh", "-p", "20000", "-l", "dbc", "--", "203.0.113.7", "uptime"]])
    assert "error[no-ssh]: cannot start ssh" in said
    assert on_a_terminal(emulated, "vm", "ssh", "trainer", "--print")[0] == 0
    assert len(ran) == 1


def test_nothing_of_a_node_becomes_an_option_of_ssh() -> None:
    from msgspec.structs import replace

    from dbc_iac.api.responses import VmDetails, read
    from dbc_iac.diagnostics import DiagnosticError
    from dbc_iac.operations.ssh import ssh_line
    from tests.api.test_responses import DETAILS

    good = read(VmDetails, DETAILS)
    assert ssh_line("x", good, "dbc", ())[0] == "ssh"
    for bad in (
        replace(good, ssh_ip="-oProxyCommand=x"),
        replace(good, ssh_ip="*.51.*.142"),
        replace(good, ssh_port=None),
    ):
        with pytest.raises(DiagnosticError):
            ssh_line("x", bad, "dbc", ())
    for account in ("-oProxyCommand=x", "N/A"):
        with pytest.raises(DiagnosticError):
            ssh_line("x", good, account, ())


def test_texts_of_a_node_do_not_steer_the_terminal(emulated: Emulated) -> None:
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, desc="\x1b[31mred")
    assert "\x1b" not in emulated.run("vm", "show", "trainer").out


def test_two_orders_of_one_machine_are_listed_once(emulated: Emulated) -> None:
    file = emulated.project.directory / "manifests" / "second.yaml"
    node = f"{{id: {NODE_ID}, identity: tenant, rentOrder: none}}"
    file.write_text(f"apiVersion: dbc-iac/v1\nkind: Node\nmetadata: {{name: gpu-b}}\nspec: {node}\n")
    assert len(emulated.run("vm", "list", "--json").json) == 1
    [task_id] = emulated.vms
    shutil.rmtree(emulated.project.directory / "state")
    assert emulated.run("vm", "show", task_id, "--json").json["taskId"] == task_id, "found on the Node that lists it"
    result = emulated.run("vm", "show", "A" * 22, "--json")
    assert (result.code, result.codes) == (3, ["unknown-name"])


def test_a_missing_node_option_gets_the_names_to_choose_from(tmp_path: Path) -> None:
    made = project(tmp_path, document("Node", "gpu-b", {"id": "ab" * 32, "identity": "tenant", "rentOrder": "2"}))
    assert "Use --node with one of: gpu-a, gpu-b." in made.run("image", "stop", "a.qcow2", "--yes").err
    (tmp_path / "manifests/all.yaml").write_text("")
    assert "Use --node with a node id." in made.run("image", "stop", "a.qcow2", "--yes").err


@pytest.mark.parametrize(
    "line",
    [
        "wallet new --out key --words 24",
        "wallet address tenant --seed-env SEED",
        "wallet address tenant --threshold 2",
        "wallet sign --identity tenant --seed-env SEED",
        "wallet sign --count 2 x",
        "wallet sign --with other.json x",
        "node monitor gpu-a 1.2.3.4:10051 --clear --yes",
        "vm start trainer --timeout 10 --yes",
        "image download ubuntu.qcow2 --timeout 10 --yes",
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(tmp_path: Path, line: str) -> None:
    made = project(tmp_path, environ={"SEED": SEED})
    result = made.run(*line.split(), "--json")
    assert (result.code, result.codes, result.out) == (3, ["usage"], "")
    assert not (tmp_path / "key").exists()
