"""Stacks as rows of tables, in a terminal and on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from dbc_iac.controller.records import Phase, StackStatus
from dbc_iac.views.wording import duration

SHORT_COMMIT = 8
"""Characters of a commit as it is shown."""
_NEEDED: dict[str, str] = {
    Phase.FAILED: "correct the failure",
    Phase.APPROVAL: "approve or reject the plan",
    Phase.DRIFTED: "review the drift",
    Phase.REJECTED: "change the manifests",
}
_ORDER = [*_NEEDED]


class Row(Struct, frozen=True):
    """A stack as it is shown. `needed`: action that somebody must take; empty: none. `notes`: besides the phase."""

    stack: StackStatus
    needed: str
    notes: str
    commit: str
    applied: str
    last: str
    next: str


def row(stack: StackStatus, now: datetime) -> Row:
    """The row of a stack."""
    notes = {
        "running": stack.running,
        "approved": stack.approved,
        "new commit": stack.phase == Phase.SYNCED and stack.tree != stack.applied_tree,
        "drift": stack.drifted and stack.phase != Phase.DRIFTED,
        "suspended": stack.suspended,
        "removed": stack.removed,
    }
    return Row(
        stack,
        needed(stack),
        ", ".join(name for name, shown in notes.items() if shown),
        stack.commit[:SHORT_COMMIT],
        stack.applied_commit[:SHORT_COMMIT],
        "" if stack.last_run is None else f"{duration(seconds(now, stack.last_run))} ago",
        "" if stack.next_run is None or stack.suspended else _due(stack.next_run, now),
    )


def needed(stack: StackStatus) -> str:
    """Action that somebody must take about a stack; empty: none."""
    if stack.removed or (stack.approved and stack.phase == Phase.APPROVAL):
        return ""
    if stack.source_problem is not None:
        return f"correct the source {stack.source}"
    return _NEEDED.get(stack.phase, "")


def rows(stacks: Iterable[StackStatus], now: datetime, phase: str = "") -> list[Row]:
    """Rows of the stacks in a phase, or of all: those that need a person first, by phase, then by name."""
    shown = [row(stack, now) for stack in stacks if phase in {"", stack.phase}]
    return sorted(shown, key=_order)


def _order(one: Row) -> tuple[bool, int, str]:
    phase = one.stack.phase
    return (not one.needed, _ORDER.index(phase) if one.needed and phase in _ORDER else len(_ORDER), one.stack.name)


def phases(stacks: Sequence[StackStatus]) -> list[tuple[str, int]]:
    """Number of stacks in each phase that has any: first the phases that need a person."""
    found = Counter(stack.phase for stack in stacks)
    ordered = dict.fromkeys([*_ORDER, *(phase.value for phase in Phase)])
    return [(phase, found[phase]) for phase in ordered if found[phase]]


def _due(at: datetime, now: datetime) -> str:
    return "now" if at <= now else f"in {duration(seconds(at, now))}"


def seconds(later: datetime, earlier: datetime) -> int:
    """Whole seconds between two times, not negative."""
    return max(int((later - earlier).total_seconds()), 0)
