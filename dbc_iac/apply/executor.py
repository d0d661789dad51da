"""Executor: runs the steps of a plan in order, independent branches concurrently, and reports the results.

A failed step stops only the steps that depend on it. No code here is specific to one kind.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from operator import attrgetter

from msgspec.structs import replace

from dbc_iac.apply.goal_result import GoalResult, Verdict, failed_with
from dbc_iac.apply.goal_runner import GoalRunner, Run
from dbc_iac.apply.hook import keeps_on
from dbc_iac.apply.offline_window import START_TRIES, NodeGate, OfflineWindow, VmStarter
from dbc_iac.apply.report import ApplyStatus, Report, not_started
from dbc_iac.diagnostics import ExitCode
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, host
from dbc_iac.kinds.framework.goal import Goal, GoalStatus
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.plan.model import Action, Change, Plan, StepKind
from dbc_iac.plan.schedule.step_builder import StepBuilder, goal_input, preceding, removal_key
from dbc_iac.plan.schedule.steps import final_power


class Executor:
    """The apply of one plan, with its steps as they were compiled."""

    def __init__(self, plan: Plan, steps: Mapping[str, StepBuilder], with_: Run) -> None:
        self.plan = plan
        self.run_ = with_
        self.changes: dict[str, Change] = {c.address: c for c in plan.changes}
        self.steps = steps
        self.runner = GoalRunner(with_, self.changes)
        gates: defaultdict[str, NodeGate] = defaultdict(NodeGate)
        self.gates = {k: gates[self.changes[s.address].target] for k, s in self.steps.items()}
        self.status = ApplyStatus()
        self.finished: dict[str, asyncio.Event] = {k: asyncio.Event() for k in self.steps}
        self.broken: dict[str, str] = {}
        self._starting = asyncio.Lock()
        self.announced: set[str] = set()
        """Offline windows that wait for no creation: creations wait for them."""
        if any(g.creates for s in self.steps.values() for g in s.goals):
            windows = ((k, preceding(s, self.steps)) for k, s in self.steps.items() if s.kind is StepKind.WINDOW)
            self.announced = {k for k, before in windows if not any(g.creates for step in before for g in step.goals)}

    async def run(self) -> Report:
        """Run all steps. Failures of the API are in the report; they are not raised."""
        for key in self.announced:
            self.gates[key].announced += 1
        async with asyncio.TaskGroup() as group:
            for step in self.steps.values():
                group.create_task(self._step(step))
        if self.status.unstarted:
            await self._start_remaining()
        return self._report()

    async def _retry_starts(self, *, tries: int = 1) -> None:
        """Retry failed starts of VMs: the resources that they lacked may be free now."""
        async with self._starting:
            for address, (starter, _) in list(self.status.unstarted.items()):
                result = await starter.start(self.runner, tries=tries)
                self.status.unstarted[address] = (starter, result)
                if result.verdict is Verdict.MET:
                    del self.status.unstarted[address]
                    self.runner.emit("note", address, "runs again")

    async def _start_remaining(self) -> None:
        """Retry failed starts for the last time, and report the VMs that stay off."""
        if {d.address for d in self.steps.values()} - self.status.unstarted.keys():
            await self._retry_starts(tries=START_TRIES)
        for address, (starter, result) in list(self.status.unstarted.items()):
            explained = await starter.lacking(self.runner, result)
            del self.status.unstarted[address]
            self.status.powered_off[address] = not_started(explained)
            self.status.fail(starter.on, replace(explained, text=not_started(explained)))

    async def _step(self, step: StepBuilder) -> None:
        """Wait for the preceding steps, run this one, and release the steps that wait for it."""
        try:
            for key in sorted(step.first):
                await self.finished[key].wait()
            cause = next((k for k in sorted(step.after) if k in self.broken), None)
            if cause is not None:
                self._skip(step, f"depends on {self.steps[cause].address}, which {self.broken[cause]}")
            elif why := self.runner.halted():
                self._skip(step, why)
            else:
                await self._run_step(step)
                if set(self.status.unstarted) - {step.address}:
                    await self._retry_starts()
        finally:
            if step.key in self.announced:
                await self.gates[step.key].withdraw()
            self.finished[step.key].set()

    def _skip(self, step: StepBuilder, why: str) -> None:
        """Skip a step. An address is reported once, not for each of its steps."""
        self.broken[step.key] = "was not started"
        addresses = {step.address} if step.kind is StepKind.CHANGE else {g.address for g in step.goals}
        for address in sorted(addresses - self.status.bad):
            self.status.not_started[address] = why
            self.runner.emit("step-skipped", address, why)

    async def _run_step(self, step: StepBuilder) -> None:
        if step.goals:
            self.runner.emit("step-started", step.address, step.kind.value)
        try:
            if step.kind is StepKind.WINDOW:
                ok = await self._window(step)
            else:
                async with AsyncExitStack() as gate:
                    if any(g.creates and isinstance(kind_of(self.changes[g.address].kind), Host) for g in step.goals):
                        await gate.enter_async_context(self.gates[step.key].creation())
                    ok = await self._goals(step, gate)
        except Exception as error:  # ends this branch and no other
            ok = self.status.fail_rest(step.goals, failed_with(error))
        if not ok:
            self.broken[step.key] = self.status.word(step.address)
            for address in sorted({step.address, *(g.address for g in step.goals)} & self.status.bad):
                self.runner.emit(self.status.event(address), address, self.status.why(address))
        elif step.goals:
            self.runner.emit("step-done", step.address, step.kind.value)

    async def _goals(self, step: StepBuilder, gate: AsyncExitStack) -> bool:
        """Achieve the goals of one resource in order; after a failed replacement, start the old VM again."""
        change = self.changes[step.address]
        old_vm_is_off, done = False, ""
        for goal in step.goals:
            if not old_vm_is_off and (why := await self._hook_veto(goal)):
                self.status.fail(goal, GoalResult(Verdict.FAILED, why))
                return False
            if goal.power_cycles and (await goal.look(self.runner.reader)).sight is not GoalStatus.MET:
                await gate.aclose()
                await gate.enter_async_context(self.gates[step.key].window())
            if goal.powers == "on":
                result = await VmStarter(change.kind, goal_input(change), goal).start_or_explain(self.runner)
            else:
                result = await self.runner.achieve(goal)
            old_vm_is_off |= goal.powers == "off" and goal.id == change.identity.old_id != change.identity.id
            if result.verdict is not Verdict.MET:
                self.status.fail(goal, _as_in_progress(goal, result, done))
                if old_vm_is_off and (goal.creates or goal.powers == "off"):
                    await self._restore_old_vm(change, goal, result)
                elif old_vm_is_off:
                    self.status.powered_off[change.address] = (
                        "the old VM; the new one runs, and the next apply continues"
                    )
                elif result.broken and change.action is Action.CREATE:
                    await self.run_.journal_writer.bind_broken(change, goal)
                return False
            done = goal.done_text
            self.status.diagnostics.extend(result.diagnostics)
            if result.text and goal.creates:
                self.runner.emit("note", goal.address, result.text)
        if step.key == removal_key(step.address) or change.action in {Action.DELETE, Action.FORGET}:
            await self.run_.journal_writer.unbind(change)
        else:
            await self.run_.journal_writer.settle(change)
        return True

    async def _hook_veto(self, goal: Goal) -> str:
        """Reason of the hook not to power off a VM now; empty if the goal may proceed."""
        hook, change = self.run_.hooks.get(goal.address), self.changes[goal.address]
        kind = kind_of(change.kind)
        if (
            hook is None
            or self.runner.halted()
            or not (goal.powers == "off" or (goal.deletes and isinstance(kind, Host)))
        ):
            return ""
        off = goal if goal.powers else host(change.kind).power(_as_old(change), to="off")
        if (await off.look(self.runner.reader)).sight is GoalStatus.MET or (
            await goal.look(self.runner.reader)
        ).sight is GoalStatus.MET:
            return ""
        return await keeps_on(hook, lambda text: self.runner.emit("note", goal.address, text), self.run_.stop)

    async def _restore_old_vm(self, change: Change, goal: Goal, result: GoalResult) -> None:
        """Delete a new VM whose creation failed, and start the old one again."""
        kind, task = kind_of(change.kind), goal_input(change)
        if goal.creates and result.verdict is Verdict.WAITING:
            self.status.powered_off[change.address] = "its replacement is still being created"
            return
        if result.broken:
            for removal in kind.delete(replace(task, old_id=change.identity.id, old_route=task.route)):
                if (await self.runner.achieve(removal)).verdict is not Verdict.MET:
                    await self.run_.journal_writer.leave_broken(change, goal)
        if final_power(change) == "off":
            return
        old = _as_old(change)
        again = await VmStarter(change.kind, old, host(change.kind).power(old, to="on")).start(self.runner)
        if again.verdict is not Verdict.MET:
            self.status.powered_off[change.address] = f"the old VM could not be started again: {again.text}"
        elif why := self.status.failed.get(change.address):
            self.status.failed[change.address] = f"{why}; the old VM was started again"
            self.runner.emit("note", change.address, "the old VM was started again")

    async def _window(self, step: StepBuilder) -> bool:
        change = self.changes[step.address]
        hook = self.run_.hooks.get(step.address)
        window = OfflineWindow(step, change, self.changes, self.runner, hook, self.status)
        async with self.gates[step.key].window():
            ok = await window.run()
        for address in {g.address for g in step.goals} - self.status.bad:
            touched = self.changes[address]
            if touched.action is Action.DELETE:
                await self.run_.journal_writer.unbind(touched)
            else:
                await self.run_.journal_writer.settle(touched)
        return ok

    def _report(self) -> Report:
        status = self.status
        unauthorised = (d for d in self.plan.diagnostics if d.exit_code is ExitCode.AUTHORISATION)
        status.diagnostics.extend(unauthorised)  # the exit code follows from them
        if (unwritten := self.run_.journal_writer.unwritten) is not None:
            status.diagnostics.extend(unwritten.diagnostics)
        return Report(
            done={
                c.address: c.action
                for c in sorted(self.plan.pending, key=attrgetter("address"))
                if c.address not in status.bad
            },
            moved=self.plan.moves,
            destroy=self.plan.destroy,
            failed=dict(sorted(status.failed.items())),
            not_started=dict(sorted(status.not_started.items())),
            waiting=dict(sorted(status.waiting.items())),
            powered_off=dict(sorted(status.powered_off.items())),
            diagnostics=tuple(status.diagnostics),
            unknown=tuple(c.address for c in self.plan.changes if c.action is Action.UNKNOWN),
            interrupted=self.run_.stop.is_set(),
            seconds=self.runner.now(),
            calls=self.runner.reader.calls,
        )


def _as_in_progress(goal: Goal, result: GoalResult, done: str) -> GoalResult:
    """The result of a goal. One that was not started, while others of its resource were met, is in progress."""
    if result.verdict is not Verdict.NOT_STARTED or not done:
        return result
    return replace(result, verdict=Verdict.WAITING, text=f"{done}; next: {goal.action_text} ({result.text})")


def _as_old(change: Change) -> GoalInput:
    task = goal_input(change)
    return replace(task, id=change.identity.old_id, route=task.old_route or task.route)
