"""The end of an apply as text and JSON: what is done, what failed, what waits, which VM is off because of us.

What the failures mean is told by their diagnostics, see `node_words`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbc_iac.apply.report import Report
from dbc_iac.json import Json
from dbc_iac.views.text.lines import PAPER, Line, Tone


def report_text(report: Report) -> str:
    """The end report, plain."""
    return PAPER.render(report_lines(report))


def report_lines(report: Report) -> Iterator[Line]:
    """One line of counts, then each address that is not done, with its reason."""
    yield Line(counts(report), Tone.ADDED if _whole(report) else Tone.LOSS)
    yield from _listed("Failed:", report.failed, Tone.LOSS)
    yield from _listed("Not started:", report.not_started, Tone.CHANGED)
    yield from _listed("Still under way (the next apply goes on):", report.waiting, Tone.CHANGED)
    yield from _listed("Powered off because of this run:", report.powered_off, Tone.LOSS)
    unread = dict.fromkeys(report.unknown, "could not be read when the plan was made, and was left alone")
    yield from _listed("Not looked at:", unread, Tone.UNSEEN)


def report_json(report: Report) -> dict[str, Json]:
    """The same as a JSON value."""
    return {
        "done": list(report.done),
        "failed": dict(report.failed),
        "notStarted": dict(report.not_started),
        "waiting": dict(report.waiting),
        "poweredOff": dict(report.powered_off),
        "unknown": list(report.unknown),
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 1),
        "exitCode": int(report.exit_code),
    }


def _whole(report: Report) -> bool:
    return not (report.failed or report.not_started or report.waiting or report.powered_off or report.interrupted)


def counts(report: Report) -> str:
    """One line: how it ended, after how long, how many of each."""
    minutes, seconds = divmod(int(report.seconds), 60)
    begin = f"Apply {'interrupted' if report.interrupted else 'ended'} after {minutes} min {seconds} s: "
    rest = ((report.failed, "failed"), (report.not_started, "not started"), (report.waiting, "still under way"))
    return begin + ", ".join([f"{len(report.done)} done", *(f"{len(of)} {word}" for of, word in rest if of)]) + "."


def _listed(title: str, found: Mapping[str, str], tone: Tone) -> Iterator[Line]:
    if found:
        yield Line(title, tone)
        yield from (Line(f"  {address}: {why}") for address, why in found.items())
