"""Hostile or broken manifests and templates: a diagnostic at once; no crash, no hang, no unstable plan."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbc_iac.diagnostics import DiagnosticError, Diagnostics
from dbc_iac.kinds import MODELS
from dbc_iac.manifest.evaluation import EvaluationError, evaluate
from dbc_iac.manifest.expand import Expander
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.templates import Templates
from dbc_iac.manifest.yaml import read_yaml
from tests.examples import examples
from tests.projects import PROJECT, project

MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 9)}]}}\n" for n in range(9))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 500_000, "too-large"),
        ("- " * 500_000, "too-large"),
        ("{a: " * 500_000, "too-large"),
        (MERGES, "too-large"),
        ("a: &a {<<: *a}", "yaml-syntax"),
        ("a: {<<: {? [x] : 1}}", "key-not-text"),
        ("a: !!binary aGk=", "unknown-tag"),
        ("a: !!int x", "unknown-tag"),
    ],
    ids=["sequences", "block", "mappings", "merges of merges", "merge of itself", "key in a merge", "binary", "int"],
)
def test_a_hostile_file_is_refused(text: str, code: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(text.encode(), "m.yaml")
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(("text", "value"), [("!!str 5", "5"), ("!!str no", "no"), ("0x" + "f" * 5000, "0x" + "f" * 5000)])  # fmt: skip
def test_tagged_and_infinite_scalars_are_text(text: str, value: str) -> None:
    [found] = read_yaml(f"a: {text}".encode(), "m.yaml")
    assert found.value == {"a": value}


def rendered(text: str, **variables: Any) -> tuple[Any, list[str]]:
    found = Diagnostics()
    return Templates({"var": variables}).render(text, SourceMap(), found), [d.code for d in found]


@pytest.mark.parametrize(
    "text",
    [
        "{{ 5 | dictsort }}",
        "{{ range }}",
        "{{ 'x' * 300000000 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '{:>99999999}'.format(1) }}",
        "{{ [1, 2] | random }}",
        "{{ lipsum() }}",
        "{{ var.a",
        "{{ }}",
        "{{ var.unknown }}",
        "{{ ''.__class__ }}",
    ],
)
def test_a_template_without_a_plain_repeatable_value_is_refused(text: str) -> None:
    assert rendered(text) == (None, ["template"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ 'a'.ljust(1900000000) | length }}", "larger than"),
        ("{{ 'a' | attr('ljust')(1900000000) | length }}", "larger than"),
        ("{{ 'a'.encode().zfill(1900000000) | length }}", "larger than"),
        ("{{ 'a' | center(2000000000) | length }}", "larger than"),
        ("{{ ['a'] | map('center', 2000000000) | list | length }}", "larger than"),
        ("{{ '\t'.expandtabs(2000000000) | length }}", "larger than"),
        ("{{ ('a' * 100000) | replace('a', 'b' * 100000) | length }}", "larger than"),
        ("{{ (range(1000) | map('string')) | join('a' * 1000000) | length }}", "larger than"),
        ("{{ [1] | batch(2000000000, 0) | list | length }}", "larger than"),
        ("{{ [1] | tojson(indent=2000000000) | length }}", "larger than"),
        ("{{ (1).to_bytes(1900000000, 'big') | length }}", "larger than"),
        ("{{ (" + " ~ ".join(["'a' * 1000000"] * 30) + ") | length }}", "larger than"),
        ("{{ (" + " ~ ".join(["var.long"] * 200) + ") | length }}", "larger than"),
        ("{{ (" + " + ".join(["var.long"] * 50) + ") | length }}", "larger than"),
        ("x {{ [" + ", ".join(["var.long"] * 200) + "] }}", "larger than"),
        ("x{% for a in range(1000) %}{% for b in range(1000) %}{{ var.long }}{% endfor %}{% endfor %}", "longer than 100000"),
        ("{{ '%1000000000d' | format(1) | length }}", "width in a format"),
        ("{{ '%1000000000d' % 1 }}", "width in a format"),
        ("{{ '%1000000000d'.encode() % 1 }}", "width in a format"),
        ("{{ '%*d' % (1000000000, 1) }}", "width in a format"),
        ("{{ '{:{}}'.format(1, 1000000000) | length }}", "width in a format"),
    ],
)  # fmt: skip
def test_a_template_with_a_huge_result_is_refused(text: str, why: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(EvaluationError, match=why):
            evaluate("text", text, {"var": {"long": "a" * 90_000}})
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ '%s-%05d' % ('in 2026', 7) }}", "in 2026-00007"),
        ("{{ '{} in 2026: {:>5}'.format('a', 3) }}", "a in 2026:     3"),
        ("{{ var.none | default(5000000000) }}", 5000000000),
        ("{{ ['a', 'b'] | join(', ') | replace('a', 'x') | center(8) }}", "  x, b  "),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ var.items }}", "mine"),
        ("{{ var.count + 1 }}", 3),
        ("n{{ var.count }}", "n2"),
        ("{{ [1, 2] | map('string') }}", ["1", "2"]),
        ("{{ var.count > 1 }}", True),
        ("{{ 3 * var.count }}", 6),
        ("{{ 2 ** 10 }}", 1024),
    ],
)
def test_an_expression_keeps_its_type(text: str, value: object) -> None:
    assert rendered(text, items="mine", count=2) == (value, [])


@given(st.text("{}%#|()[]'\"abcvar.each 0123*+-~,=", max_size=40))
@settings(max_examples=examples(suite=80, proof=400))
def test_any_template_returns_a_value_or_a_diagnostic(text: str) -> None:
    _, codes = rendered("{{" + text + "}}", a=1)
    assert set(codes) <= {"template"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_KEYS = ("apiVersion", "kind", "metadata", "spec", "forEach", "x-y", "other")


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON), st.sampled_from([None, *sorted(MODELS)]), _JSON)
@settings(max_examples=examples(suite=60, proof=300))
def test_any_document_returns_resources_or_diagnostics(value: dict[str, Any], kind: str | None, spec: Any) -> None:
    import json

    if kind is not None:
        value |= {"apiVersion": "dbc-iac/v1", "kind": kind, "spec": spec}
        value.setdefault("metadata", {"name": "a"})
    found = Diagnostics()
    try:
        [read] = read_yaml(json.dumps(value, ensure_ascii=True).encode(), "m.yaml")
    except DiagnosticError:
        return
    resources = list(Expander(MODELS, Templates({"var": {}}), found).read(read))
    assert bool(resources) != bool(found.errors) or value.get("forEach") is not None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (PROJECT.replace("url:", "urll:"), "unknown-field"),
        (PROJECT + "other: 1\n", "unknown-field"),
        (PROJECT.replace("default: 2", "default: two"), "variable-type"),
        (PROJECT.replace("http://127", "http://user:word@127"), "literal-secret"),
        (PROJECT.replace("5050", "port"), "invalid-value"),
    ],
    ids=["client", "top level", "default of another type", "password in a url", "port in words"],
)
def test_a_wrong_project_file_gets_its_diagnostic(tmp_path: Path, changed: str, code: str) -> None:
    made = project(tmp_path)
    made.write({"dbc-iac.yaml": changed})
    assert code in made.run("validate", "--json").codes


def test_an_unknown_field_inside_a_mapping_of_names_gets_a_suggestion(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"dbc-iac.yaml": PROJECT.replace("url:", "urll:")})
    assert "help: Did you mean url?" in made.run("validate").err


def test_a_kind_other_than_text_is_unknown(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"manifests/odd.yaml": "apiVersion: dbc-iac/v1\nkind: [a]\nmetadata: {name: d}\nspec: {}\n"})
    assert made.run("validate", "--json").codes == ["unknown-kind"]


def test_a_bad_variable_file_is_shown_with_its_line(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"prod.yaml": "- count\n"})
    assert "1 | - count" in made.run("-e", "prod", "validate").err


def test_a_default_with_a_fraction_is_a_number(tmp_path: Path) -> None:
    from dbc_iac.manifest.load import load_project

    variables = "    ratio: {type: number, default: 1.5}\n    count:"
    made = project(tmp_path)
    made.write(
        {
            "dbc-iac.yaml": PROJECT.replace("    count:", variables) + "  manifests: ['**/*.yaml']\n",
            "manifests/all.yaml": "apiVersion: dbc-iac/v1\nkind: Disk\n"
            "metadata: {name: d, labels: {team: '{{ var.team }}'}}\n"
            "spec: {vm: trainer, size: '{{ (var.ratio * 2) | int }}Gi'}\n",
        }
    )
    loaded = load_project(
        tmp_path, environment="", variables={}, variable_files=(), environ={}, models=MODELS, sources={}
    )
    [disk] = loaded.resources
    assert (disk.spec.size, disk.labels) == (3, {"team": "vision"})  # type: ignore[attr-defined]
