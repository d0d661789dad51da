"""`output` and `graph` through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from tests.projects import PROJECT, Emulated, document, project, vm

LAN = document("Network", "lan", {"name": "trainnet", "via": "gpu-a", "cidr": "192.168.66.0/24"})
OUTPUTS = """  outputs:
    login: '{{ resource["VirtualMachine/trainer"].ssh }}'
    where: '{{ resource["VirtualMachine/trainer"].host }}:{{ resource["VirtualMachine/trainer"].sshPort }}'
    ids: '{{ resource.values() | map(attribute="id") | list }}'
    missing: '{{ resource["VirtualMachine/other"].id }}'
"""


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(LAN, vm(network="lan"))


def test_an_output_of_a_resource_without_manifest_gives_a_warning(emulated: Emulated) -> None:
    emulated.project.write(
        {"dbc-iac.yaml": PROJECT + "  outputs: {ip: '{{ resource[\"VirtualMachine/trianer\"].host }}'}\n"}
    )
    result = emulated.run("validate", "--json")
    assert (result.code, result.codes) == (0, ["unknown-resource"])
    assert "Did you mean VirtualMachine/trainer?" in result.err
    assert "dbc-iac.yaml" in result.err


def test_outputs_are_what_they_name_once_it_is_there(emulated: Emulated) -> None:
    emulated.project.write({"dbc-iac.yaml": PROJECT + OUTPUTS})
    before = emulated.run("output", "--json")
    assert (before.code, before.json["login"]) == (0, None)
    emulated.run("apply", "--yes")
    [task] = emulated.vms
    told = emulated.run("output", "--json").json
    port = told["where"].partition(":")[2]
    assert told["login"].startswith(f"ssh -p {port} -l dbc -- ")
    assert set(told["ids"]) == {task, "trainnet"}
    assert told["missing"] is None
    one = emulated.run("output", "where")
    assert one.out == f"{told['where']}\n"
    assert "cannot evaluate output missing" in emulated.run("output").err
    assert emulated.run("output", "nothing", "--json").codes == ["unknown-output"]


def test_without_outputs_it_says_how_to_log_in(emulated: Emulated) -> None:
    emulated.run("apply", "--yes")
    assert "VirtualMachine/trainer" in emulated.run("output").out
    config = emulated.run("output", "--ssh-config").out
    assert config.startswith("Host trainer\n  HostName ")
    assert "\n  Port " in config


def test_the_account_is_the_one_whose_password_is_managed(tmp_path: Path) -> None:
    login = {"username": "alice", "password": {"env": "PW"}}
    emulated = Emulated(project(tmp_path, vm(login=login), environ={"PW": "a-password"}))
    outputs = OUTPUTS + """    user: '{{ resource["VirtualMachine/trainer"].user }}'\n"""
    emulated.project.write({"dbc-iac.yaml": PROJECT + outputs})
    emulated.run("apply", "--yes")
    assert emulated.run("output", "user").out == "alice\n"
    assert " -l alice -- " in emulated.run("output", "login").out
    assert "\n  User alice\n" in emulated.run("output", "--ssh-config").out
    emulated.close()


def test_what_cannot_be_read_is_not_taken_for_absent(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.project.write({"dbc-iac.yaml": PROJECT + OUTPUTS})
    emulated.run("apply", "--yes")

    async def unread(*_: object) -> Unreadable:
        return Unreadable("no answer")

    monkeypatch.setattr(CachedReader, "vm", unread)
    one = emulated.run("output", "login")
    assert (one.code, one.out) == (1, "")
    assert "error[unreadable]: cannot read VirtualMachine/trainer: no answer" in one.err
    assert "dbc-iac apply" not in one.err
    every = emulated.run("output", "--json")
    assert (every.code, every.json["login"], len(every.json["ids"])) == (1, None, 2)
    assert set(every.codes) == {"unreadable", "no-output"}
    config = emulated.run("output", "--ssh-config")
    assert (config.code, config.out) == (1, "")
    assert "No VM has an ssh port." in config.err


def test_an_unreadable_output_is_an_error(emulated: Emulated) -> None:
    emulated.project.write({"dbc-iac.yaml": PROJECT + OUTPUTS})
    one = emulated.run("output", "login")
    assert (one.code, one.out) == (1, "")
    assert "error[no-output]" in one.err
    told = emulated.run("output", "login", "--json")
    assert (told.code, told.json, told.codes) == (1, None, ["no-output"])


def test_a_configuration_for_ssh_holds_no_remarks(emulated: Emulated) -> None:
    config = emulated.run("output", "--ssh-config")
    assert (config.code, config.out) == (0, "")
    assert emulated.run("output", "--ssh-config", "login", "--json").codes == ["usage"]


def test_graphs_of_documents_and_of_plans(emulated: Emulated, tmp_path: Path) -> None:
    edges = emulated.run("graph", "--json").json["edges"]
    assert ["Network/lan", "VirtualMachine/trainer"] in edges
    assert ["Node/gpu-a", "VirtualMachine/trainer"] in edges
    kept, drawn = tmp_path / "the.plan", tmp_path / "graph.svg"
    emulated.run("plan", "-o", str(kept))
    assert "trainer<br/>VirtualMachine: create" in emulated.run("graph", str(kept), "--format", "mermaid").out
    assert emulated.run("graph", str(kept), "--format", "svg", "-o", str(drawn)).code == 0
    assert "<title>VirtualMachine/trainer create</title>" in drawn.read_text()
    assert json.loads(emulated.run("graph", str(kept), "--json").out)["vertices"][0]["action"] == "create"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ nosuch }}", "nosuch is not defined; use env, project, resource"),
        ("{{ 1 +", "invalid template of output b"),
        ("{% set x = 1 %}", "set, macro and call are not supported"),
    ],
)
def test_an_invalid_output_template_is_a_problem_of_the_project(emulated: Emulated, text: str, said: str) -> None:
    emulated.project.write({"dbc-iac.yaml": PROJECT + f"  outputs:\n    a: fine\n    b: '{text}'\n"})
    result = emulated.run("validate")
    line = len((PROJECT + "  outputs:\n    a: fine\n").splitlines()) + 1
    assert (result.code, said in result.err, f"dbc-iac.yaml:{line}:" in result.err) == (3, True, True), result.err


def test_a_second_environment_on_a_state_gives_a_warning(emulated: Emulated) -> None:
    prod = {"prod.yaml": "count: 3\n"}
    emulated.project.write(prod)
    assert emulated.run("apply", "--yes").code == 0
    other = emulated.run("-e", "prod", "plan")
    assert (other.code, "warning[other-environment]" in other.err) == (0, True), other.err
    assert "--stack prod" in other.err
    assert "other-environment" not in emulated.run("plan").err
