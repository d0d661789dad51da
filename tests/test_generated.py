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
    lacking = [code for code, entry in known.items() if not any(v.remedy for v in entry.variants)]
    assert not lacking, "add them to WRITTEN or REMEDIES of tools/troubleshooting.py"
    assert not (WRITTEN.keys() | REMEDIES.keys()) - known.keys() - {"plan-unreadable"}
