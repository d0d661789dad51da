"""Generated files are as the code makes them, and the page of diagnostics has every code with a remedy."""

from __future__ import annotations

import re

from tools.generated import ROOT, stale
from tools.troubleshooting import REMEDIES, WRITTEN, entries

PAGE = "docs/troubleshooting.md"


def test_schemas_and_reference_pages_are_fresh() -> None:
    assert not stale().keys() - {PAGE}, "run `make schemas`"


def test_the_page_of_diagnostics_has_every_code_with_a_remedy() -> None:
    """Their texts are fresh after `make schemas`; each change of a text would fail here otherwise."""
    known = entries()
    assert sorted(known) == sorted(re.findall("^### (.+)$", (ROOT / PAGE).read_text(), re.MULTILINE)), (
        "run `make schemas`"
    )
    lacking = [code for code, entry in known.items() if not any(entry.variants.values())]
    assert not lacking, "add them to WRITTEN or REMEDIES of tools/troubleshooting.py"
    assert not (WRITTEN.keys() | REMEDIES.keys()) - known.keys() - {"plan-unreadable"}


def test_a_diagnostic_is_printed_with_its_own_remedies_only() -> None:
    """Its code, summary and remedy are chosen by conditions of the source code, and by variables set before."""
    known = entries()
    for code, remedy in {
        "too-large": ["Split the file."],
        "unreadable-file": ["Correct the path or the permissions of the file."],
    }.items():
        assert known[code].variants["cannot read NAME (STRERROR)", ""] == remedy
    assert known["outside-project"].variants["NAME is outside the project", ""] == ["Copy the file into the project."]
    assert [*known["cannot-map"].variants.values()] == [
        ["Did you mean VALUE?", "Use Kind/name as in the manifests."],
        ["Use `dbc-iac state rm ADDRESS` first to choose another object; the current one is untouched."],
    ]
