"""Published schemas match the code, and every example is valid by them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from tools.generated import stale
from tools.troubleshooting import entries

ROOT = Path(__file__).parents[2]


def test_schemas_and_reference_pages_are_fresh() -> None:
    texts = "docs/troubleshooting.md"  # follows each text of a diagnostic; its codes are checked below
    assert not stale().keys() - {texts}, "run `make schemas`"


def test_the_page_of_diagnostics_has_every_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    assert [*entries()] == sorted(re.findall("^### (.+)$", page, re.MULTILINE)), "run `make schemas`"


def test_every_diagnostic_code_is_explained_with_a_remedy() -> None:
    lacking = [code for code, entry in entries().items() if not any(v.remedy for v in entry.variants)]
    assert not lacking, "add them to WRITTEN or REMEDIES of tools/troubleshooting.py"


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/manifests/*.yaml")), ids=lambda p: p.parts[-3])
def test_examples_are_valid_by_the_manifest_schema(path: Path) -> None:
    schema = json.loads((ROOT / "specs/manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
        problems = [e.message for e in validator.iter_errors(document)]
        assert problems == []


def test_the_schema_refuses_what_validate_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "specs/manifest.schema.json").read_text()))
    good = {
        "apiVersion": "dbc-iac/v1",
        "kind": "Disk",
        "metadata": {"name": "d"},
        "spec": {"vm": "a", "size": "5Gi"},
    }
    assert validator.is_valid(good)
    for spec in ({"vm": "a"}, {"vm": "a", "size": 5}, {"vm": "a", "size": "5Gi", "sizes": 1}):
        assert not validator.is_valid({**good, "spec": spec})
