"""Disruptions by a plan: machines that are powered off or deleted, why, and for about how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.plan.decide.deletions import DESTROY
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind


class Effect(StrEnum):
    """Effect on a machine, as shown after its address."""

    DELETED = "will be deleted"
    REPLACED = "will be replaced, off until the new VM runs"
    STAYS_OFF = "will be powered off and stay off"
    CYCLED = "will be powered off and started again"
    STARTED = "powered off, will be started"


class Disruption(Struct, frozen=True):
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


class Disruptions(Struct, frozen=True):
    """Disruptions by a plan, and the steps that they refer to."""

    machines: tuple[Disruption, ...]
    """One per machine: deletions and replacements first, then in the order of the steps."""
    steps: tuple[Step, ...]
    """Steps with at least one action, in the order in which they are shown and numbered (from 1)."""
    off: frozenset[str]
    """Addresses of the machines that were off when the plan was made."""


def disruptions(plan: Plan) -> Disruptions:
    """The disruptions by a plan."""
    changes = {c.address: c for c in plan.changes}
    steps, begins = tuple(s for s in plan.steps if s.goals), _begins(plan)
    off = frozenset(c.address for c in plan.changes if c.observed_power == "off")
    numbers = {s.address: n for n, s in reversed(list(enumerate(steps, 1)))}
    new = {c.address for c in plan.changes if c.action is Action.CREATE}  # not in use yet
    found: dict[str, Disruption] = {}
    for change in plan.pending:
        if (effect := _of_change(change)) is not None:
            causes = tuple(r for r in change.reasons if r != DESTROY) if change.action is not Action.UPDATE else ()
            number = numbers.get(change.address, 0)
            found[change.address] = Disruption(
                change.address, change.placement.node, effect, step=number, causes=causes
            )
    for number, step in enumerate(steps, 1):
        was_off = step.address in off
        if step.kind is not StepKind.WINDOW or step.address in new or (was_off and step.power == "off"):
            continue
        whole = found.get(step.address)
        if whole is None or whole.effect not in {Effect.DELETED, Effect.REPLACED}:
            effect = Effect.STARTED if was_off else Effect.CYCLED if step.power == "on" else Effect.STAYS_OFF
            causes = tuple(dict.fromkeys(_causes(step, changes)))
            seconds = 0 if was_off else step.seconds
            found[step.address] = Disruption(step.address, step.node, effect, seconds, number, causes, begins[step.key])
    order = list(Effect)
    machines = sorted(found.values(), key=lambda d: (order.index(d.effect) > 1, d.step, d.address))
    return Disruptions(tuple(machines), steps, off)


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


def length(found: Iterable[Disruption]) -> int:
    """Expected seconds from the start of the apply to the end of the last window."""
    return max((d.begins + d.seconds for d in found if d.seconds), default=0)


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
