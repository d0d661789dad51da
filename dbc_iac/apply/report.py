"""Events, status and report of an apply. No I/O, no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from dbc_iac.apply.goal_result import GoalResult, Verdict
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.plan.model import Action

if TYPE_CHECKING:
    from dbc_iac.apply.offline_window import VmStarter


class Event(Struct, frozen=True):
    """An event of an apply. `at`: seconds since its start.

    Kinds: `step-started`, `step-done`, `step-failed`, `step-waiting`, `step-skipped`, `call`, `waiting`, `goal-met`,
    `window-opened`, `window-closed`, `barrier`, `note`.
    """

    kind: str
    address: str
    text: str
    at: float
    detail: Mapping[str, Json] = field(default_factory=dict)


class ApplyStatus(Struct):
    """Status of each address while the apply runs."""

    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    not_started: dict[str, str] = field(default_factory=dict)
    powered_off: dict[str, str] = field(default_factory=dict)
    unstarted: dict[str, tuple[VmStarter, GoalResult]] = field(default_factory=dict)
    """VMs that this apply powered off and could not start yet."""
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def bad(self) -> set[str]:
        """Addresses with goals that are not met."""
        return {*self.failed, *self.waiting, *self.not_started, *self.unstarted}

    def fail(self, goal: Goal, result: GoalResult) -> None:
        """Record that a goal is not met, and report its problem."""
        if result.verdict is Verdict.WAITING:
            self.waiting[goal.address] = result.text
            return
        if result.verdict is Verdict.NOT_STARTED:
            self.not_started.setdefault(goal.address, result.text)
            return
        self.failed[goal.address] = result.text
        if result.diagnostics:  # one problem, such as a missing key, may fail many goals
            self.diagnostics.extend(d for d in result.diagnostics if d not in self.diagnostics)
            return
        self.diagnostics.append(
            Diagnostic(
                "goal-failed",
                Severity.ERROR,
                f"{goal.address}: {result.text}",
                result.detail or f"Failed action: {goal.action_text}.",
                result.remedy or "Fix the cause, and run the command again. Finished changes are not repeated.",
                address=goal.address,
                exit_code=result.exit_code,
            )
        )

    def fail_rest(self, goals: Iterable[Goal], result: GoalResult) -> Literal[False]:
        """Record a failure of all goals that have no result yet. Returns False: their step failed."""
        for goal in goals:
            if goal.address not in self.bad:
                self.fail(goal, result)
        return False

    def word(self, address: str) -> str:
        """Status of an address, for those that depend on it."""
        if address in {*self.failed, *self.unstarted}:
            return "failed"
        return "is not complete" if address in self.waiting else "was not started"

    def event(self, address: str) -> str:
        """Kind of the event that reports it."""
        if address in {*self.failed, *self.unstarted}:
            return "step-failed"
        return "step-waiting" if address in self.waiting else "step-skipped"

    def why(self, address: str) -> str:
        """Reason why goals of an address are not met."""
        found = (status.get(address) for status in (self.failed, self.not_started, self.waiting))
        unstarted = self.unstarted.get(address)
        return next((text for text in found if text), not_started(unstarted[1]) if unstarted else "failed")


def not_started(result: GoalResult) -> str:
    return f"could not be started again: {result.text}"


class Report(Struct, frozen=True):
    """Report of an apply, by address; mappings give the reason.

    `waiting` are those whose effect had been asked for and had not been seen when patience ended; `powered_off` are VMs
    that are off because of this run.
    """

    __repr__ = object.__repr__  # asyncio.run formats the result of its coroutine, and drops it

    done: Mapping[str, Action] = field(default_factory=dict)
    """Finished changes: action by address."""
    moved: tuple[str, ...] = ()
    """Changed names, each as `OLD to NEW`."""
    failed: Mapping[str, str] = field(default_factory=dict)
    not_started: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    powered_off: Mapping[str, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    unknown: tuple[str, ...] = ()
    """Addresses that could not be read by the plan, and were not changed."""
    not_replaced: tuple[str, ...] = ()
    """Addresses that `--replace` named and that are not replaced: only `--replace` continues them."""
    interrupted: bool = False
    destroy: bool = False
    seconds: float = 0.0
    calls: int = 0

    @property
    def exit_code(self) -> ExitCode:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.waiting or self.powered_off or (self.done and (self.failed or self.not_started)):
            return ExitCode.PARTIAL
        codes = [d.exit_code for d in self.diagnostics if d.severity is Severity.ERROR]
        if codes or self.failed or self.not_started:
            return max(codes, default=ExitCode.ERROR)
        if any(d.exit_code is ExitCode.AUTHORISATION for d in self.diagnostics):
            return ExitCode.AUTHORISATION
        return ExitCode.PARTIAL if self.unknown else ExitCode.OK
