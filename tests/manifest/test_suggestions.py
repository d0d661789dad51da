"""Misspelled names: a diagnostic with a source range and a suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.projects import PROJECT, document, project, vm

MISSPELLED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "a port that is a word",
        {"ports": {"ssh": "aut", "vnc": "auto"}},
        "ports.ssh is aut, expected a whole number or auto",
        "auto",
    ),
    ("a variable", {"gpus": "{{ var.cout }}"}, "cout is not defined", "count"),
    ("a variable within a text", {"description": "of {{ var.taem }}"}, "taem is not defined", "team"),
    ("a name at the top", {"gpus": "{{ vra.count }}"}, "vra is not defined", "var"),
    ("a field of a nested part", {"login": {"usrname": "x"}}, "unknown field usrname", "username"),
    ("a field of a part in a part", {"lifecycle": {"beforeOffline": {"comand": ["x"]}}}, "comand", "command"),
]


@pytest.mark.parametrize(("changed", "text", "suggestion"), [m[1:] for m in MISSPELLED], ids=[m[0] for m in MISSPELLED])
def test_a_misspelled_name_gets_a_suggestion(
    tmp_path: Path, changed: dict[str, Any], text: str, suggestion: str
) -> None:
    result = project(tmp_path, vm(**changed)).run("validate")
    assert text in result.err
    assert f"help: Did you mean {suggestion}?" in result.err


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("zzz", "Use var.NAME, env, project"), ("var.zzz", "Declare it under `variables` in the project file.")],
)
def test_an_unknown_name_without_a_similar_one_gets_a_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    result = project(tmp_path, vm(gpus=f"{{{{ {name} }}}}")).run("validate")
    assert "zzz is not defined" in result.err
    assert f"help: {remedy}" in result.err


@pytest.mark.parametrize(
    ("right", "wrong", "code", "column", "suggestion"),
    [
        ("{url:", "{ulr:", "unknown-field", "6:23", "url"),
        ("clients: {default: {url:", "clients: {url: {ulr:", "unknown-field", "6:19", "url"),
        ("  count: {type:", "  count: {tpye:", "unknown-field", "10:13", "type"),
        ("  environments:", "  enviroments:", "unknown-field", "12:3", "environments"),
        ("apiVersion: dbc-iac/v1", "apiVersion: dbc-iac/v2", "api-version", "1:13", ""),
        ("{name: lab}", "{name: Lab}", "invalid-name", "3:18", ""),
        ("{name: lab}", "{nam: lab}", "unknown-field", "3:12", "name"),
        ("metadata: {name: lab}", "metadta: {name: lab}", "unknown-field", "3:1", "metadata"),
        ("kind: Project", "kind: Projct", "no-project", "2:7", ""),
    ],
)
def test_a_misspelled_key_of_the_project_file_has_its_source_range(
    tmp_path: Path, right: str, wrong: str, code: str, column: str, suggestion: str
) -> None:
    made = project(tmp_path).write({"dbc-iac.yaml": PROJECT.replace(right, wrong)})
    assert code in made.run("validate", "--json").codes
    result = made.run("validate")
    assert result.code == 3
    assert f"--> {tmp_path / 'dbc-iac.yaml'}:{column}" in result.err
    assert f" | {wrong.strip()}" in result.err or wrong.strip() in result.err
    assert f"help: Did you mean {suggestion}?" in result.err or not suggestion


def test_all_problems_of_the_project_file_are_reported_at_once(tmp_path: Path) -> None:
    text = PROJECT.replace("dbc-iac/v1", "v1").replace("lab", "Lab").replace("uid:", "uidd:")
    codes = project(tmp_path).write({"dbc-iac.yaml": text}).run("validate", "--json").codes
    assert codes == ["api-version", "invalid-name", "unknown-field"]


def test_a_misspelled_required_field_is_reported_once(tmp_path: Path) -> None:
    spec = {
        "node": "gpu-a",
        "image": "ubuntu.qcow2",
        "gpus": 1,
        "cpus": 8,
        "memori": "32Gi",
        "dataDisk": {"size": "9Gi"},
    }
    made = project(tmp_path, document("VirtualMachine", "trainer", {**spec, "ports": {"ssh": "auto", "vnc": "auto"}}))
    result = made.run("validate", "--json")
    assert result.codes == ["unknown-field"]
    assert "Did you mean memory?" in result.err


@pytest.mark.parametrize(
    ("code", "remedy"), [("rental-end", "Did you mean rental-ends?"), ("zzz", "Copy the code from the warning")]
)
def test_a_threshold_that_would_refuse_nothing_is_refused(tmp_path: Path, code: str, remedy: str) -> None:
    made = project(tmp_path).write({"dbc-iac.yaml": PROJECT + f"  thresholds: {{refuse: [cuts-lan, {code}]}}\n"})
    result = made.run("validate")
    assert result.code == 3
    assert "error[invalid-value]: thresholds.refuse.1: expected the code of a warning" in result.err
    assert f"help: {remedy}" in result.err
