"""Disruptions by a plan: machines that are powered off or deleted, why, and for about how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dbc_iac.address import Address
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.plan.decide.deletions import DESTROY
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.views.text.wording import count, duration


class Effect(StrEnum):
    """Effect on a machine, as shown after its address."""

    DELETED = "will be deleted"
    REPLACED = "will be replaced, off until the new VM runs"
    STAYS_OFF = "will be powered off and stay off"
    CYCLED = "will be powered off and started again"
    STARTED = "powered off, will be started"


@dataclass(frozen=True, slots=True)
class Disruption:
    """Disruption of one machine.

    `seconds`: expected downtime, 0 if unknown; `begins`: expected seconds from the start of the apply to the start of
    the downtime; `step`: number of its step in the shown list, 0 if it has none; `causes`: changes made meanwhile.
    """

    address: str
    node: str
    effect: Effect
    seconds: int = 0
    step: int = 0
    causes: tuple[str, ...] = ()
    begins: int = 0

    @property
    def lasting(self) -> str:
        """Downtime in words if its length is unknown; empty for a machine that is only started."""
        lengths = {
            Effect.DELETED: "permanently",
            Effect.STAYS_OFF: "until it is started",
            Effect.REPLACED: "until the new VM runs",
            Effect.CYCLED: "unknown duration",
        }
        return "" if self.seconds else lengths.get(self.effect, "")


def shown_steps(plan: Plan) -> tuple[Step, ...]:
    """Steps with at least one action, in the order in which they are shown and numbered (from 1)."""
    return tuple(s for s in plan.steps if s.goals)


def expected_calls(plan: Plan) -> int:
    """Expected number of changing API calls: one per action, and two per power-off window."""
    windows = sum(2 if s.power == "on" else 1 for s in plan.steps if s.kind is StepKind.WINDOW)
    return windows + sum(len(s.goals) for s in plan.steps)


def disruptions(plan: Plan) -> tuple[Disruption, ...]:
    """Disruptions, one per machine: deletions and replacements first, then in the order of the steps."""
    changes = {c.address: c for c in plan.changes}
    numbers = {s.address: n for n, s in reversed(list(enumerate(shown_steps(plan), 1)))}
    begins = _begins(plan)
    new = {c.address for c in plan.changes if c.action is Action.CREATE}  # not in use yet
    found: dict[str, Disruption] = {}
    for change in plan.pending:
        effect = _of_change(change)
        if effect is not None:
            causes = tuple(r for r in change.reasons if r != DESTROY) if change.action is not Action.UPDATE else ()
            number = numbers.get(change.address, 0)
            found[change.address] = Disruption(
                change.address, change.placement.node, effect, step=number, causes=causes
            )
    for number, step in enumerate(shown_steps(plan), 1):
        if step.kind is StepKind.WINDOW and step.address not in new and not is_off_all_along(step, changes):
            whole = found.get(step.address)
            if whole is None or whole.effect not in {Effect.DELETED, Effect.REPLACED}:
                found[step.address] = replace(_of_window(number, step, changes), begins=begins[step.key])
    order = list(Effect)
    return tuple(sorted(found.values(), key=lambda d: (order.index(d.effect) > 1, d.step, d.address)))


def _begins(plan: Plan) -> dict[str, int]:
    """Expected start of each step by key, in seconds. A node has one window at a time; other steps take no time."""
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    free: dict[str, int] = {}
    for step in plan.steps:
        at = max((ends.get(key, 0) for key in step.after), default=0)
        if step.kind is StepKind.WINDOW:
            at = max(at, free.get(step.node, 0))
            free[step.node] = at + step.seconds
        begins[step.key], ends[step.key] = at, at + step.seconds
    return begins


def _of_window(number: int, step: Step, changes: dict[str, Change]) -> Disruption:
    causes = tuple(dict.fromkeys(_causes(step, changes)))
    effect = Effect.CYCLED if step.power == "on" else Effect.STAYS_OFF
    if _was_off(step, changes):
        return Disruption(step.address, step.node, Effect.STARTED, 0, number, causes)
    return Disruption(step.address, step.node, effect, step.seconds, number, causes)


def window_text(step: Step, changes: dict[str, Change]) -> str:
    """Effect of an offline window on its VM, as shown after its address."""
    if _was_off(step, changes):
        return "powered off, stays off" if step.power == "off" else "powered off, will be started after the changes"
    return f"power-off window of about {duration(step.seconds)}" if step.power == "on" else "powering off, stays off"


def machines(found: Sequence[Disruption]) -> str:
    """Number of VMs and of servers: `2 VMs and 1 server`; empty for none."""
    vms = sum(isinstance(kind_of(Address(d.address).kind), Host) for d in found)
    return " and ".join(count(n, noun) for n, noun in ((vms, "VM"), (len(found) - vms, "server")) if n)


def length(found: Iterable[Disruption]) -> int:
    """Expected seconds from the start of the apply to the end of the last window."""
    return max((d.begins + d.seconds for d in found if d.seconds), default=0)


def is_off_all_along(step: Step, changes: dict[str, Change]) -> bool:
    """Whether the VM of a window is off and stays off: no disruption."""
    return step.power == "off" and _was_off(step, changes)


def _was_off(step: Step, changes: dict[str, Change]) -> bool:
    host = changes.get(step.address)
    return host is not None and host.observed_power == "off"


def _causes(step: Step, changes: dict[str, Change]) -> Iterator[str]:
    """Changed fields of the machine itself, and addresses of the other resources changed in its window."""
    for goal in step.goals:
        change = changes.get(goal.address)
        if goal.address != step.address:
            yield goal.address
        elif change is not None and change.fields:
            yield from (f.path for f in change.fields if f.behaviour in {"offline", "cold-boot"})
        else:
            yield goal.text


def _of_change(change: Change) -> Effect | None:
    if isinstance(kind_of(change.kind), Host) and change.action in {Action.DELETE, Action.REPLACE}:
        return Effect.DELETED if change.action is Action.DELETE else Effect.REPLACED
    if change.action is not Action.UPDATE:
        return None
    after, power = {f.path: f.after for f in change.fields}, kind_of(change.kind).power_field
    if power in after:
        return Effect.STAYS_OFF if after[power] == "off" else Effect.STARTED
    return Effect.CYCLED if "restart" in after else None
