"""Drift as text: common events first, then each resource with its changed fields."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.json import Json
from dbc_iac.plan.review.drift import Drift, DriftReport, is_power
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.text.lines import PLAIN_TEXT, Line
from dbc_iac.views.wording import RENTALS, count, rental_texts

_SECRET = "(secret, differs: changed on the node, or behind its reference)"  # noqa: S105 - none


def drift_text(report: DriftReport) -> str:
    """The drift of a project as plain text."""
    return PLAIN_TEXT.render(map(Line, _lines(report)))


def _lines(report: DriftReport) -> Iterator[str]:
    if not report.drifts:
        yield f"No drift{' in the resources that could be read' if report.unknown else ''}."
    else:
        yield f"Drift: {count(len(report.drifts), 'resource')} changed outside dbc-iac."
    in_events = {a for event in report.events for a in event.addresses}
    for event in report.events:
        yield ""
        yield f"  ! {event.text}"
        yield f"    {', '.join(event.addresses)}"
    for drift in report.drifts:
        yield from _drift_lines(drift, in_event=drift.address in in_events)
    if report.unknown:
        yield ""
        yield "Could not be read:"
        yield from (f"  ? {address}: {short_text(why)}" for address, why in report.unknown.items())
    if report.rentals:
        yield ""
        yield f"{RENTALS}:"
        yield from (f"  {text}" for text in rental_texts(report.rentals))
    if report.pending:
        yield ""
        yield f"The manifests have changes to {count(len(report.pending), 'resource')}. Run `dbc-iac plan` to see them."


def _drift_lines(drift: Drift, *, in_event: bool) -> Iterator[str]:
    """Drift of one resource without the part that an event covers."""
    fields = [f for f in drift.fields if not (in_event and is_power(drift, f))]
    if not fields and (in_event or not drift.vanished):
        return
    yield ""
    yield f"  {drift.address}" + ("  deleted" if drift.vanished else "")
    for field in fields:
        shown = _SECRET if field.secret else f"was {_text(field.after)}, now {_text(field.before)}"
        stays = "  (cannot be reverted)" if field in drift.stays else ""
        yield f"      {field.path}: {shown}{stays}"


def _text(value: Json) -> str:
    if value in (None, "", []):
        return "(none)"
    return "[" + ", ".join(str(v) for v in value) + "]" if isinstance(value, list) else str(value)
