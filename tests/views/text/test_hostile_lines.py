"""Source lines that are long, or that hold control characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange
from dbc_iac.views.text.diagnostics import render


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown = render(
        [Diagnostic("x", Severity.ERROR, "wrong", source=SourceRange("m.yaml", 1, 5_001, 1, 5_004))],
        {"m.yaml": "x" * 5_000 + "bad" + "y" * 5_000},
    ).splitlines()
    at = shown[3].index("^")
    assert shown[2][at : at + 3] == "bad"
    assert len(shown[2]) < 140


@pytest.mark.hostile_summaries
@given(st.text(), st.integers(1, 300), st.integers(1, 300), st.text(max_size=20))
def test_any_text_is_shown_without_control_characters(text: str, column: int, end: int, summary: str) -> None:
    made = Diagnostic("x", Severity.ERROR, summary, source=SourceRange("m.yaml", 1, column, 1, end))
    shown = render([made], {"m.yaml": text})
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c != "\n"]
