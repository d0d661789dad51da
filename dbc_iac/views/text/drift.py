"""Drift as text: events first, then each resource with what moved."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.json import Json
from dbc_iac.plan.review.drift import Drift, DriftReport, is_power
from dbc_iac.views.text.lines import PAPER, Line
from dbc_iac.views.text.wording import count

_SECRET = "(secret, differs: it was changed there, or the value behind its reference was)"  # noqa: S105 - none


def drift_text(report: DriftReport) -> str:
    return PAPER.render(map(Line, _lines(report)))


def _lines(report: DriftReport) -> Iterator[str]:
    if not report.drifts:
        yield (
            "No drift: what is there is as it was applied." if not report.unknown else "No drift in what could be read."
        )
    else:
        yield f"Drift in {count(len(report.drifts), 'resource')}."
    told = {a for event in report.events for a in event.addresses}
    for event in report.events:
        yield ""
        yield f"  ! {event.text}"
        yield f"    {', '.join(event.addresses)}"
    for drift in report.drifts:
        yield from _drift_lines(drift, told=drift.address in told)
    for address, why in report.unknown.items():
        yield ""
        yield f"  ? {address}  cannot be read: {why}"
    if report.pending:
        yield ""
        yield f"The manifests ask for changes of {count(len(report.pending), 'resource')}: see `dbc-iac plan`."


def _drift_lines(drift: Drift, *, told: bool) -> Iterator[str]:
    """What moved of one resource, but for what was told as an event."""
    fields = [f for f in drift.fields if not (told and is_power(drift, f))]
    if not fields and (told or not drift.vanished):
        return
    yield ""
    yield f"  {drift.address}" + ("  does not exist any more" if drift.vanished else "")
    for field in fields:
        shown = _SECRET if field.secret else f"{_text(field.after)} -> {_text(field.before)}"
        stays = "  (no apply takes it back)" if field in drift.stays else ""
        yield f"      {field.path}: {shown}{stays}"


def _text(value: Json) -> str:
    if value in (None, "", []):
        return "(none)"
    return "[" + ", ".join(str(v) for v in value) + "]" if isinstance(value, list) else str(value)
