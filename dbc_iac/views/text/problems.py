"""Diagnostics of a plan, the gravest first, similar ones once. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from msgspec import Struct

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.views.error_explanations import explained
from dbc_iac.views.wording import Detail, grouped, some

_WHOLE = 3
"""Different diagnostics of a group that are printed in full."""
_TITLES = {
    Severity.ERROR: "Refused:",
    Severity.WARNING: "Warnings:",
    Severity.NOTE: "Notes:",
}


class Problems(Struct, frozen=True):
    """Diagnostics of one severity. `lines`: address, summary, detail and remedy of each."""

    severity: Severity
    lines: tuple[str, ...]

    @property
    def title(self) -> str:
        return _TITLES[self.severity]


def problems(diagnostics: Iterable[Diagnostic], detail: Detail) -> tuple[Problems, ...]:
    """Diagnostics by severity, without empty severities."""
    found = tuple(map(explained, diagnostics))
    weights = ((w, tuple(d for d in found if d.severity is w)) for w in Severity)
    return tuple(Problems(w, tuple(_lines(ones, detail))) for w, ones in weights if ones)


def likeness(problem: Diagnostic) -> Hashable:
    """Key of similar diagnostics. Errors are never grouped: each is fixed in its own place."""
    if problem.severity is Severity.ERROR or problem.address is None:
        return problem
    return problem.code, problem.severity, problem.detail


def shortened(
    diagnostics: Iterable[Diagnostic], detail: Detail = Detail.GROUPED
) -> Iterator[tuple[Diagnostic, tuple[str, ...]]]:
    """Diagnostics to print in full, each with the addresses of the others that say the same, or are similar."""
    same = list(grouped(diagnostics, _sameness, detail, least=2))
    for members in grouped(same, lambda found: likeness(found[0]), detail):
        for number, found in enumerate(members[:_WHOLE], 1):
            left_out = [*found[1:], *(m for others in members[_WHOLE:] for m in others if number == _WHOLE)]
            yield found[0], tuple(m.address or "" for m in left_out)


def _sameness(problem: Diagnostic) -> Hashable:
    """Key of diagnostics that differ in their address only."""
    return likeness(problem), problem.summary.replace(problem.address or "\n", ""), problem.remedy


def _lines(diagnostics: Iterable[Diagnostic], detail: Detail) -> Iterator[str]:
    for one, rest in shortened(diagnostics, detail):
        whom = f"{one.address}: " if one.address and one.address not in one.summary else ""
        yield f"{whom}{one.summary}" + "".join(f". {t}" for t in (one.detail.rstrip("."), one.remedy) if t)
        if rest:
            yield and_more(rest)


def and_more(addresses: tuple[str, ...]) -> str:
    """Line after a diagnostic: number and addresses of those that are not printed."""
    return f"... and {len(addresses):,} more like this: {some(addresses)}"
