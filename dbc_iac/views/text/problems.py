"""What a plan warns of, and what refuses it: in every face of it, the gravest first, what is alike once. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.views.grouping import Detail, grouped, some

_TOLD = 3
"""Of many that are alike so many are told whole."""
_TITLES = {
    Severity.ERROR: "Refused:",
    Severity.WARNING: "Warnings:",
    Severity.NOTE: "Remarks:",
}


@dataclass(frozen=True, slots=True)
class Problems:
    """Those of one weight. `lines`: each with whom it is about, what it is, why, and what helps."""

    severity: Severity
    lines: tuple[str, ...]

    @property
    def title(self) -> str:
        return _TITLES[self.severity]


def problems(diagnostics: Iterable[Diagnostic], detail: Detail) -> tuple[Problems, ...]:
    """By weight, without those weights of which there is nothing."""
    found = tuple(diagnostics)
    weights = ((w, tuple(d for d in found if d.severity is w)) for w in Severity)
    return tuple(Problems(w, tuple(_lines(ones, detail))) for w, ones in weights if ones)


def likeness(problem: Diagnostic) -> Hashable:
    """What is equal of problems that are told together. Errors are all told: each is to be mended in its own place."""
    if problem.severity is Severity.ERROR or problem.address is None:
        return problem
    return problem.code, problem.severity, problem.detail


def shortened(
    diagnostics: Iterable[Diagnostic], detail: Detail = Detail.GROUPED
) -> Iterator[tuple[Diagnostic, tuple[str, ...]]]:
    """The problems that are told whole, and after the last of many alike the addresses of those that are not."""
    for members in grouped(diagnostics, likeness, detail):
        told = members[:_TOLD]
        rest = tuple(m.address or "" for m in members[_TOLD:])
        yield from ((one, rest if one is told[-1] else ()) for one in told)


def _lines(diagnostics: Iterable[Diagnostic], detail: Detail) -> Iterator[str]:
    for one, rest in shortened(diagnostics, detail):
        whom = f"{one.address}: " if one.address and one.address not in one.summary else ""
        yield f"{whom}{one.summary}" + "".join(f". {t}" for t in (one.detail.rstrip("."), one.remedy) if t)
        if rest:
            yield and_more(rest)


def and_more(addresses: tuple[str, ...]) -> str:
    """The line after those that were told: how many there are besides, and whom they are about."""
    return f"... and {len(addresses):,} more like this: {some(addresses)}"
