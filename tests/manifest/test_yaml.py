"""YAML reader: scalars of YAML 1.2; invalid input gives a diagnostic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.numbers import IntegerText, NumberText
from dbc_iac.manifest.yaml import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("022", "022"),
        ("52:54:00:aa:bb:cc", "52:54:00:aa:bb:cc"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("200Gi", "200Gi"),
        ("0x1f", 31),
        ("0o17", 15),
        ("12", 12),
        ("true", True),
        ("~", None),
        ("null", None),
        ("'12'", "12"),
        ("1e3", 1000.0),
        (".inf", ".inf"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    [document] = read_yaml(f"a: {text}\n".encode(), "m.yaml")
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value) or isinstance(document.value["a"], NumberText | IntegerText)


def test_a_fraction_keeps_its_text() -> None:
    [document] = read_yaml(b"a: 1.10\n", "m.yaml")
    assert document.value["a"].text == "1.10"


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (b"a: 1\nb: 2\na: 3\n", "duplicate-key", "m.yaml:3:1"),
        (b"a: [1\n", "yaml-syntax", "m.yaml:1:4"),
        (b"a:\n\tb: 1\n", "yaml-syntax", "m.yaml:2:1"),
        (b"a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n", "yaml-syntax", "m.yaml:2:1"),
        (b"a: !python/object:os.system x\n", "unknown-tag", "m.yaml:1:4"),
        (b"a: \xff\n", "not-utf8", "m.yaml:1:4"),
        (b"a: &a [*a]\n", "yaml-syntax", "m.yaml:1:4"),
        (b"? [1, 2]\n: x\n", "key-not-text", "m.yaml:1:3"),
        (b"a: {<<: 5}\n", "bad-merge", "m.yaml:1:9"),
    ],
)
def test_bad_input_gets_one_diagnostic_with_its_place(text: bytes, code: str, place: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(text, "m.yaml")
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == code
    assert str(diagnostic.source) == place


def test_the_remedy_of_a_tab_names_spaces() -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(b"a:\n  c: 1\n\tb: 1\n", "m.yaml")
    assert caught.value.diagnostics[0].remedy.startswith("Indent with spaces")


def test_the_remedy_of_deep_nesting_is_less_nesting() -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(b"[" * 70 + b"]" * 70, "m.yaml")
    assert caught.value.diagnostics[0].remedy == "Reduce the nesting."


@pytest.mark.parametrize(
    "text",
    [
        "metadata: &a {name: *a}",
        "metadata: &a\n  name: {first: [*a]}",
        "metadata: &a {<<: *a}",
        "metadata: {<<: &a {<<: *a}}",
        "metadata: {<<: [&a {<<: [*a]}]}",
    ],
)
def test_an_alias_inside_of_its_own_anchor_is_the_reported_cause(text: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(text.encode(), "m.yaml")
    [problem] = caught.value.diagnostics
    assert (problem.code, problem.summary) == ("yaml-syntax", "the value of anchor a contains itself")
    assert problem.remedy == "Replace the alias inside of it by a value."


def test_text_that_looks_like_a_conflict_is_read() -> None:
    [document] = read_yaml(b"a: |\n  <<<<<<< HEAD\n", "m.yaml")
    assert document.value == {"a": "<<<<<<< HEAD\n"}


def test_a_duplicate_key_names_both_places() -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(b"a: 1\nb: 2\na: 3\n", "m.yaml")
    [related] = caught.value.diagnostics[0].related
    assert str(related.source) == "m.yaml:1:1"


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(DiagnosticError) as caught:
        read_yaml("\n".join(lines).encode(), "m.yaml")
    assert caught.value.diagnostics[0].code == "too-large"


def test_merge_keys_add_missing_keys() -> None:
    [document] = read_yaml(b"x-base: &b {a: 1, b: 2}\nc: {<<: *b, b: 3}\n", "m.yaml")
    assert document.value["c"] == {"a": 1, "b": 3}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_yaml(data, "m.yaml")
    except DiagnosticError as error:
        assert error.diagnostics


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc xyz:#-'\"", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("klmn", min_size=1, max_size=3), _VALUES, min_size=1, max_size=3))
def test_dumped_yaml_is_read_back(value: dict[str, object]) -> None:
    import json

    [document] = read_yaml(json.dumps(value).encode(), "m.yaml")
    assert document.value == value
