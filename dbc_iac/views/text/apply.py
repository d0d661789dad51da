"""End report of an apply as text and JSON: numbers by action, failures, unfinished and powered-off resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from dbc_iac.apply.report import Report
from dbc_iac.json import Json
from dbc_iac.plan.model import Action
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.text.lines import PLAIN_TEXT, Line, Tone
from dbc_iac.views.wording import duration

FORMAT_VERSION = 2
_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
    Action.REPLACE: "replaced",
    Action.ADOPT: "adopted",
    Action.FORGET: "removed from the state",
}
_COUNTED = frozenset({Action.CREATE, Action.UPDATE, Action.DELETE})
"""Actions that are counted even if there are none."""


def report_text(report: Report) -> str:
    """The end report as plain text."""
    return PLAIN_TEXT.render(report_lines(report))


def report_lines(report: Report, *, reported: bool = False) -> Iterator[Line]:
    """Lines of the end report: each address that is not done with its reason, then the numbers. `reported`: its
    diagnostics have been printed, and failures are left out."""
    if reported:
        yield Line()
    sections: tuple[tuple[str, Mapping[str, str], Tone], ...] = (
        ("Failed:", {} if reported else report.failed, Tone.LOSS),
        ("Not started:", report.not_started, Tone.CHANGED),
        *((f"{title}:", found, Tone.CHANGED) for title, found in unfinished(report).items()),
        ("Powered off by this apply:", report.powered_off, Tone.LOSS),
        ("Could not be read, left unchanged:", dict.fromkeys(report.unknown, ""), Tone.UNSEEN),
    )
    for title, found, tone in sections:
        if found:
            yield Line(title, tone)
            yield from (Line(f"  {who}" + (f": {short_text(why)}" if why else "")) for who, why in found.items())
            yield Line()
    yield Line(counts(report), Tone.ADDED if _complete(report) else Tone.LOSS)


def unfinished(report: Report) -> dict[str, dict[str, str]]:
    """Unfinished resources with their reasons, by the title that says what continues them."""
    found = report.waiting.items()
    return {
        f"Not finished (the next {'destroy' if report.destroy else 'apply'} continues)": {
            address: why for address, why in found if address not in report.not_replaced
        },
        "Not finished": {address: why for address, why in found if address in report.not_replaced},
    }


def report_json(report: Report) -> dict[str, Json]:
    """The end report as a JSON value."""
    return {
        "formatVersion": FORMAT_VERSION,
        "done": {address: action.value for address, action in report.done.items()},
        "moved": list(report.moved),
        "failed": dict(report.failed),
        "notStarted": dict(report.not_started),
        "waiting": dict(report.waiting),
        "poweredOff": dict(report.powered_off),
        "unknown": list(report.unknown),
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 1),
        "exitCode": int(report.exit_code),
    }


def _complete(report: Report) -> bool:
    return not (report.failed or report.not_started or report.waiting or report.powered_off or report.interrupted)


def counts(report: Report) -> str:
    """One line: `Apply complete (43 s): 7 created, 0 updated, 0 deleted.`"""
    ending = "interrupted" if report.interrupted else "failed" if report.failed else "incomplete"
    if _complete(report):
        ending = "complete"
    done = Counter(report.done.values())
    parts = [f"{done[a]:,} {word}" for a, word in _DONE.items() if done[a] or a in _COUNTED]
    if report.moved:
        parts.append(f"{len(report.moved):,} moved")
    rest = ((report.failed, "failed"), (report.not_started, "not started"), (report.waiting, "not finished"))
    parts += [f"{len(found):,} {word}" for found, word in rest if found]
    name = "Destroy" if report.destroy else "Apply"
    return f"{name} {ending} ({duration(int(report.seconds))}): {', '.join(parts)}."
