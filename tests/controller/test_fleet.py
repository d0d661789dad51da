"""The Fleet file: mistakes have a source range and a remedy, and windows follow their time zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dbc_iac.controller.fleet import WindowSpec, load_fleet
from dbc_iac.diagnostics import MAX_SUMMARY, DiagnosticError
from tests.controller.fleets import document
from tests.projects import Project

ROOT = Path(__file__).parents[2]


def test_validate_prints_the_place_of_each_mistake(tmp_path: Path) -> None:
    text = (
        "apiVersion: dbc-iac/v1\nkind: Fleet\nmetadata: {name: research}\nspec:\n  database: {env: DB}\n"
        "  sources:\n    infra: {git: 'file:///srv/infra.git'}\n  stacks:\n"
        "    - {name: a, source: infra, path: one}\n    - {name: a, source: infra, path: two}\n"
        "    - {name: b, source: other}\n    - {name: c, source: infra, path: one}\n  secrets: {d: {directory: d}}\n"
    )
    made = Project(tmp_path).write({"fleet.yaml": text})
    result = made.run("controller", "validate", "--fleet", str(tmp_path / "fleet.yaml"), "--json")
    assert result.code == 3
    problems = json.loads(result.err)["diagnostics"]
    places = [(p["code"], p["source"]["line"], p["source"]["column"]) for p in problems]
    assert places == [
        ("duplicate-stack", 10, 14),
        ("unknown-source", 11, 25),
        ("duplicate-stack", 12, 14),
        ("unknown-stack", 13, 16),
    ]
    made.write({"fleet.yaml": yaml.safe_dump(document({"name": "a", "source": "infra"}))})
    assert made.run("controller", "validate", "--fleet", str(tmp_path / "fleet.yaml")).out == (
        "The Fleet file is valid: 1 stack.\n"
    )


REFUSED: list[tuple[str, Mapping[str, Any]]] = [
    ("transport that runs a program", {"git": "ext::sh -c touch% /tmp/x"}),
    ("plain http", {"git": "http://git.example.org/infra.git"}),
    ("option instead of a URL", {"git": "--upload-pack=touch /tmp/x"}),
    ("host that is an option", {"git": "ssh://-oProxyCommand=x/infra.git"}),
    ("password in a URL", {"git": "https://me:canary@git.example.org/infra.git"}),
    ("ref that is an option", {"git": "file:///srv/infra.git", "ref": "--exec=x"}),
    ("ref with two dots", {"git": "file:///srv/infra.git", "ref": "a..b"}),
    ("credentials of ssh", {"git": "ssh://git@host/infra.git", "credentials": {"env": "X"}}),
    ("literal credentials", {"git": "https://git.example.org/infra.git", "credentials": "canary"}),
]


@pytest.mark.parametrize(("why", "source"), REFUSED, ids=[why for why, _ in REFUSED])
def test_a_source_that_git_must_not_fetch_is_refused(why: str, source: Mapping[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(document(sources={"infra": dict(source)})))
    texts: dict[str, str] = {}
    with pytest.raises(DiagnosticError) as refused:
        load_fleet(path, texts)
    [problem] = refused.value.diagnostics
    assert problem.source is not None
    assert problem.remedy
    assert len(problem.summary) <= MAX_SUMMARY
    assert "canary" not in f"{problem.summary}{problem.detail}{problem.remedy}"


def test_validate_shows_no_password_of_a_git_url(tmp_path: Path) -> None:
    source = {"git": "https://ann:canary@git.example.org/infra.git"}
    made = Project(tmp_path).write({"fleet.yaml": yaml.safe_dump(document(sources={"infra": source}))})
    result = made.run("controller", "validate", "--fleet", str(tmp_path / "fleet.yaml"))
    assert result.code == 3
    assert "git: https://**********@git.example.org/infra.git" in result.err
    assert "canary" not in result.err + result.out


@pytest.mark.parametrize("path", ["../other", "/etc", "-x", "a/../../b"])
def test_a_path_outside_the_repository_is_refused(path: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump(document({"name": "a", "source": "infra", "path": path})))
    with pytest.raises(DiagnosticError, match="expected a directory of the repository") as refused:
        load_fleet(file, {})
    [problem] = refused.value.diagnostics  # not also that there is no stack
    assert "without `..`" in problem.remedy


@pytest.mark.parametrize(
    ("stack", "spec", "message"),
    [
        ({"window": {"hours": "08:00-08:00"}}, {}, "stacks.0.window.hours: begin and end are the same"),
        ({}, {"limits": {"memory": "511Mi"}}, "limits.memory: expected at least 512Mi"),
    ],
)
def test_a_value_with_which_no_run_could_work_is_refused(
    stack: dict[str, Any], spec: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump(document({"name": "a", "source": "infra", **stack}, **spec)))
    with pytest.raises(DiagnosticError, match=message) as refused:
        load_fleet(file, {})
    [problem] = refused.value.diagnostics
    assert problem.source is not None
    assert problem.remedy


def test_the_published_schema_accepts_a_fleet_and_refuses_a_mistake() -> None:
    schema = json.loads((ROOT / "specs/fleet.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(document())
    assert not validator.is_valid(document({"name": "a", "source": "infra", "mode": "force"}))


@pytest.mark.parametrize(
    ("spec", "at", "open_"),
    [
        ({"days": "mon-fri", "hours": "08:00-18:00", "timeZone": "Europe/Berlin"}, "2026-07-06T06:30", True),
        ({"days": "mon-fri", "hours": "08:00-18:00", "timeZone": "Europe/Berlin"}, "2026-12-07T06:30", False),
        ({"days": "mon-fri", "hours": "08:00-18:00"}, "2026-07-05T10:00", False),
        ({"days": "mon-fri", "hours": "08:00-18:00"}, "2026-07-06T18:00", False),
        ({"days": "fri", "hours": "22:00-06:00"}, "2026-07-11T05:59", True),
        ({"days": "fri", "hours": "22:00-06:00"}, "2026-07-10T05:59", False),
        ({"days": "sat-mon"}, "2026-07-06T23:59:59", True),
        ({"days": "sat-mon"}, "2026-07-07T00:00", False),
    ],
)
def test_a_window_follows_its_time_zone(spec: dict[str, str], at: str, open_: bool) -> None:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert WindowSpec.model_validate(spec).contains(now) is open_
