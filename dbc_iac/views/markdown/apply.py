"""End report of an apply as Markdown, for a job summary or a comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbc_iac.apply.report import Report
from dbc_iac.views.error_explanations import explained, short_text
from dbc_iac.views.markdown.plan import plain
from dbc_iac.views.text.apply import counts, unfinished
from dbc_iac.views.wording import some

_MAX = 200
"""Entries of one list."""


def report_markdown(report: Report) -> str:
    """The end report with the remedies of its failures."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## dbc-iac: {plain(counts(report))}"
    yield ""
    yield from _listed("Failed", report.failed)
    yield from _helps(report)
    yield from _listed("Powered off by this apply", report.powered_off)
    for title, found in unfinished(report).items():
        yield from _listed(title, found)
    yield from _listed("Not started", report.not_started)
    yield from _listed("Could not be read, left unchanged", dict.fromkeys(report.unknown, ""))
    if report.done:
        yield f"<details><summary>{len(report.done):,} done</summary>"
        yield ""
        done = list(report.done.items())[:_MAX]
        yield from (f"- {plain(address)}: {action.value}" for address, action in done)
        if len(report.done) > _MAX:
            yield f"- ... and {len(report.done) - _MAX:,} more"
        yield ""
        yield "</details>"


def _helps(report: Report) -> Iterator[str]:
    """Remedies, each once with its addresses."""
    helps: dict[str, list[str]] = {}
    for problem in map(explained, report.diagnostics):
        if problem.remedy:
            helps.setdefault(problem.remedy, []).append(problem.address or problem.summary)
    if not helps:
        return
    yield "**Help**"
    yield ""
    yield from (f"- {plain(some(list(dict.fromkeys(whom))))}: {plain(remedy)}" for remedy, whom in helps.items())
    yield ""


def _listed(title: str, found: Mapping[str, str]) -> Iterator[str]:
    if not found:
        return
    yield f"**{title}**"
    yield ""
    for address, why in list(found.items())[:_MAX]:
        yield f"- {plain(address)}" + (f": {plain(short_text(why))}" if why else "")
    if len(found) > _MAX:
        yield f"- ... and {len(found) - _MAX:,} more"
    yield ""
