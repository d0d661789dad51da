"""Goals of a change, the builder of a step, and the keys of steps. Pure: equal changes have equal goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, convert, field

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.goal import Goal, Needs
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.plan.model import Action, Change, GoalSummary, Plan, Step, StepKind

OFF_ON_SECONDS = 30
"""Expected duration of a power cycle, and of one job in it (s). Only shown."""
JOB_SECONDS = 15


def goal_input(change: Change) -> GoalInput:
    """Input of a kind for the goals of a change."""
    route = convert(change.placement.route, Route)
    return GoalInput(
        address=change.address,
        route=route,
        id=change.identity.id,
        old_id=change.identity.old_id,
        generation=change.identity.generation,
        parent_id=change.placement.parent_id,
        old_parent_id=change.old_placement.parent_id or change.placement.parent_id,
        desired=change.desired,
        applied=change.applied,
        observed={**change.resolved, **change.observed},
        changed=tuple(f.path for f in change.fields),
        secrets=change.secrets,
        old_route=convert(change.old_placement.route, Route) if change.old_placement.route else None,
        marker=change.identity.marker,
        known=frozenset(change.identity.known),
        timeout_seconds=change.timeout_seconds or None,
        users=change.users,
    )


class Goals(Struct, frozen=True):
    """Goals of one change, by phase.

    `before`: in the step of the change; `offline`: in the window of its VM; `after`: once the VM runs again; `removal`:
    deletion of the old object.
    """

    before: tuple[Goal, ...] = ()
    offline: tuple[Goal, ...] = ()
    after: tuple[Goal, ...] = ()
    removal: tuple[Goal, ...] = ()


def goals_of(change: Change, *, parent_deleted: bool = False) -> Goals:
    """The goals of a change. `parent_deleted`: the VM is deleted with its old disks, without calls for them."""
    kind, task = kind_of(change.kind), goal_input(change)
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
            making, removal = list(kind.create(task)), [] if parent_deleted else list(kind.delete(task))
        case Action.DELETE:
            removal = [] if parent_deleted else list(kind.delete(task))
        case _:
            pass
    offline = [g for g in making if g.needs is Needs.OFF]
    runs_later = change.action is Action.ADOPT and change.observed_power not in {"", "on"}
    bound = change.action is Action.UPDATE or runs_later
    running = [g for g in making if g.late or (g.needs is Needs.RUNNING and bound)]
    before = [g for g in making if g not in offline and g not in running]
    return Goals(tuple(before), tuple(offline), tuple(running), tuple(removal))


class StepBuilder(Struct):
    """A step with its goals. `after`: keys of steps that must succeed first; `behind`: of steps that must end first."""

    key: str
    kind: StepKind
    address: str
    goals: list[Goal] = field(default_factory=list)
    after: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    node: str = ""
    power: str = ""
    adopts: bool = False
    """Whether the object exists already and is only bound."""

    @property
    def first(self) -> set[str]:
        """Keys of all steps that it waits for."""
        return self.after | self.behind

    @property
    def powers_off(self) -> bool:
        """Whether it powers off a VM that runs."""
        return self.kind is StepKind.WINDOW or any(g.temporary for g in self.goals)

    def step(self) -> Step:
        off = self.kind is StepKind.WINDOW
        seconds = OFF_ON_SECONDS + JOB_SECONDS * len(self.goals) if off and self.power == "on" else 0
        goals = []
        for goal in self.goals:
            verb, space, rest = goal.action_text.partition(" ")
            text = f"{'adopting' if self.adopts and goal.creates else verb}{space}{rest}"
            goals.append(GoalSummary(goal.address, goal.name, text, goal.call_class.value, goal.needs.value))
        after = tuple(sorted(self.first))
        return Step(self.key, self.kind, self.address, tuple(goals), after, self.node, seconds, self.power)


class CompiledPlan(Struct, frozen=True):
    """A plan and its steps with their goals, by key, in order."""

    __repr__ = object.__repr__  # asyncio.run formats the result of its coroutine, and drops it

    plan: Plan
    steps: Mapping[str, StepBuilder]


def preceding(step: StepBuilder, steps: Mapping[str, StepBuilder]) -> Iterator[StepBuilder]:
    """All steps that end before a step starts."""
    seen, todo = set(step.first), [*step.first]
    while todo:
        before = steps[todo.pop()]
        yield before
        todo += before.first - seen
        seen |= before.first


def removal_key(address: str) -> str:
    return f"{address}#old"


def window_key(address: str) -> str:
    return f"{address}#window"
