"""Every example is valid by the published schemas, which refuse what `validate` refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator as Validator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifests() -> Validator:
    schema = json.loads((ROOT / "specs/manifest.schema.json").read_text())
    Validator.check_schema(schema)
    return Validator(schema)


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/manifests/*.yaml")), ids=lambda p: p.parts[-3])
def test_examples_are_valid_by_the_manifest_schema(manifests: Validator, path: Path) -> None:
    for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
        problems = [e.message for e in manifests.iter_errors(document)]
        assert problems == []


def test_the_schema_refuses_what_validate_refuses(manifests: Validator) -> None:
    good = {
        "apiVersion": "dbc-iac/v1",
        "kind": "Disk",
        "metadata": {"name": "d"},
        "spec": {"vm": "a", "size": "5Gi"},
    }
    assert manifests.is_valid(good)
    for spec in ({"vm": "a"}, {"vm": "a", "size": 5}, {"vm": "a", "size": "5Gi", "sizes": 1}):
        assert not manifests.is_valid({**good, "spec": spec})


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _parts(inner)


@pytest.mark.parametrize("path", sorted(ROOT.glob("specs/*.schema.json")), ids=lambda p: p.stem)
def test_each_default_of_a_schema_is_valid_by_it(path: Path) -> None:
    schema = json.loads(path.read_text())
    validator = Validator(schema)
    typed = [p for p in _parts(schema) if isinstance(p.get("type"), str) or isinstance(p.get("anyOf"), list)]
    defaults = [(part["default"], part) for part in typed if "default" in part]
    assert [d for d, part in defaults if not validator.evolve(schema=part).is_valid(d)] == []
