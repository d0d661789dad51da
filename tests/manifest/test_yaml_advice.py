"""A mistake in YAML is explained in terms of the file."""

from __future__ import annotations

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.yaml import read_yaml

MISTAKES = [
    ("a:\n\tb: 1\n", "a tab indents the line", "Indent with spaces", "2:1"),
    ("a: 1\n\t# c\nb: 2\n", "a tab indents the line", "Indent with spaces", "2:1"),
    ("a:\n  b: 1\n c: 2\n", "the indentation fits no field above", "Indent it like line 1, with 0 spaces", "3:2"),
    ("a: 1\n  b: 2\n", "the line is indented deeper than the one above it", "Indent it like that line", "2:4"),
    ("a:1\nb: 2\n", "unexpected colon", "Quote a value", "2:2"),
    ("a: 1\nb:2\nc: 3\n", "a key without a colon and a space", "with a space after the colon", "2:1"),
    ("a: b: c\n", "unexpected colon", "Quote a value that contains `: `", "1:5"),
    ("a: &x {b: 1}\n---\nc: *x\n", "the alias has no anchor before it", "earlier in the same document", "3:4"),
    ("a: [1, 2\nb: 3\n", "the list in brackets is not closed", "Close it with ]", "1:4"),
    ("a: {b: 1\n", "the mapping in braces is not closed", "Close it with }", "1:4"),
    ("a: 'x\nb: 1\n", "the quoted text is not closed", "Add the closing quote", "1:4"),
    ('a: "\\d"\n', "unknown escape in double quotes", "Use single quotes", "1:5"),
    ("a: @x\n", "a plain value cannot start with @", "Put the value in quotes", "1:4"),
    ("a: 'it's'\n", "unexpected text after a value", "write '' for a quote", "1:8"),
    ("a: 1\n- b\n", "a list item among the fields of a mapping", "Indent the list", "2:1"),
    ("- a\nb: 1\n", "expected a list item", "Begin the line with `- `", "2:1"),
    ("a: - b\n", "unexpected list item", "Start the list on a new line", "1:4"),
    ("a: ]\n", "unexpected bracket", "Remove it", "1:4"),
    ("%YAML 3.0\n---\na: 1\n", "unsupported version of YAML", "Remove the line", "1:1"),
    ("a: |x\n  b\n", "unexpected text after | or >", "on the next line", "1:5"),
    ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "unresolved Git conflict", "Resolve the conflict", "1:1"),
]


@pytest.mark.parametrize(("text", "summary", "remedy", "place"), MISTAKES)
def test_a_mistake_in_yaml_gets_advice(text: str, summary: str, remedy: str, place: str) -> None:
    with pytest.raises(DiagnosticError) as error:
        read_yaml(text.encode(), "a.yaml")
    [found] = error.value.diagnostics
    assert found.summary.startswith(f"invalid YAML: {summary}")
    assert remedy in found.remedy
    assert str(found.source) == f"a.yaml:{place}"


@pytest.mark.parametrize(
    ("text", "summary", "remedy"),
    [
        ("a: {{ var.x }}\n", "a template needs quotes", 'Write "{{ var.x }}".'),
        ("apiVersion: x\nkind: y\napiVersion: x\nkind: y\n", "a second document begins without a line ---", "---"),
    ],
)
def test_a_mistake_with_a_known_cause_is_reported_once(text: str, summary: str, remedy: str) -> None:
    with pytest.raises(DiagnosticError) as error:
        read_yaml(text.encode(), "a.yaml")
    [found] = error.value.diagnostics
    assert found.summary.startswith(summary)
    assert remedy in found.remedy
