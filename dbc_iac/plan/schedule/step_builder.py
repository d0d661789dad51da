"""Builder of a step, and the keys of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.plan.model import GoalSummary, Step, StepKind

OFF_ON_SECONDS = 30
"""Expected duration of a power cycle, and of one job in it (s). Only shown."""
JOB_SECONDS = 15


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
