"""Unmanaged objects, and the result of a rebuild of the state, as text."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.importing.discover import Findings, Whose
from dbc_iac.importing.rebuild import Rebuilt
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.text.lines import PLAIN_TEXT, Line

_OWNERS: dict[Whose, str] = {
    "ours": "this stack",
    "another stack's": "another stack",
    "another project's": "another project",
    "nobody's": "none",
}


def findings_text(findings: Findings) -> str:
    """Unmanaged objects, one per line."""
    return PLAIN_TEXT.render(map(Line, _findings(findings)))


def _findings(findings: Findings) -> Iterator[str]:
    if not findings.found:
        yield "No unmanaged objects among those that could be read." if findings.unread else "No unmanaged objects."
    for one in findings.found:
        marker = f"  marker {one.marker}" if one.marker else ""
        status = f"  {one.status}" if one.status else ""
        yield f"{one.kind:<16} {one.id}  on {one.place}{status}  owner: {_OWNERS[one.whose]}{marker}"
    for place, why in findings.unread.items():
        yield f"? {place} could not be read: {short_text(why)}"


def rebuilt_text(rebuilt: Rebuilt) -> str:
    """Result of a rebuild, one line per resource."""
    return PLAIN_TEXT.render(map(Line, _rebuilt(rebuilt)))


def _rebuilt(rebuilt: Rebuilt) -> Iterator[str]:
    for address, proof in rebuilt.proofs.items():
        yield f"{address}  {proof}"
    for address in rebuilt.new:
        yield f"{address}  not found, will be created by the next apply"
    for address, question in rebuilt.open_questions.items():
        yield f"? {address}  {question}"
    if not rebuilt.changed and not rebuilt.open_questions:
        yield "No changes: every resource is in the state."
