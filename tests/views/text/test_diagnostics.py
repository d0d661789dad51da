"""Diagnostics as text and as JSON, with a caret below the value in any source line."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import Diagnostic, Related, Severity, SourceRange
from dbc_iac.views.text.diagnostics import diagnostics_json, render

FILE = "manifests/vm.yaml"
TEXT = "spec:\n  memori: 8Gi\n  memory: 4Gi\n"


def at(line: int, column: int, end: int, end_line: int | None = None) -> SourceRange:
    return SourceRange(FILE, line, column, end_line or line, end)


def problem(source: SourceRange | None, **parts: object) -> Diagnostic:
    return Diagnostic("unknown-field", Severity.ERROR, "unknown field memori", source=source, **parts)  # type: ignore[arg-type]


def carets(text: str, source: SourceRange) -> str:
    """The line under the excerpt, from its first column."""
    lines = render([problem(source)], {FILE: text}).split("\n")
    return lines[3].split(" | ", 1)[1]


def test_a_diagnostic_has_its_source_line_related_place_and_remedy() -> None:
    told = problem(
        at(2, 3, 9),
        detail="Unknown fields are never ignored.",
        remedy="Did you mean memory?",
        related=(Related("this one is known", at(3, 3, 9)),),
        address="VirtualMachine/a",
    )
    assert render([told], {FILE: TEXT}) == (
        "error[unknown-field]: unknown field memori\n"
        "  --> manifests/vm.yaml:2:3 (VirtualMachine/a)\n"
        "  2 |   memori: 8Gi\n"
        "    |   ^^^^^^\n"
        "  manifests/vm.yaml:3:3: this one is known\n"
        "  3 |   memory: 4Gi\n"
        "    |   ^^^^^^\n"
        "  Unknown fields are never ignored.\n"
        "  help: Did you mean memory?\n"
    )


def test_a_detail_of_several_lines_is_shown_line_by_line() -> None:
    told = problem(None, detail="Log of the VM:\nfirst\nhelp: no remedy\x1b", remedy="Apply again.")
    assert render([told], {}).split("\n")[1:] == [
        "  Log of the VM:",
        "    first",
        "    help: no remedy\\u001b",
        "  help: Apply again.",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("key: value", at(1, 6, 11), "     ^^^^^"),
        ("键: value", at(1, 4, 9), "    ^^^^^"),
        ("a: 键值", at(1, 4, 6), "   ^^^^"),
        ("e\u0301: x", at(1, 5, 6), "   ^"),
        ("a: 1", at(1, 4, 4), "   ^"),
        ("a: |", at(1, 4, 1, 3), "   ^"),
        ("a: [x   ", at(1, 4, 1, 2), "   ^^"),
    ],
    ids=["plain", "after wide", "wide", "after combining", "empty range", "of several lines", "without trailing space"],
)
def test_the_caret_is_below_the_value(text: str, source: SourceRange, expected: str) -> None:
    assert carets(text, source) == expected


def test_diagnostics_are_in_the_order_of_the_files_and_last_without_a_place() -> None:
    found = [problem(None), problem(at(3, 1, 2)), problem(SourceRange("a.yaml", 9, 1, 9, 2)), problem(at(2, 3, 9))]
    places = [line for line in render(found, {}).split("\n") if line.startswith(("  -->", "error"))]
    assert [p.removeprefix("  --> ") for p in places if p.startswith("  -->")] == [
        "a.yaml:9:1",
        "manifests/vm.yaml:2:3",
        "manifests/vm.yaml:3:1",
    ]
    assert places[-1].startswith("error")


@pytest.mark.parametrize("sources", [{}, {FILE: ""}, {FILE: "one line"}], ids=["unread", "empty", "shorter"])
def test_a_diagnostic_without_its_file_has_its_place(sources: dict[str, str]) -> None:
    lines = render([problem(at(7, 1, 2))], sources).splitlines()
    assert lines == ["error[unknown-field]: unknown field memori", "  --> manifests/vm.yaml:7:1"]


@given(st.text(max_size=60), st.integers(1, 5), st.integers(1, 80), st.integers(0, 80))
def test_any_source_and_place_can_be_rendered(text: str, line: int, column: int, length: int) -> None:
    told = render([problem(at(line, column, column + length))], {FILE: text})
    assert all(c == "\n" or unicodedata.category(c) != "Cc" for c in told)


def test_json_has_every_part_and_survives_a_round_trip() -> None:
    told = diagnostics_json([problem(at(2, 3, 9), related=(Related("here", at(3, 3, 9)),)), problem(None)])
    assert json.loads(json.dumps(told)) == told
    assert told[0]["source"] == {"file": FILE, "line": 2, "column": 3, "endLine": 2, "endColumn": 9}
    assert told[0]["related"] == [
        {"message": "here", "source": {"file": FILE, "line": 3, "column": 3, "endLine": 3, "endColumn": 9}}
    ]
    assert (told[0]["severity"], told[0]["code"], told[1]["source"]) == ("error", "unknown-field", None)


@pytest.mark.parametrize(
    "line",
    [
        "git: https://ann:canary@git.example.org/x.git",
        'git: "https://canary@git.example.org/x.git"',
        "{git: 'http://ann:can@ary/canary@git.example.org/x.git', ref: main}",
        "address: postgresql://db.example.org/fleet?sslmode=require&sslpassword=canary",
        "  token: canary",
        '{url: {env: X}, secret: "canary"}',
        "credentials: 'canary'",
    ],
)
def test_a_literal_secret_of_the_line_is_masked(line: str) -> None:
    shown = render([problem(at(1, 1, 4))], {FILE: line})
    assert "***" in shown
    assert "canary" not in shown


@pytest.mark.parametrize("line", ["address: s3://bucket/prefix@x", "credentials: {env: GIT_TOKEN}"])
def test_a_line_without_a_literal_secret_is_shown(line: str) -> None:
    assert line in render([problem(at(1, 1, 4))], {FILE: line})
