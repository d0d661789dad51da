"""How a day-2 call ended, by the rules of `dbc_iac.api.outcome`: without an answer it is unknown, never success."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dbc_iac.api.outcome import Done, Effect, NotSent, Outcome, Refused, Unknown
from dbc_iac.cli.ops.console import Console
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds.framework.goal import Goal, GoalState, GoalStatus

T = TypeVar("T")
LATEST = 900.0
"""Seconds after which a request without an answer is hardly carried out any more."""

_LEFT = {
    Effect.NONE: "Nothing was changed.",
    Effect.PARTIAL: "Part of it may have been done.",
    Effect.UNKNOWN: "Whether anything was changed is not known.",
}


def read(outcome: Outcome[T], what: str) -> T:
    """What a read gave. Raises DiagnosticError: not to be read is never the same as absent."""
    match outcome:
        case Done(value):
            return value
        case Refused():
            raise _refused(outcome, f"{what} cannot be read: {outcome.message}", "")
        case NotSent(message=message) | Unknown(message=message):
            raise failed("unreadable", f"{what} cannot be read: {message}", remedy="Try again later.")


def accepted(outcome: Outcome[T], what: str, look: str) -> T:
    """What a change answered. `look` is the command that tells what became of it. Raises DiagnosticError."""
    match outcome:
        case Done(value):
            return value
        case Refused():
            raise _refused(outcome, f"{what} was refused: {outcome.message}", _LEFT[outcome.effect])
        case NotSent(message=message):
            raise failed("not-sent", f"{what} was not sent: {message}", "Nothing was changed.", "Try again later.")
        case Unknown():
            raise unknown_end(outcome, what, look)


def unknown_end(outcome: Unknown, what: str, look: str) -> DiagnosticError:
    return failed(
        "outcome-unknown",
        f"whether {what} was done is not known: {outcome.message}",
        "It may have been carried out, or may still be.",
        f"Look with `{look}` before it is repeated.",
        ExitCode.PARTIAL,
    )


def failed(
    code: str, summary: str, detail: str = "", remedy: str = "", exit_code: ExitCode = ExitCode.ERROR
) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, detail, remedy, exit_code=exit_code))


def _refused(refused: Refused, summary: str, detail: str) -> DiagnosticError:
    remedy = "Try again later." if refused.transient else ""
    if refused.not_rented:
        remedy = "Check the rent order and the identity: `node show` tells which orders the machine has."
    code = ExitCode.AUTHORISATION if refused.authority else ExitCode.ERROR
    return failed("refused", summary, detail, remedy, code)


async def wait_for_goal(
    console: Console, goal: Goal, outcome: Outcome[Any], look: str, wait: float | None, told: Told | None = None
) -> str:
    """What became of a call that was made for a goal: `accepted`, or with `wait` (seconds) the status when it holds.

    An unknown outcome is settled by looking, where the user waits; else it stays unknown. Raises DiagnosticError.
    """
    what = f"{goal.address}: {goal.action_text}"
    if wait is None or not isinstance(outcome, Done | Unknown):
        accepted(outcome, what, look)
        return "accepted"
    console.watch.hurry(goal.route.target)
    if isinstance(outcome, Done):
        seen = await until(console, goal.begins(), wait, told)
    else:
        seen = await until(console, goal, min(wait, LATEST), told)
    if seen.sight is GoalStatus.MET:
        return seen.text or "done"
    if isinstance(outcome, Unknown):
        raise unknown_end(outcome, what, look)
    if seen.sight in {GoalStatus.FAILED, GoalStatus.BROKEN}:
        raise failed("failed", f"{what} failed: {seen.text}")
    raise still(what, seen.text, wait, look)


def still(what: str, status: str, wait: float, look: str) -> DiagnosticError:
    summary = f"{what} is not so after {wait:g} s: {status or 'not seen yet'}"
    return failed(
        "still-waiting", summary, "It goes on without us.", f"Look with `{look}`.", exit_code=ExitCode.PARTIAL
    )


Told = Callable[[GoalState], Awaitable[None]]
"""Is given each look while something is waited for."""


async def until(console: Console, goal: Goal, wait: float, told: Told | None = None) -> GoalState:
    """Look until the goal holds, has failed, or the time is over: the last look."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait
    while True:
        seen = await goal.look(console.reader)
        if told is not None:
            await told(seen)
        if seen.sight in {GoalStatus.MET, GoalStatus.FAILED, GoalStatus.BROKEN} or clock() >= end:
            return seen
        await console.watch.tick(goal.route.target)
