"""An offline window: the span in which one VM is powered off, for the goals of several resources. One power cycle.

    the hook, if any -> power off -> each goal -> look at all of them again -> start

The VM is started again in any case, if it is to run; where the node refuses, the report says so. `NodeGate` keeps
windows and creations of a node apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.api.idempotency import CallClass
from dbc_iac.apply.goal_result import UNPROVEN, GoalResult, Proof, Verdict, failed_with
from dbc_iac.apply.goal_runner import GoalRunner
from dbc_iac.apply.hook import Hook, keeps_on
from dbc_iac.apply.report import ApplyStatus
from dbc_iac.apply.waiting import FLOOR
from dbc_iac.diagnostics import ExitCode
from dbc_iac.kinds.framework.capabilities import host as host_kind
from dbc_iac.kinds.framework.goal import Goal, GoalStatus
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.schedule.step_builder import StepBuilder, goal_input

SETTLE_SECONDS = 60.0
"""Seconds to look for the effect of a call of unknown outcome before it is proved."""
START_TRIES = 5
"""Number of tries in a row to start a VM, `FLOOR` seconds apart: resources may become free."""


class NodeGate(Struct, eq=False):
    """Readers-writer lock of one node: creations, or one offline window. Announced windows go before creations.

    A node works off one queue for all its VMs, and a creation can hold it for an hour: a VM that is powered off behind
    one would stay off as long.
    """

    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _creating: int = 0
    _open: bool = False
    announced: int = 0
    """Number of windows that wait for no creation: creations wait for them."""

    async def withdraw(self) -> None:
        """Withdraw an announced window: it has ended, or was skipped."""
        async with self._changed:
            self.announced -= 1
            self._changed.notify_all()

    @asynccontextmanager
    async def creation(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open and not self.announced)
            self._creating += 1
        try:
            yield
        finally:
            async with self._changed:
                self._creating -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def window(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open and not self._creating)
            self._open = True
        try:
            yield
        finally:
            async with self._changed:
                self._open = False
                self._changed.notify_all()


class VmStarter(Struct, frozen=True):
    """A VM that this apply powered off, to be started: repeated until it runs or the apply ends, then explained.

    `kind`: of its resource; `on`: the goal.
    """

    kind: str
    task: GoalInput
    on: Goal

    async def start(self, runner: GoalRunner, *, tries: int = START_TRIES) -> GoalResult:
        """Start the VM. A refusal may be transient, or recovered from: others may hold its resources for a while."""
        result = GoalResult(Verdict.FAILED)
        mended = False
        for number in range(tries):
            if number:
                await runner.stop.unless(asyncio.sleep(FLOOR))
                if runner.stop.is_set():
                    return result
            result = await runner.achieve(self.on)
            if result.verdict is not Verdict.FAILED or result.unreadable:
                return result  # nothing was refused: the whole time for a target that cannot be read is over
            goals = (
                [] if mended else list(await host_kind(self.kind).recovery_goals(self.task, result.text, runner.reader))
            )
            for goal in goals:
                if (await runner.achieve(goal)).verdict is not Verdict.MET:
                    return result  # half recovered, it would run with other fields
            if goals:
                mended = True
                result = await runner.achieve(self.on)
                if result.verdict is not Verdict.FAILED:
                    return result
        return result

    async def start_or_explain(self, runner: GoalRunner) -> GoalResult:
        """Start the VM; where it is refused in the end, name the holder of the resources that it lacks."""
        result = await self.start(runner)
        return result if result.verdict is not Verdict.FAILED else await self.lacking(runner, result)

    async def lacking(self, runner: GoalRunner, result: GoalResult) -> GoalResult:
        """The result with the holder of the resources that the VM lacks."""
        runner.watch.hurry(self.on.route.target)
        holder = await host_kind(self.kind).explain_shortage(self.task, result.text, runner.reader)
        return replace(result, text=f"{result.text}; {holder}") if holder else result


class OfflineWindow:
    """One window of one VM."""

    def __init__(
        self,
        step: StepBuilder,
        host: Change,
        changes: Mapping[str, Change],
        runner: GoalRunner,
        hook: Hook | None,
        status: ApplyStatus,
    ) -> None:
        self.step = step
        self.host = host
        self.changes = changes
        self.runner = runner
        self.hook = hook
        self.status = status
        task = goal_input(host)
        if host.action is Action.NO_OP:
            task = replace(task, id=host.identity.id)
        comes_back = step.power == "on"
        kind = host_kind(host.kind)
        self.off, self.on = kind.power(task, to="off", temporary=comes_back), kind.power(task, to="on")
        if not comes_back:
            self.off, self.on = replace(self.off, fields={}), replace(self.on, fields={})
        self.starter = VmStarter(host.kind, task, self.on)
        self.queued: list[tuple[Goal, int]] = []

    async def run(self) -> bool:
        """Run the window. Returns whether every goal is met and the VM has its power state."""
        was_off = (await self.off.look(self.runner.reader)).sight is GoalStatus.MET
        if self.hook is not None and not was_off and not self.runner.halted() and not await self._prepared(self.hook):
            return False
        with self.runner.watch.closely(self.off.route.target):
            goals = len(self.step.goals)
            self.runner.emit("window-opened", self.step.address, f"{goals} change{'s' if goals != 1 else ''}")
            result = await self.runner.achieve(self.off)
            ok = result.verdict is Verdict.MET
            if ok:
                try:
                    ok = await self._goals(was_off=was_off)
                except Exception as error:  # the VM is started again in any case
                    ok = self.status.fail_rest(self.step.goals, failed_with(error))
            else:
                for goal in self.step.goals:
                    self.status.fail(goal, result)
            if self.step.power == "on":
                runs = await self._start()
                ok = runs and ok
                if runs and self.queued:
                    await self._prove_queued()
                if result.doubtful:
                    ok = await self._stays_on() and ok
            self.runner.emit("window-closed", self.step.address, "")
            return ok

    async def _prepared(self, hook: Hook) -> bool:
        """Run the hook. Returns whether the VM may be powered off."""
        note = partial(self.runner.emit, "note", self.step.address)
        why = await keeps_on(hook, note, self.runner.stop)
        for goal in self.step.goals if why else ():
            self.status.fail(goal, GoalResult(Verdict.FAILED, why))
        return not why

    async def _goals(self, *, was_off: bool) -> bool:
        """Achieve the goals. `was_off`: before the window, so that earlier blind calls may still have no proof."""
        blind = [g for g in self.step.goals if g.call_class is CallClass.BLIND]
        unsettled = [g for g in blind if was_off and self.changes[g.address].unsettled]
        proof = await self._proof() if unsettled else Proof.NEVER
        met: list[Goal] = []
        closed = ""
        for goal in self.step.goals:
            if closed:
                self.status.fail(goal, GoalResult(Verdict.NOT_STARTED, closed))
                continue
            if goal.deletes and goal.address in self.status.bad:
                continue  # its replacement was not created
            if (
                goal in unsettled
                and proof in UNPROVEN
                and (await goal.look(self.runner.reader)).sight is not GoalStatus.MET
            ):
                text = "no certain answer to an earlier call"
                result = GoalResult(Verdict.UNPROVEN, text, ExitCode.PARTIAL, remedy=UNPROVEN[proof])
            else:
                result = await self.runner.achieve(goal, self._barrier)
            if result.verdict is Verdict.MET:
                met.append(goal)
            else:
                self.status.fail(goal, result)
                closed = self._closed_by(goal, result)
        if observed := [goal for goal in met if not (goal.acknowledged or goal.creates)]:
            await self._verify(observed)
        return len(met) == len(self.step.goals)

    def _closed_by(self, goal: Goal, result: GoalResult) -> str:
        """Reason to close the window: the queue of the node does not run, or calls are not authorised."""
        if result.queued is not None:
            self.queued.append(result.queued)
        turned_away = result.exit_code is ExitCode.AUTHORISATION
        if not result.lost and not turned_away and result.verdict is not Verdict.WAITING:
            return ""
        return f"the power-off window was closed after {goal.address}: {result.text}"

    async def _prove_queued(self) -> None:
        """Look at accepted changes after the start: they came before it in the queue of the node, so each has been
        carried out or never will be."""
        self.runner.watch.hurry(self.on.route.target)
        for goal, number in self.queued:
            seen = await goal.look(self.runner.reader)
            if seen.sight is GoalStatus.MET:
                await self.runner.journal_writer.met(goal, seen)
                self.status.waiting.pop(goal.address, None)
                self.runner.emit("goal-met", goal.address, goal.done_text)
            elif seen.sight in {GoalStatus.UNMET, GoalStatus.FAILED}:
                text = seen.text if seen.lost else "accepted, but not carried out before the VM was started"
                await self.runner.journal_writer.lost(number, text)
                self.status.waiting.pop(goal.address, None)
                self.status.fail(goal, GoalResult(Verdict.FAILED, text, detail=seen.detail, remedy=seen.remedy))

    async def _verify(self, met: list[Goal]) -> None:
        """Look again before the window closes: a late call of an earlier apply may have changed something."""
        self.runner.watch.hurry(self.off.route.target)
        for goal in met:
            seen = await goal.look(self.runner.reader)
            if seen.sight is GoalStatus.UNMET:
                self.status.fail(goal, GoalResult(Verdict.FAILED, "undone before the window closed"))

    async def _start(self) -> bool:
        result = await self.starter.start(self.runner)
        if result.verdict is not Verdict.MET:
            self.status.unstarted[self.step.address] = (self.starter, result)
        return result.verdict is Verdict.MET

    async def _stays_on(self) -> bool:
        """Watch the VM after its start, and start it again if a late shutdown powers it off."""
        until = self.runner.now() + SETTLE_SECONDS
        while self.runner.now() < until and not self.runner.stop.is_set():
            await self.runner.stop.unless(self.runner.watch.tick(self.on.route.target))
            sight = (await self.on.look(self.runner.reader)).sight
            if sight is GoalStatus.WAITING:  # shutting down
                until = max(until, self.runner.now() + SETTLE_SECONDS)
            elif sight is GoalStatus.UNMET and not await self._start():
                return False
        return True

    async def _barrier(self, goal: Goal) -> Proof:
        """Prove the outcome of a blind call: accepted while the VM was off, it runs before the next shutdown."""
        until = self.runner.now() + SETTLE_SECONDS
        while self.runner.now() < until and not self.runner.stop.is_set():
            await self.runner.stop.unless(self.runner.watch.tick(goal.route.target))
            if (await goal.look(self.runner.reader)).sight is GoalStatus.MET:
                return Proof.HAPPENED
        proof = await self._proof()
        seen = await goal.look(self.runner.reader)
        return Proof.HAPPENED if seen.sight is GoalStatus.MET else proof

    async def _proof(self) -> Proof:
        """Start the VM and power it off: earlier jobs have run then, and late calls are refused while it runs.

        Only a VM that has really run, and was really shut down after, proves anything.
        """
        if self.step.power != "on" and not self.runner.choices.settle:
            return Proof.NOT_ALLOWED
        if self.runner.stop.is_set():
            return Proof.NOT_POSSIBLE
        self.runner.emit("barrier", self.step.address, "booting once to prove the outcome of an earlier call")
        for goal in (self.on, self.off):
            if (await self.runner.achieve(goal)).verdict is not Verdict.MET:
                return Proof.NOT_POSSIBLE
        return Proof.NEVER
