"""Settings and checks of the whole suite."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic
from dbc_iac.state.encryption import keys
from dbc_iac.views import error_explanations
from dbc_iac.views.text import diagnostics, problems

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")  # its limits of time are those of a machine without other work

_LONGEST_WORD = 24
"""Characters that a word counts at most: longer ones are paths, ids and names of users, which stay whole."""
_FOR_PROGRAMS = re.compile(r"\b[A-Z]\w*(Error|Exception)\b|\bNoneType\b|<class |\{'|\['|<line|\.$")
"""Class names, printed Python values, raw texts of nodes, and a final stop."""


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Leave file contents in the page cache, since no test loses power, and derive keys of passphrases at the lowest cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(keys, "OPERATIONS", 1)
        patch.setattr(keys, "MEMORY", 8192)
        yield


def summary_problem(summary: str) -> str:
    """The defect of a printed summary; empty if it has none."""
    if sum(min(len(word), _LONGEST_WORD) + 1 for word in summary.split(" ")) - 1 > MAX_SUMMARY:
        return f"longer than {MAX_SUMMARY} characters"
    found = _FOR_PROGRAMS.search(summary)
    return f"contains {found[0]}" if found else ""


@pytest.fixture(scope="session")
def defects() -> Iterator[list[str]]:
    """Defects of the summaries that were printed."""
    found: list[str] = []

    def checked(diagnostic: Diagnostic) -> Diagnostic:
        shown = error_explanations.explained(diagnostic)
        if problem := summary_problem(shown.summary):
            found.append(f"{shown.code}: {shown.summary[:300]}\n  {problem}")
        return shown

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnostics, "explained", checked)
        patch.setattr(problems, "explained", checked)
        yield found


@pytest.fixture(autouse=True)
def summaries_are_short(request: pytest.FixtureRequest, defects: list[str]) -> Iterator[None]:
    """Fail a test that prints a problem with a long or technical summary; `hostile_summaries` marks exceptions."""
    defects.clear()
    yield
    if request.node.get_closest_marker("hostile_summaries") is None:
        assert not defects, "\n".join(defects)
