"""`x-` keys may carry anchors in every mapping of fields; the loader and the published schemas agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.projects import PROJECT, project, vm

SPECS = Path(__file__).parents[2] / "specs"
MACHINE: dict[str, Any] = json.loads(
    vm(
        ports={"ssh": "auto", "vnc": "auto", "forward": ["tcp,80"]},
        login={"username": "dbc", "password": {"env": "PW"}},
        lifecycle={"beforeOffline": {"command": ["true"]}},
        timeouts={"create": "90s"},
        restartOn={"kernel": "one"},
    )
)
MACHINE["metadata"]["labels"] = {"team": "vision"}
SETTINGS: dict[str, Any] = yaml.safe_load(PROJECT)
SETTINGS["spec"]["thresholds"] = {"maxRemovals": 50}


def mappings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all mappings in a tree."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from mappings(inner, (*path, key))


def with_anchor(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    made = deepcopy(document)
    here = made
    for key in path:
        here = here[key]
    here["x-common"] = {"anything": ["at", "all"]}
    return made


CASES = [(d, p) for d in (MACHINE, SETTINGS) for p in mappings(d)]


@pytest.mark.parametrize(("document", "path"), CASES, ids=[f"{d['kind']}:{'.'.join(p)}" for d, p in CASES])
def test_the_schema_allows_anchors_where_the_loader_does(
    tmp_path: Path, document: dict[str, Any], path: tuple[str, ...]
) -> None:
    changed = with_anchor(document, path)
    made = project(tmp_path, *([json.dumps(changed)] if document is MACHINE else []), environ={"PW": "x"})
    if document is SETTINGS:
        made.write({"dbc-iac.yaml": json.dumps(changed)})
    name = "manifest" if document is MACHINE else "project"
    schema = json.loads((SPECS / f"{name}.schema.json").read_text())
    taken = made.run("validate").code == 0
    assert jsonschema.Draft202012Validator(schema).is_valid(changed) is taken
    # A mapping whose keys the user chooses, and the place of a secret, have no room for anything else.
    chosen = {"labels", "restartOn", "clients", "identities", "variables", "environments", "password", "seed"}
    assert taken is not bool(chosen & set(path[-1:]))


def test_an_alias_is_replaced_by_its_anchor(tmp_path: Path) -> None:
    made = project(tmp_path)
    text = vm().replace('"ports": {', '"ports": {"x-both": &both auto, ').replace('"ssh": "auto"', '"ssh": *both')
    assert made.write({"manifests/vm.yaml": text}).run("validate").code == 0
