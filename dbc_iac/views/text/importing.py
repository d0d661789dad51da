"""What was found without a binding, and what a rebuilt state was proved by, as text."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.importing.discover import Findings
from dbc_iac.importing.rebuild import Rebuilt
from dbc_iac.views.text.lines import PAPER, Line


def findings_text(findings: Findings) -> str:
    return PAPER.render(map(Line, _findings(findings)))


def _findings(findings: Findings) -> Iterator[str]:
    if not findings.found:
        yield "Nothing that could be read is without a binding." if findings.unread else "Everything is in the state."
    for one in findings.found:
        marker = f"  marker {one.marker}" if one.marker else ""
        status = f"  {one.status}" if one.status else ""
        yield f"{one.kind:<16} {one.id}  on {one.place}{status}  ({one.whose}){marker}"
    for place, why in findings.unread.items():
        yield f"? {place} cannot be read: {why}"


def rebuilt_text(rebuilt: Rebuilt) -> str:
    return PAPER.render(map(Line, _rebuilt(rebuilt)))


def _rebuilt(rebuilt: Rebuilt) -> Iterator[str]:
    for address, proof in rebuilt.proofs.items():
        yield f"{address}  is {proof}"
    for address in rebuilt.new:
        yield f"{address}  is new: a plan makes it"
    for address, question in rebuilt.open_questions.items():
        yield f"? {address}  {question}"
    if not rebuilt.changed and not rebuilt.open_questions:
        yield "Every document is in the state already."
