"""Results of the calls of operations commands, as `dbc_iac.api.outcome` defines them: no answer is no success."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dbc_iac.api.outcome import Done, Effect, NotSent, Outcome, Refused, Unknown
from dbc_iac.cli.ops.console import Console
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.kinds.framework.goal import Goal, GoalState, GoalStatus
from dbc_iac.plan.decide.unreadable import remedy_of

T = TypeVar("T")
LONGEST_EXECUTION = 900.0
"""Seconds within which a node executes a request that it did not answer, if at all."""
_CHECK_ORDER = "Check the rent order and the identity; `dbc-iac node show` lists the orders of the machine."
_EFFECT_TEXTS = {
    Effect.NONE: "Nothing was changed.",
    Effect.PARTIAL: "Part of it may have been changed.",
    Effect.UNKNOWN: "It is unknown whether anything was changed.",
}


def read(outcome: Outcome[T], what: str) -> T:
    """Value of a read. Raises DiagnosticError if there is none: an unreadable object may exist."""
    match outcome:
        case Done(value):
            return value
        case Refused():
            raise _refused(outcome, f"cannot read {what}: {outcome.message}", "")
        case NotSent(message=message) | Unknown(message=message):
            raise failed("unreadable", f"cannot read {what}: {message}", remedy=retry_remedy(message))


def accepted(outcome: Outcome[T], what: str, look: str) -> T:
    """Value of a change. `look`: command that shows the effect. Raises DiagnosticError."""
    match outcome:
        case Done(value):
            return value
        case Refused():
            raise _refused(outcome, f"{what} was refused: {outcome.message}", _EFFECT_TEXTS[outcome.effect])
        case NotSent(message=message):
            raise failed("not-sent", f"{what} was not sent: {message}", "Nothing was changed.", retry_remedy(message))
        case Unknown():
            raise outcome_unknown(outcome, what, look)


def read_remedy(outcome: Refused | NotSent | Unknown) -> str:
    """The remedy for a read that did not succeed."""
    return _CHECK_ORDER if isinstance(outcome, Refused) else retry_remedy(outcome.message)


def retry_remedy(message: str) -> str:
    """The remedy for a read or call that failed with a text: repair its cause, and run the command again."""
    return remedy_of(message).replace("Then plan again.", "Then run the command again.")


def outcome_unknown(outcome: Unknown, what: str, look: str) -> DiagnosticError:
    return failed(
        "outcome-unknown",
        f"unknown outcome of {what}: {outcome.message}",
        "The node may have executed the call, or may execute it later.",
        f"Check with `{look}` before repeating it.",
        ExitCode.PARTIAL,
    )


def failed(
    code: str, summary: str, detail: str = "", remedy: str = "", exit_code: ExitCode = ExitCode.ERROR
) -> DiagnosticError:
    return failure(code, summary, detail, remedy, exit_code=exit_code)


def _refused(refused: Refused, summary: str, detail: str) -> DiagnosticError:
    remedy = _CHECK_ORDER if refused.not_rented else ""  # others have that of their explanation
    code = ExitCode.AUTHORISATION if refused.authority else ExitCode.ERROR
    return failed("refused", summary, detail, remedy, code)


async def wait_for_goal(
    console: Console,
    goal: Goal,
    outcome: Outcome[Any],
    look: str,
    wait: float | None,
    on_reading: ReadingCallback | None = None,
) -> str:
    """Status after a call: `accepted`; with `wait` (seconds), the status when the goal is met.

    With `wait` an unknown outcome is resolved by reading. Raises DiagnosticError.
    """
    what = f"{goal.address}: {goal.action_text}"
    if wait is None or not isinstance(outcome, Done | Unknown):
        accepted(outcome, what, look)
        return "accepted"
    console.watch.hurry(goal.route.target)
    if isinstance(outcome, Done):
        seen = await poll_goal(console, goal.begins(), wait, on_reading)
    else:
        seen = await poll_goal(console, goal, min(wait, LONGEST_EXECUTION), on_reading)
    if seen.sight is GoalStatus.MET:
        return seen.text or "done"
    if isinstance(outcome, Unknown):
        raise outcome_unknown(outcome, what, look)
    if seen.sight in {GoalStatus.FAILED, GoalStatus.BROKEN}:
        raise failed(
            "failed",
            f"{what} failed: {seen.text}",
            remedy=f"Check the object with `{look}`, and run the command again.",
        )
    raise not_finished(what, seen.text, wait, look)


def not_finished(what: str, status: str, wait: float, look: str) -> DiagnosticError:
    summary = f"{what}: not finished after {wait:g} s ({status or 'no effect seen yet'})"
    return failed("still-waiting", summary, "The node continues.", f"Check with `{look}`.", exit_code=ExitCode.PARTIAL)


ReadingCallback = Callable[[GoalState], Awaitable[None]]
"""Called with each reading during a wait."""


async def poll_goal(console: Console, goal: Goal, wait: float, on_reading: ReadingCallback | None = None) -> GoalState:
    """Read until the goal is met or failed, or the time is up. Returns the last reading."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait
    while True:
        seen = await goal.look(console.reader)
        if on_reading is not None:
            await on_reading(seen)
        if seen.sight in {GoalStatus.MET, GoalStatus.FAILED, GoalStatus.BROKEN} or clock() >= end:
            return seen
        await console.watch.tick(goal.route.target)
