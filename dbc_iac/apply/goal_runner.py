"""Achieve one goal: look, act, wait, repeat or prove, by its call class alone.

The intent is on disk before a call is made. An unknown outcome counts neither as success nor as failure: a repeatable
call is repeated, the outcome of a blind one is proved by a boot.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Effect, NotSent, RefusalKind, Refused, Unknown
from dbc_iac.api.refusals import REFUSED
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.apply.goal_result import UNPROVEN, GoalResult, Proof, Verdict, failed_with
from dbc_iac.apply.hook import Hook
from dbc_iac.apply.journal_writer import JournalWriter
from dbc_iac.apply.report import Event
from dbc_iac.apply.waiting import FLOOR, SOON, Poller, Stop
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Connect
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, Needs
from dbc_iac.plan.model import Change
from dbc_iac.secret import SecretText

TRIES = 6
"""Number of tries of a call that was not sent, was refused for a transient reason, or has an unknown outcome."""
UNSEEN = 3
"""Number of looks after which an accepted call that is not seen in a queue is repeated."""
UNREADABLE_FOR, UNREADABLE_WHILE_OFF = 600.0, 180.0
"""Seconds without an answer after which a goal fails (it stays in the journal)."""
UNREADABLE_AGAIN = 60.0
"""The same, at least, for a goal whose target has not answered an earlier one."""
ENDING_UNREADABLE, ENDING_STARTS = 10.0, 60.0
"""The same for the start of a VM after a signal, and how long the start is watched then."""
QUEUED_WHILE_OFF = 300.0
"""Seconds to wait for an accepted change while its VM is off. The next start proves its outcome."""
AT_ONCE = 0.001
"""Seconds below which a wait is over: the clock is a float."""


class ApplyOptions(Struct, frozen=True):
    """Options of an apply. `wait_timeout` in seconds; `wait`: wait for creations; `settle`: boot a VM that stays off to
    prove the outcome of a call."""

    wait_timeout: float | None = None
    wait: bool = True
    settle: bool = False


class Run(Struct, frozen=True):
    """Input of an apply. `connect` opens channels for changes, `secret` resolves a reference of a plan."""

    connect: Connect
    secret: Callable[[Json], SecretText | None]
    journal_writer: JournalWriter
    emit: Callable[[Event], None]
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    choices: ApplyOptions = field(default_factory=ApplyOptions)
    stop: Stop = field(default_factory=Stop)


NO_DETAIL: Mapping[str, Json] = {}
Barrier = Callable[[Goal], Awaitable[Proof]]


class GoalRunner:
    """Achieves the goals of one apply."""

    def __init__(self, with_: Run, changes: Mapping[str, Change]) -> None:
        self.reader = CachedReader(with_.connect)
        self.watch = Poller(self.reader)
        self.journal_writer, self.stop, self.choices = with_.journal_writer, with_.stop, with_.choices
        self.run_, self.changes = with_, changes
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def now(self) -> float:
        """Seconds since the start of the apply."""
        return self._loop.time() - self._began

    def emit(self, kind: str, address: str, text: str, detail: Mapping[str, Json] = NO_DETAIL) -> None:
        self.run_.emit(Event(kind, address, text, self.now(), detail))

    def halted(self) -> str:
        """Reason to start no more calls; empty if the apply goes on."""
        if self.journal_writer.unwritten is not None:
            return "the journal could not be written"
        return "interrupted" if self.stop.is_set() else ""

    async def achieve(self, goal: Goal, barrier: Barrier | None = None) -> GoalResult:
        """Achieve a goal. `barrier` proves the outcome of a blind call.

        An exception ends this goal alone: windows are closed, other branches go on.
        """
        try:
            goal = goal.informed(self.journal_writer.bindings)
            return await _Attempt(self, goal, barrier, goal.route.target, self.now()).run()
        except Exception as error:
            return failed_with(error)


class _Attempt(Struct):
    """State of one goal that is being achieved. Times in seconds since the start of the apply."""

    runner: GoalRunner
    goal: Goal
    barrier: Barrier | None
    target: str
    started: float
    accepted: bool = False
    accepted_at: float = 0.0
    number: int = 0
    tries: int = 0
    unreadable_since: float | None = None
    status: str = ""
    unread: str = ""
    doubtful: bool = False
    unseen: int = 0
    ending_since: float | None = None

    @property
    def most_tries(self) -> int:
        return 2 if self.runner.stop.is_set() else TRIES

    @property
    def closes(self) -> bool:
        """Whether it starts a VM that this apply powered off: it goes on after a signal, and without a journal."""
        return self.goal.powers == "on"

    async def run(self) -> GoalResult:
        while True:
            if self.goal.acknowledged and self.accepted:
                return await self._met(GoalState(GoalStatus.MET))
            seen = await self._look()
            result = await self._step(seen)
            if result is not None:
                return result

    async def _look(self) -> GoalState:
        """Look at the goal. --wait-timeout and a signal also end a look in progress."""
        limit = self.runner.choices.wait_timeout
        rest = None if limit is None or not (self.accepted or self.status) else self.started + limit - self.runner.now()
        if self.runner.stop.is_set():
            rest = min(ENDING_UNREADABLE, math.inf if rest is None else rest)
        try:
            async with asyncio.timeout(None if rest is None else max(rest, 0)):
                seen = await self.runner.stop.unless(self.goal.look(self.runner.reader))
        except TimeoutError:
            if self.runner.stop.is_set() or self.unread:
                return GoalState(GoalStatus.UNKNOWN, self.unread or "no answer")
            return GoalState(GoalStatus.WAITING, self.status)
        return seen or GoalState(GoalStatus.UNKNOWN, "interrupted")

    async def _step(self, seen: GoalState) -> GoalResult | None:
        if seen.sight is not GoalStatus.UNKNOWN:
            self.unreadable_since, self.unread = None, ""
            self.runner.watch.heard(self.target)
        match seen.sight:
            case GoalStatus.MET:
                return await self._met(seen)
            case GoalStatus.FAILED:
                if seen.lost:
                    await self.runner.journal_writer.lost(self.number, seen.text)
                return GoalResult(
                    Verdict.FAILED, seen.text, broken=seen.broken, lost=seen.lost, detail=seen.detail,
                    remedy=seen.remedy,
                )  # fmt: skip
            case GoalStatus.BROKEN if self.accepted:
                return GoalResult(Verdict.FAILED, seen.text, detail=seen.detail, remedy=seen.remedy)
            case GoalStatus.WAITING:
                self.unseen = 0
                return await self._wait(seen.text or "under way", close=seen.close)
            case GoalStatus.UNKNOWN if seen.authority:
                return self._left(f"cannot be read: {seen.text}", Verdict.FAILED, ExitCode.AUTHORISATION)
            case GoalStatus.UNKNOWN:
                return await self._unreadable(seen)
            case _ if self.accepted and not self._undone():
                most = QUEUED_WHILE_OFF if self.goal.needs is Needs.OFF else math.inf
                return await self._wait("accepted", self.accepted_at + most)
            case _:
                return await self._act()

    def _undone(self) -> bool:
        """Whether an accepted call was undone by a late one, or lost with the queue of the node."""
        self.unseen += 1
        undone = self.unseen > UNSEEN and self.tries < TRIES and self.goal.queued_visibly
        if undone:
            self.accepted, self.unseen = False, 0
        return undone

    async def _met(self, seen: GoalState) -> GoalResult:
        await self.runner.journal_writer.met(self.goal, seen)
        self.runner.watch.hurry(self.target)
        identity = (seen.id or self.goal.id) if self.goal.creates else ""
        self.runner.emit("goal-met", self.goal.address, self.goal.done_text, {"id": identity} if identity else {})
        warnings = () if seen.warning is None else (seen.warning,)
        return GoalResult(Verdict.MET, seen.text, doubtful=self.doubtful, diagnostics=warnings)

    async def _wait(self, text: str, until: float = math.inf, *, close: bool = False) -> GoalResult | None:
        """Wait for the next look, up to the timeout of the goal, --wait-timeout and `until`; `close`: an early one."""
        limit = self.runner.choices.wait_timeout
        timeout_seconds = self.goal.timeout_seconds if limit is None else min(self.goal.timeout_seconds, limit)
        if self.goal.creates and self.goal.needs is not Needs.OFF and self.accepted and not self.runner.choices.wait:
            timeout_seconds = 0
        rest = min(self.started + timeout_seconds, until) - self.runner.now()
        asked = self.runner.stop.is_set()
        if rest < AT_ONCE or (asked and self._outlasts(ENDING_STARTS if self.accepted else math.inf)):
            verdict = Verdict.NOT_STARTED if asked and not self.tries else Verdict.WAITING
            return self._left(f"still {text}", verdict, ExitCode.PARTIAL)
        if text != self.status:
            self.runner.watch.hurry(self.target)  # progress: look more often
            self.status = text
            self.runner.emit("waiting", self.goal.address, self.goal.action_text, {"status": text})
        await self._tick(rest, close=close)
        return None

    def _left(self, text: str, verdict: Verdict, code: ExitCode) -> GoalResult:
        """Result of a goal that is given up: an accepted call may still be carried out."""
        if self.accepted:
            return GoalResult(Verdict.WAITING, text, code, queued=(self.goal, self.number))
        return GoalResult(verdict, text, code)

    def _outlasts(self, seconds: float) -> bool:
        """Whether a wait after a signal is over: the start of a VM has a limit of its own."""
        self.ending_since = self.runner.now() if self.ending_since is None else self.ending_since
        return not self.closes or self.runner.now() - self.ending_since >= seconds

    async def _tick(self, rest: float, *, close: bool = False) -> None:
        if self.runner.stop.is_set() or (close and rest > SOON):
            await self.runner.stop.unless(self.runner.watch.soon(self.target))
        else:
            await self.runner.stop.unless(self.runner.watch.tick(self.target, rest))

    async def _unreadable(self, seen: GoalState) -> GoalResult | None:
        now = self.runner.now()
        self.unreadable_since = now if self.unreadable_since is None else self.unreadable_since
        most = UNREADABLE_WHILE_OFF if self.goal.needs is Needs.OFF else UNREADABLE_FOR
        limit = math.inf if self.runner.choices.wait_timeout is None else self.runner.choices.wait_timeout
        most = min(most, limit)
        until = max(self.runner.watch.silent(self.target, now) + most, self.unreadable_since + UNREADABLE_AGAIN)
        rest = min(until, self.started + limit) - now
        asked = self.runner.stop.is_set()
        if rest < 1 or (asked and self._outlasts(ENDING_UNREADABLE)):
            verdict = Verdict.NOT_STARTED if asked and not (self.closes or self.tries) else Verdict.FAILED
            return replace(self._left(f"cannot be read: {seen.text}", verdict, ExitCode.ERROR), unreadable=True)
        self.unread = seen.text
        self.status = f"cannot be read, timeout in {rest:.0f} s: {seen.text}"
        self.runner.emit("waiting", self.goal.address, self.goal.action_text, {"status": self.status})
        await self._tick(rest)
        return None

    async def _act(self) -> GoalResult | None:
        """Make the call once; a blind one only right after a look."""
        if (why := self.runner.halted()) and not self.closes:
            return GoalResult(Verdict.NOT_STARTED, why)
        if self.goal.call_class is CallClass.BLIND:
            self.runner.watch.hurry(self.target)
            fresh = await self.goal.look(self.runner.reader)
            if fresh.sight is not GoalStatus.UNMET:
                return await self._step(fresh)
        secrets = {  # in a thread, since a program may provide them
            path: value
            for path, reference in self.runner.changes[self.goal.address].secrets.items()
            if (value := await asyncio.to_thread(self.runner.run_.secret, reference)) is not None
        }
        self.goal, detail = await self.goal.primed(self.runner.reader)
        self.tries += 1
        self.number = number = await self.runner.journal_writer.intent(self.goal, detail)
        if (why := self.runner.halted()) and not self.closes:  # the intent could not be written
            await self.runner.journal_writer.result(number, NotSent(why))
            return GoalResult(Verdict.NOT_STARTED, why)
        self.runner.emit("call", self.goal.address, self.goal.action_text)
        try:
            outcome = await self.goal.act(ActContext(self.runner.run_.connect, secrets), self.runner.reader)
        except UnsafeWireValue as error:
            await self.runner.journal_writer.result(number, NotSent(str(error)))
            raise
        await self.runner.journal_writer.result(number, outcome)
        self.runner.watch.hurry(self.target)
        match outcome:
            case Done():
                self.accepted, self.accepted_at = True, self.runner.now()
                self.goal = self.goal.begins()
                return None
            case Refused():
                return await self._refused(outcome)
            case NotSent():
                return await self._again(f"not sent: {outcome.message}", outcome.retry_after)
            case Unknown():
                return await self._unknown(outcome)

    async def _refused(self, refused: Refused) -> GoalResult | None:
        if refused.effect is Effect.PARTIAL:
            await self.runner.journal_writer.uncertain(self.goal)
        if refused.transient:
            return await self._again(refused.message, None)
        if (refused.kind is RefusalKind.EXISTS and self.goal.creates) or (
            refused.kind in {RefusalKind.ABSENT, RefusalKind.STATE}
            and (self.goal.deletes or self.goal.call_class is CallClass.STATE_CONDITIONED)
            and self.tries < TRIES
        ):
            seen = await self.goal.look(self.runner.reader)
            if seen.sight in {GoalStatus.UNMET, GoalStatus.BROKEN}:
                return await self._again(refused.message, None)
            return await self._step(seen)
        code = ExitCode.AUTHORISATION if refused.authority else ExitCode.ERROR
        why = f" ({seen.text})" if self.goal.deletes and (seen := await self.goal.look(self.runner.reader)).text else ""
        return GoalResult(Verdict.FAILED, f"{REFUSED}{refused.message}{why}", code)

    async def _again(self, text: str, rest: float | None) -> GoalResult | None:
        if self.tries >= self.most_tries:
            return GoalResult(Verdict.FAILED, f"{text} (tried {self.tries} times)")
        self.runner.emit("waiting", self.goal.address, self.goal.action_text, {"status": text})
        await self.runner.stop.unless(asyncio.sleep(rest or FLOOR))
        self.runner.watch.hurry(self.target)
        return None

    async def _unknown(self, unknown: Unknown) -> GoalResult | None:
        """Handle an unknown outcome: repeat the call, or prove the outcome of a blind one first."""
        self.doubtful = True
        await self.runner.journal_writer.uncertain(self.goal)
        text = f"no certain answer: {unknown.message}"
        if self.goal.call_class is not CallClass.BLIND:
            return GoalResult(Verdict.FAILED, text) if self.tries >= self.most_tries else None
        if self.barrier is None:
            return GoalResult(Verdict.UNPROVEN, text)
        self.runner.emit("barrier", self.goal.address, f"{text}; checking whether the call was carried out")
        proved = await self.barrier(self.goal)
        if proved in UNPROVEN:
            return GoalResult(Verdict.UNPROVEN, text, ExitCode.PARTIAL, remedy=UNPROVEN[proved])
        return GoalResult(Verdict.FAILED, text) if proved is Proof.NEVER and self.tries >= TRIES else None
