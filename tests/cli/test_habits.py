"""Words of Terraform, kubectl and Pulumi: each works, or the error names what to type."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dbc_iac.cli.app import App
from dbc_iac.cli.commands import dbc_iac
from dbc_iac.cli.habits import COMMAND_ADVICE, OPTION_ADVICE
from dbc_iac.cli.logs import stop_logs
from dbc_iac.cli.runtime import CommandRuntime
from tests.projects import PROJECT, Emulated, Project, project, vm

World = Callable[..., Emulated]

WORKS = [
    ("plan -out=x", "plan -o x"),
    ("plan -out x", "plan -o x"),
    ("plan --out x", "plan -o x"),
    ("plan --out=x", "plan -o x"),
    ("plan -var k=v", "--var k=v plan"),
    ("plan -var-file=f", "--var-file f plan"),
    ("plan -target=Disk/a", "plan --target Disk/a"),
    ("apply -replace=Disk/a", "apply --replace Disk/a"),
    ("apply -auto-approve", "apply --yes"),
    ("apply --auto-approve", "apply --yes"),
    ("apply -y", "apply --yes"),
    ("destroy -y", "destroy --yes"),
    ("plan -json", "plan --json"),
    ("-chdir=D plan", "-C D plan"),
    ("plan -chdir=D", "-C D plan"),
    ("plan -detailed-exitcode", "plan --detailed-exitcode"),
    ("plan -refresh=false", "plan --refresh false"),
    ("plan -lock-timeout=60s", "plan --lock-timeout 60"),
    ("plan --lock-timeout 2m", "plan --lock-timeout 120"),
    ("plan -destroy", "plan --destroy"),
    ("plan -no-color", "--no-color plan"),
    ("plan -input=false", "--input false plan"),
    ("fmt -recursive -check", "fmt --check"),
    ("fmt -diff", "fmt --diff"),
    ("show -json x", "show --json x"),
    ("output -json", "output --json"),
    ("plan -e dev --var k=v", "-e dev --var k=v plan"),
    ("plan --stack blue -v", "--stack blue -v plan"),
    ("--env dev plan", "-e dev plan"),
    ("state list -e dev", "-e dev state list"),
    ("vm list -C D", "-C D vm list"),
    ("vm stop a -y", "vm stop a --yes"),
]
"""A typed line, and the line of the documentation that it equals."""


def understood(line: str) -> tuple[list[str], dict[str, Any], App]:
    """The command of a line, the values that it gets, and the global options."""
    app = App(CommandRuntime(environ={}, out=io.StringIO(), err=io.StringIO(), terminal=True))
    context = dbc_iac.make_context("dbc-iac", line.split(), obj=app)
    command: click.Command = dbc_iac
    path: list[str] = []
    while isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        path.append(str(name))
        command, context = inner, inner.make_context(name, rest, parent=context)
    stop_logs(app)
    return path, context.params, app


@pytest.mark.parametrize(("typed", "documented"), WORKS)
def test_a_familiar_line_works(typed: str, documented: str) -> None:
    (path, values, app), (expected_path, expected, expected_app) = understood(typed), understood(documented)
    assert (path, values) == (expected_path, expected)
    for name in ("directory", "environment", "stack", "variables", "variable_files", "json"):
        assert getattr(app, name) == getattr(expected_app, name)
    assert app.runtime.environ == expected_app.runtime.environ
    assert app.runtime.terminal == expected_app.runtime.terminal


RESOURCES = ("disk", "image", "network", "node", "server", "snapshot", "vm")
ADVISED = [
    *((command, advice) for command, advice in COMMAND_ADVICE.items() if command != "stack"),
    *(
        (option if option.startswith("apply ") else f"plan {option}", advice)
        for option, advice in OPTION_ADVICE.items()
    ),
    ("plan -refresh-only", OPTION_ADVICE["--refresh-only"]),
    ("apply -parallelism=4", OPTION_ADVICE["--parallelism"]),
    ("plan -output json", OPTION_ADVICE["-o json"]),
    ("get vms trainer", COMMAND_ADVICE["get vms"]),
    ("workspace new blue", COMMAND_ADVICE["workspace new"]),
    *((f"{group} create x", "Write a manifest, then use `dbc-iac apply`.") for group in RESOURCES),
    *((f"{group} rm x", "Remove the manifest, then use `dbc-iac apply`.") for group in RESOURCES if group != "image"),
    *((f"{group} ls", f"Use `dbc-iac {group} list`.") for group in (*RESOURCES, "stack", "state")),
    ("create vm", "Write a manifest, then use `dbc-iac apply`."),
    ("disk add trainer", "Write a manifest, then use `dbc-iac apply`."),
    ("vm edit trainer", "Edit the manifest, then use `dbc-iac apply`."),
    ("vm describe trainer", "Use `dbc-iac vm show`."),
    ("deeplink ls", "See `dbc-iac deeplink --help`."),
    ("vm logout", "See `dbc-iac vm --help`."),
    ("vm list --names", "See `dbc-iac vm list --help`."),
]


@pytest.mark.parametrize(("typed", "advice"), ADVISED)
def test_an_unknown_word_of_another_tool_gets_one_line_of_advice(typed: str, advice: str, tmp_path: Path) -> None:
    result = Project(tmp_path).run(*typed.split())
    assert result.code == 3
    first, help_line = result.err.splitlines()
    assert first.startswith("error[usage]: ")
    assert help_line == f"  help: {advice}"


@pytest.mark.parametrize("advice", sorted({*COMMAND_ADVICE.values(), *OPTION_ADVICE.values()}))
def test_advice_names_commands_and_options_that_exist(advice: str) -> None:
    for line in re.findall(r"`dbc-iac ([^`]+)`", advice):
        understood(line.replace(" COMMAND", " plan"))


def test_a_plan_file_of_another_name_is_not_written(tmp_path: Path) -> None:
    Project(tmp_path).run("plan", "-out=x")
    assert not (tmp_path / "ut=x").exists()


@pytest.mark.parametrize("typed", ["version", "-V", "-version", "--version"])
def test_the_version(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Project(tmp_path).run(typed).code == 0
    assert capsys.readouterr().out.startswith("dbc-iac")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("help", "Usage: dbc-iac [OPTIONS] COMMAND"),
        ("help plan", "Usage: dbc-iac plan"),
        ("help state list", "Usage: dbc-iac state list"),
        ("plan -help", "Usage: dbc-iac plan"),
    ],
)
def test_help(typed: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Project(tmp_path).run(*typed.split()).code == 0
    assert capsys.readouterr().out.startswith(shown)


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("plam", "Did you mean plan?"),
        ("state lst", "Did you mean list?"),
        ("vm strat x", "Did you mean start?"),
        ("plan --targt x", "Did you mean --target?"),
    ],
)
def test_a_misspelled_word_gets_a_suggestion(typed: str, advice: str, tmp_path: Path) -> None:
    assert f"help: {advice}" in Project(tmp_path).run(*typed.split()).err


def test_applying_a_manifest_by_name_is_explained(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), environ={"SEED": "0" * 64})
    result = made.run("apply", str(tmp_path / "manifests/all.yaml"))
    assert result.code == 3
    assert "To apply manifests, leave out FILE." in result.err


def test_arguments_of_another_program_are_left_alone() -> None:
    _, values, app = understood("vm ssh trainer -v -p 22 -- -out=x")
    assert values["arguments"] == ("-v", "-p", "22", "-out=x")
    assert app.directory == Path()


def test_explain_shows_the_fields_of_a_kind_and_of_a_field(tmp_path: Path) -> None:
    made = Project(tmp_path)
    whole, part = made.run("explain", "virtualmachine"), made.run("explain", "VirtualMachine.ports")
    assert "  memory <text>\n      memory in GiB  [cold-boot]\n" in whole.out
    assert "  ports.vnc <number or auto> (required)\n" in part.out
    assert made.run("explain", "Project.state", "--json").json["fields"][0]["path"] == "state.backend"


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("VirtualMachin", "Did you mean VirtualMachine?"),
        ("Disk.sze", "Did you mean Disk.size?"),
        ("VirtualMachine.ports.ssg", "Did you mean VirtualMachine.ports.ssh?"),
        ("VirtualMachine.ports.ssh.x", "Use VirtualMachine.ports.ssh, which has no fields."),
    ],
)
def test_explain_suggests_a_name(typed: str, advice: str, tmp_path: Path) -> None:
    result = Project(tmp_path).run("explain", typed)
    assert (result.code, advice in result.err) == (3, True)


@pytest.mark.parametrize(
    "typed",
    ["VirtualMachine.ports.x", "VirtualMachine.lifecycle.foo", "VirtualMachine.lifecycle.beforeOffline.x", "Node.qqq"]
    + [f"Project.{field}.xyz" for field in ("state", "identities", "clients", "policies", "environments", "moved")],
)
def test_explain_suggests_names_that_it_explains(typed: str, tmp_path: Path) -> None:
    made = Project(tmp_path)
    result = made.run("explain", typed)
    assert result.code == 3
    named = re.findall(r"\w+(?:\.\w+)+", result.err.partition("help: ")[2])
    assert named
    assert [name for name in named if made.run("explain", name).code] == []


def test_console_evaluates_an_expression_with_the_variables(tmp_path: Path) -> None:
    made = project(tmp_path, "kind: Broken\n")
    assert made.run("console", "var.count * 2").out == "4\n"
    assert made.run("console", "{{ project }}-{{ var.team }}", "--var", "team=nlp").out == "lab-nlp\n"
    assert "vra is not defined" in made.run("console", "vra.count").err


def test_console_reads_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1 + 1\n\nvar.cuont\nexit\nvar.count\n"))
    result = project(tmp_path).run("console")
    assert (result.code, result.out) == (3, "2\n")
    assert "cuont" in result.err


def test_plan_says_how_to_apply_its_file(world: World, tmp_path: Path) -> None:
    emulated = world(vm())
    file = tmp_path / "the.plan"
    last = emulated.run("plan", "-out", str(file)).out.splitlines()[-1]
    assert last == f"Saved the plan to {file}. Apply it with: dbc-iac -C {tmp_path} apply {file}"
    assert emulated.run("apply", str(file)).code == 0


def test_a_plan_writes_no_state(world: World, tmp_path: Path) -> None:
    emulated = world(vm())
    assert "stack main (new)" in emulated.run("plan").out
    assert not list((tmp_path / "state").rglob("*.json"))


def test_an_unknown_stack_is_reported_as_new(world: World, tmp_path: Path) -> None:
    emulated = world(vm())
    emulated.run("apply", "--yes")
    for command in ("plan", "state list"):
        result = emulated.run("--stack", "mian", *command.split())
        assert "stack mian is new: it has no state" in result.err
        assert "Did you mean main?" in result.err
    assert not (tmp_path / "state/mian.json").exists()


def test_the_stack_that_an_environment_names_is_no_mistake(world: World, tmp_path: Path) -> None:
    emulated = world(vm())
    emulated.run("apply", "--yes")
    named = (tmp_path / "dbc-iac.yaml").read_text().replace("prod: {", "prod: {stack: production, ")
    emulated.project.write({"dbc-iac.yaml": named, "prod.yaml": "{}"})
    result = emulated.run("-e", "prod", "plan")
    assert "stack production (new), environment prod" in result.out
    assert "new-stack" not in result.err


def test_state_show_finds_a_resource_by_its_name(world: World) -> None:
    emulated = world(vm("trainer"), vm("worker"))
    emulated.run("apply", "--yes")
    assert emulated.run("state", "show", "trainer").out.startswith("VirtualMachine/trainer\n")
    assert "Did you mean VirtualMachine/worker?" in emulated.run("state", "show", "VirtualMachine/wroker").err


def test_state_commands_need_the_project_file_only(world: World, tmp_path: Path) -> None:
    emulated = world(vm())
    outputs = "  outputs:\n    login: \"{{ resource['VirtualMachine/trainer'].id }}\"\n"
    emulated.project.write({"dbc-iac.yaml": PROJECT + outputs})
    applied = emulated.run("apply", "--yes")
    identity = applied.out.splitlines()[-1].removeprefix("login = ")
    assert applied.out.endswith(f"\nOutputs:\nlogin = {identity}\n")
    broken = PROJECT.replace("team: {default: vision}", "team: {default: vision}\n    needed: {}") + outputs
    emulated.project.write({"dbc-iac.yaml": broken, "manifests/all.yaml": "kind: [\n"})
    assert emulated.run("plan").code == 3
    assert identity in emulated.run("state", "list").out
    assert identity in emulated.run("state", "show", "trainer").out
    assert identity in emulated.run("state", "pull").out
    assert emulated.run("output", "login").out == f"{identity}\n"
    assert emulated.run("stack", "list").code == 0
    assert emulated.run("state", "pull", "-o", str(tmp_path / "manifests/all.yaml")).code == 3


ENVIRONMENTS = PROJECT.replace(
    "    prod: {variables: [prod.yaml]}", "    prod: {variables: [prod.yaml], stack: production}\n    dev: {stack: dev}"
)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("-e dev state list", ""),
        ("-e dev --stack dev state list", ""),
        ("-e dev --stack production state list", "environment dev has stack dev, not production"),
        ("--stack production state list", "stack production belongs to environment prod"),
        ("--stack dev plan", "stack dev belongs to environment dev"),
        ("-e nowhere state list", "unknown environment nowhere"),
    ],
)
def test_an_environment_has_its_own_stack(typed: str, problem: str, tmp_path: Path) -> None:
    made = project(tmp_path, vm()).write({"dbc-iac.yaml": ENVIRONMENTS, "prod.yaml": "count: 3\n"})
    result = made.run(*typed.split())
    assert result.code == (3 if problem else 0)
    assert problem in result.err


def test_an_environment_plans_on_its_stack(world: World) -> None:
    emulated = world(vm())
    emulated.project.write({"dbc-iac.yaml": ENVIRONMENTS, "prod.yaml": "count: 3\n"})
    assert "stack dev (new), environment dev." in emulated.run("-e", "dev", "plan").out


@pytest.mark.parametrize("given", [None, io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8")])
def test_console_ends_where_its_input_is_closed_and_refuses_what_is_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: io.TextIOBase | None
) -> None:
    monkeypatch.setattr("sys.stdin", given)
    result = project(tmp_path).run("console", "--json")
    assert (result.code, result.codes if result.err else []) == ((0, []) if given is None else (3, ["unreadable-file"]))
