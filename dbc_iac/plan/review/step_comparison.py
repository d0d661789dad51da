"""The steps of a reviewed plan against those that this program compiles from its changes. Pure.

A plan file holds its steps as text; the goals that are run are compiled again. Another version of the program may
compile others: an apply runs the steps that were reviewed, or nothing.
"""

from __future__ import annotations

from itertools import zip_longest

from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.plan.model import GoalSummary, Plan, Step, StepKind
from dbc_iac.plan.schedule.step_builder import StepBuilder
from dbc_iac.plan.schedule.steps import compile_steps


def executable_steps(plan: Plan) -> dict[str, StepBuilder]:
    """The steps of a plan with their goals, by key. Raises DiagnosticError that names the first step that differs."""
    builders = compile_steps({c.address: c for c in plan.changes})
    compiled = [builder.step() for builder in builders.values()]
    for planned, now in zip_longest(plan.steps, compiled):
        if planned != now:
            raise _other_steps(planned, now)
    return builders


def _other_steps(planned: Step | None, now: Step | None) -> DiagnosticError:
    step = planned or now
    assert step is not None  # noqa: S101 - one of the two was given
    return failure(
        "plan-stale",
        f"the steps of {step.address} differ from the plan",
        f"Planned: {_described(planned)}. Now: {_described(now)}. Nothing was sent.",
        "Run `dbc-iac plan -o FILE` again with this version, and review the new plan.",
        address=step.address,
        exit_code=ExitCode.REFUSED,
    )


def _described(step: Step | None) -> str:
    if step is None:
        return "no such step"
    goals = "; ".join(_goal(g) for g in step.goals) or "no call"
    window = f", with the VM powered off and left {step.power}" if step.kind is StepKind.WINDOW else ""
    after = f", after {', '.join(step.after)}" if step.after else ""
    return f"{step.key}: {goals}{window}{after}"


def _goal(goal: GoalSummary) -> str:
    return f"{goal.address} {goal.text} ({goal.call}, VM {goal.needs})"
