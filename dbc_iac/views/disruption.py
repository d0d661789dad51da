"""Which machine a plan disturbs, how, why, and for about how long. Pure; made from the plan's steps and changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, power_field
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.views.text.wording import duration


class Effect(StrEnum):
    """What happens to a machine that runs, in the words that are shown after its address."""

    DELETED = "is deleted"
    REPLACED = "is made anew: off from the beginning until the new one runs"
    STAYS_OFF = "is powered off and stays off"
    CYCLED = "is powered off and started again"
    STARTED = "is off now, and is started"


@dataclass(frozen=True, slots=True)
class Disruption:
    """One machine.

    `seconds` is how long it is off, 0 where that is not known; `begins` about how many seconds after the beginning, as
    far as windows alone tell; `step` the number of its step in the list that is shown, 0 where it has none;
    `causes` say what is done meanwhile.
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
        """In words, where the length is not known; empty for what only ends a time of being off."""
        lengths = {
            Effect.DELETED: "for ever",
            Effect.STAYS_OFF: "until it is started again",
            Effect.REPLACED: "until the new one runs: not known",
            Effect.CYCLED: "not known",
        }
        return "" if self.seconds else lengths.get(self.effect, "")


def shown_steps(plan: Plan) -> tuple[Step, ...]:
    """The steps that do something, in the order in which they are shown and numbered (from 1)."""
    return tuple(s for s in plan.steps if s.goals)


def expected_calls(plan: Plan) -> int:
    """About how many changing calls an apply makes: one a goal, and two for a VM that is powered off and on."""
    windows = sum(2 if s.power == "on" else 1 for s in plan.steps if s.kind is StepKind.WINDOW)
    return windows + sum(len(s.goals) for s in plan.steps)


def disruptions(plan: Plan) -> tuple[Disruption, ...]:
    """One for each machine that is disturbed: what is gone first, then in the order of the steps."""
    changes = {c.address: c for c in plan.changes}
    numbers = {s.address: n for n, s in reversed(list(enumerate(shown_steps(plan), 1)))}
    begins = _begins(plan)
    new = {c.address for c in plan.changes if c.action is Action.CREATE}  # nobody uses it yet
    found: dict[str, Disruption] = {}
    for change in plan.pending:
        effect = _of_change(change)
        if effect is not None:
            causes = change.reasons if change.action is not Action.UPDATE else ()
            number = numbers.get(change.address, 0)
            found[change.address] = Disruption(change.address, change.node, effect, step=number, causes=causes)
    for number, step in enumerate(shown_steps(plan), 1):
        if step.kind is StepKind.WINDOW and step.address not in new and not is_off_all_along(step, changes):
            whole = found.get(step.address)
            if whole is None or whole.effect not in {Effect.DELETED, Effect.REPLACED}:
                found[step.address] = replace(_of_window(number, step, changes), begins=begins[step.key])
    order = list(Effect)
    return tuple(sorted(found.values(), key=lambda d: (order.index(d.effect) > 1, d.step, d.address)))


def _begins(plan: Plan) -> dict[str, int]:
    """Key of a step -> about when it begins. A node has one window at a time; other steps count as instant."""
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
    change = changes.get(step.address)
    if change is not None and change.observed_power == "off" and step.power == "on":
        return Disruption(step.address, step.node, Effect.STARTED, 0, number, causes)
    effect = Effect.CYCLED if step.power == "on" else Effect.STAYS_OFF
    if _was_off(step, changes):
        return Disruption(step.address, step.node, Effect.STARTED, 0, number, causes)
    return Disruption(step.address, step.node, effect, step.seconds, number, causes)


def window_text(step: Step, changes: dict[str, Change]) -> str:
    """What an offline window does to its VM, in the words that are shown after its address."""
    if _was_off(step, changes):
        return "is off and stays off" if step.power == "off" else "is off now: it is changed, and started"
    return (
        f"is powered off for about {duration(step.seconds)}" if step.power == "on" else "is powered off and stays off"
    )


def length(found: Iterable[Disruption]) -> int:
    """Seconds from the beginning to the end of the last window."""
    return max((d.begins + d.seconds for d in found if d.seconds), default=0)


def is_off_all_along(step: Step, changes: dict[str, Change]) -> bool:
    """Whether the VM of a window is off already, and is to stay so: nobody is disturbed."""
    return step.power == "off" and _was_off(step, changes)


def _was_off(step: Step, changes: dict[str, Change]) -> bool:
    host = changes.get(step.address)
    return host is not None and host.observed_power == "off"


def _causes(step: Step, changes: dict[str, Change]) -> Iterator[str]:
    """In few words: fields of the machine itself, and what else is done in its window."""
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
    after, power = {f.path: f.after for f in change.fields}, power_field(kind_of(change.kind))
    if power in after:
        return Effect.STAYS_OFF if after[power] == "off" else Effect.STARTED
    return Effect.CYCLED if "restart" in after else None
