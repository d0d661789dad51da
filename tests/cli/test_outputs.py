"""`output` and `graph` through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import PROJECT, Emulated, document, project, vm

LAN = document("Network", "lan", {"name": "trainnet", "via": "gpu-a", "cidr": "192.168.66.0/24"})
OUTPUTS = """  outputs:
    login: '{{ resource["VirtualMachine/trainer"].ssh }}'
    where: '{{ resource["VirtualMachine/trainer"].host }}:{{ resource["VirtualMachine/trainer"].sshPort }}'
    ids: '{{ resource.values() | map(attribute="id") | list }}'
    missing: '{{ resource["VirtualMachine/other"].id }}'
"""


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(project(tmp_path, LAN, vm(network="lan")))
    yield made
    made.close()


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
    assert "missing cannot be told" in emulated.run("output").err
    assert emulated.run("output", "nothing", "--json").codes == ["unknown-output"]


def test_without_outputs_it_says_how_to_log_in(emulated: Emulated) -> None:
    emulated.run("apply", "--yes")
    assert "VirtualMachine/trainer" in emulated.run("output").out
    config = emulated.run("output", "--ssh-config").out
    assert config.startswith("Host trainer\n  HostName ")
    assert "\n  Port " in config


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
