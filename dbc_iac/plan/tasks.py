"""From a frozen change to the goals that bring it about. Pure: the same change always gives the same goals."""

from __future__ import annotations

from dataclasses import dataclass

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.goal import Goal, Needs
from dbc_iac.kinds.kind import Task
from dbc_iac.kinds.reach import Reach
from dbc_iac.plan.model import Action, Change, GoalLine


def task_of(change: Change) -> Task:
    """What a kind needs to make goals."""
    reach = Reach.from_json(change.reach)
    return Task(
        address=change.address,
        reach=reach,
        id=change.id,
        old_id=change.old_id,
        generation=change.generation,
        holder_id=change.holder_id,
        old_holder_id=change.old_holder_id or change.holder_id,
        desired=change.desired,
        applied=change.applied,
        observed={**change.resolved, **change.observed},
        changed=tuple(f.path for f in change.fields),
        secrets=change.secrets,
        old_reach=Reach.from_json(change.old_reach) if change.old_reach else None,
        marker=change.marker,
        known=frozenset(change.known),
        patience=change.patience or None,
        users=change.users,
    )


def same_again(change: Change) -> bool:
    """Whether what comes has the identity of what goes: the same name, at the same place where that matters."""
    place, before = change.reach.get("target"), change.old_reach.get("target")
    there = kind_of(change.kind).roams or before in {None, place}
    return bool(change.id) and change.id == change.old_id and there


@dataclass(frozen=True, slots=True)
class Goals:
    """The goals of one change, by when they are pursued.

    `before` stand in the change's own step, `offline` in its VM's window, `after` once the VM runs again; `removal` are
    those that take the old object away.
    """

    before: tuple[Goal, ...] = ()
    offline: tuple[Goal, ...] = ()
    after: tuple[Goal, ...] = ()
    removal: tuple[Goal, ...] = ()


def goals_of(change: Change, *, holder_goes: bool = False) -> Goals:
    """The goals of a change. With `holder_goes` the VM takes its old disks along, and no call is made for them."""
    kind, task = kind_of(change.kind), task_of(change)
    making: list[Goal] = []
    removal: list[Goal] = []
    match change.action:
        case Action.CREATE:
            making = list(kind.create(task))
        case Action.ADOPT:
            making = list(kind.adopt(task))
        case Action.UPDATE:
            making = list(kind.update(task))
        case Action.REPLACE:
            making, removal = list(kind.create(task)), [] if holder_goes else list(kind.delete(task))
        case Action.DELETE:
            removal = [] if holder_goes else list(kind.delete(task))
        case _:
            pass
    offline = [g for g in making if g.needs is Needs.OFF]
    runs_later = change.action is Action.ADOPT and change.observed.get("power", "on") != "on"
    bound = change.action is Action.UPDATE or runs_later
    running = [g for g in making if g.late or (g.needs is Needs.RUNNING and bound)]
    before = [g for g in making if g not in offline and g not in running]
    return Goals(tuple(before), tuple(offline), tuple(running), tuple(removal))


def line(goal: Goal) -> GoalLine:
    """A goal as a plan shows it."""
    return GoalLine(goal.address, goal.name, goal.text, goal.call_class.value, goal.needs.value)
