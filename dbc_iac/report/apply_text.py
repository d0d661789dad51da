"""An apply as text: lines while it runs, and what became of everything at its end."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.apply.report import Event, Report

_SILENT = frozenset({"step-done"})
_SAID = {
    "step-started": "started",
    "step-failed": "FAILED",
    "step-skipped": "not started",
    "call": "call",
    "waiting": "waiting",
    "goal-met": "done",
    "window-opened": "powered off",
    "window-closed": "window closed",
    "barrier": "proof",
    "note": "note",
}


def event_line(event: Event) -> str | None:
    """One plain line for an event; None for one that says nothing new."""
    if event.kind in _SILENT or (event.kind == "step-started" and event.text == "change"):
        return None
    minutes, seconds = divmod(int(event.at), 60)
    text = f": {event.text}" if event.text and event.kind != "step-started" else ""
    return f"{minutes:3d}:{seconds:02d}  {_SAID.get(event.kind, event.kind):<13} {event.address}{text}"


def report_text(report: Report) -> str:
    """The end report: done, failed, not started because of what, still waiting, and which VM is off because of us."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    bad = len(report.failed) + len(report.not_started) + len(report.waiting)
    minutes, seconds = divmod(int(report.seconds), 60)
    yield f"Apply {'interrupted' if report.interrupted else 'ended'} after {minutes} min {seconds} s: " + (
        f"{len(report.done)} done, {len(report.failed)} failed, {len(report.not_started)} not started, "
        f"{len(report.waiting)} still under way."
        if bad
        else f"{len(report.done)} done."
    )
    for title, found in (
        ("Failed", report.failed),
        ("Not started", report.not_started),
        ("Still under way (the next apply goes on)", report.waiting),
        ("Powered off because of this run", report.powered_off),
    ):
        if found:
            yield f"{title}:"
            yield from (f"  {address}: {why}" for address, why in found.items())
