"""A variable has the same value and type from every source: default, variable file, environment or --var."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dbc_iac.diagnostics import DiagnosticError, Diagnostics
from dbc_iac.manifest.load import load_project
from dbc_iac.manifest.variables import Type, VariableSpec, resolve

PLACES = ("default", "file", "extra", "environ", "var")
WORDS = st.text(st.characters(codec="ascii", min_codepoint=32, exclude_characters="\x7f"), max_size=8)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6), WORDS)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
PLAIN = [
    "1.10",
    "0.5",
    ".5",
    "5.",
    "1e3",
    "007",
    "0x1F",
    "0o17",
    "+5",
    "-0",
    "-3",
    "no",
    "true",
    "1:30",
    "a",
    "2026-01-01",
]


class Shown(BaseModel):
    """Document whose labels and description show a template's values."""

    json_: str
    text: str


def seen(kind: Type, written: str, place: str) -> Any:
    """Value of a variable set from a YAML text at one source, as a template sees it; a diagnostic code if refused."""
    default = f", default: {written}" if place == "default" else ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dbc-iac.yaml").write_text(
            f"""apiVersion: dbc-iac/v1
kind: Project
metadata: {{name: lab}}
spec:
  uid: 00112233445566778899aabbccddeeff
  clients: {{default: {{url: "http://127.0.0.1:5050"}}}}
  identities: {{tenant: {{wallet: {{seed: {{env: SEED}}}}}}}}
  variables: {{x: {{type: {kind}{default}}}}}
  environments: {{prod: {{variables: [prod.yaml]}}}}
  manifests: [shown.yaml]
""",
            encoding="utf-8",
        )
        (folder / "prod.yaml").write_text(f"x: {written}\n" if place == "file" else "{}", encoding="utf-8")
        (folder / "extra.yaml").write_text(f"x: {written}\n", encoding="utf-8")
        (folder / "shown.yaml").write_text(
            "apiVersion: dbc-iac/v1\nkind: Shown\nmetadata: {name: it}\n"
            'spec: {json_: "{{ var.x | tojson }}", text: "<{{ var.x }}>"}\n',
            encoding="utf-8",
        )
        try:
            loaded = load_project(
                folder,
                environment="prod",
                variables={"x": written} if place == "var" else {},
                variable_files=[folder / "extra.yaml"] if place == "extra" else [],
                environ={"DBC_VAR_x": written} if place == "environ" else {},
                models={"Shown": Shown},
                sources={},
            )
        except DiagnosticError as error:
            return [d.code for d in error.diagnostics]
        if loaded.diagnostics.errors:
            return [d.code for d in loaded.diagnostics.errors]
        [shown] = loaded.resources
        assert isinstance(shown.spec, Shown)
        return json.loads(shown.spec.json_), shown.spec.text


@given(VALUES.filter(lambda v: isinstance(v, list | dict)))
def test_a_list_or_map_has_the_same_types_at_any_depth_wherever_it_is_set(value: Any) -> None:
    kind: Type = "list" if isinstance(value, list) else "map"
    found = {place: repr(seen(kind, json.dumps(value), place)) for place in PLACES}
    assert set(found.values()) == {found["var"]}
    assert json.dumps(seen(kind, json.dumps(value), "default")[0]) == json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean"])
@pytest.mark.parametrize("written", PLAIN)
def test_a_plain_scalar_means_the_same_wherever_it_is_set(kind: Type, written: str) -> None:
    """Text from --var and the environment is text; a `true` of YAML is not."""
    found = {place: repr(seen(kind, written, place)) for place in PLACES}
    yaml, text = {found[p] for p in ("default", "file", "extra")}, {found[p] for p in ("environ", "var")}
    assert len(yaml) == len(text) == 1
    assert yaml == text or (kind == "string" and written == "true")


@pytest.mark.parametrize("written", ["0.5", "0.5, 1", "a, 0.5, 007, true", "a"])
def test_a_list_with_commas_is_the_list_in_brackets(written: str) -> None:
    for place in ("environ", "var"):
        assert repr(seen("list", written, place)) == repr(seen("list", f"[{written}]", "file"))


@pytest.mark.parametrize("written", ["a,,b", "a,", ","])
def test_an_empty_item_of_a_list_is_refused(written: str) -> None:
    assert seen("list", written, "var") == ["variable-type"]


@pytest.mark.parametrize(("default", "kind"), [([0.5], "list"), ({"a": 1}, "map")])
def test_a_list_or_map_of_an_untyped_variable_names_the_type_to_declare(default: Any, kind: str) -> None:
    problems = Diagnostics()
    resolve({"x": VariableSpec(default=default)}, [], problems, lambda _: None)
    assert [d.remedy for d in problems.errors] == [f"Declare `type: {kind}`, or write text, in quotes."]


def test_an_empty_text_is_an_empty_list() -> None:
    assert seen("list", "", "var")[0] == seen("list", "[]", "default")[0] == []
