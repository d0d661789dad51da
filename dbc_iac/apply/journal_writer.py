"""Journal records of an apply: intents before calls, results after them, and bindings.

Records are written as things happen; the state is written once, at the end, from the same records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.api.outcome import Done, Effect, NotSent, Outcome, Refused
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import power_of
from dbc_iac.kinds.framework.goal import Goal, GoalState
from dbc_iac.plan.model import Action, Change, Plan
from dbc_iac.plan.observe.pending_operations import is_late
from dbc_iac.state.document import VM, Binding, PendingOperation
from dbc_iac.state.journal import Journal, Record

_Waiting = tuple[Record, "asyncio.Future[None]"]


def rebound(plan: Plan, bindings: Mapping[str, Binding]) -> Iterator[Binding]:
    """Bindings that differ from objects which match the manifests: in values, route or dependencies."""
    for change in plan.changes:
        bound = bindings.get(change.address)
        if bound is not None and change.action is Action.NO_OP:
            after = _settled(bound, change).model_copy(update={"protected": bound.protected})
            if after != bound:
                yield after


def _settled(bound: Binding, change: Change) -> Binding:
    """The binding with everything that matches the manifest now."""
    if not change.desired:
        return bound.model_copy(update={"route": dict(change.placement.route)})
    return bound.model_copy(
        update={
            "route": dict(change.placement.route),
            "dependencies": tuple(change.dependencies),
            "protected": change.protected,
            "applied": {**bound.applied, **change.settled},
            "powered_off_by_apply": bound.powered_off_by_apply and not power_of(kind_of(bound.kind), change.settled),
        }
    )


class JournalWriter:
    """Turns results of goals into records, and keeps the present bindings in memory.

    After a record that could not be written, later ones are kept in memory only: for the next apply the process ended
    there. `unwritten` has the reason; then only VMs that this apply powered off may still be started.
    """

    def __init__(
        self, journal: Journal, changes: Mapping[str, Change], bindings: Mapping[str, Binding], number: int
    ) -> None:
        self.unwritten: DiagnosticError | None = None
        self._journal = journal
        self._changes = changes
        self.bindings = dict(bindings)
        self._number = number
        self._going_down: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Wait for the record that is being written. The lock is released only after it."""
        self._thread.shutdown(cancel_futures=True)

    async def takes_over(self, plan: Plan, pending: Iterable[PendingOperation]) -> None:
        """Record the findings of a plan on an interrupted apply: objects it left, and operations that it closes."""
        for change in plan.pending:
            going = change.action in {Action.DELETE, Action.REPLACE}
            if going and change.identity.old_id and change.address not in self.bindings:
                place = replace(change.placement, route=change.old_placement.route or change.placement.route)
                old = replace(change, placement=place)
                generation = (
                    change.identity.generation
                    if change.action is Action.DELETE
                    else max(change.identity.generation - 1, 0)
                )
                await self._bind(old, change.identity.old_id, generation, change.applied, change.resolved)
        for operation in (o for o in pending if o.number in plan.closed_operations):
            if is_late(operation):
                await self._write({"type": "result", "number": operation.number, "outcome": "late", "message": ""})
            else:
                await self.lost(operation.number, "it can have no effect any more")
        for binding in rebound(plan, self.bindings):
            await self._put(binding)

    def down(self) -> tuple[str, ...]:
        """Addresses of VMs that this apply powered off and has not started again."""
        off = {a for a, b in self.bindings.items() if b.powered_off_by_apply and not Address(a).deposed}
        return tuple(sorted(off | self._going_down))

    async def intent(self, goal: Goal, detail: Mapping[str, Json]) -> int:
        """Record that a call is about to be made. It is on disk when this returns, unless `unwritten` is set."""
        self._number = number = self._number + 1
        change = self._changes[goal.address]
        kept: dict[str, Json] = {**detail, "route": dict(change.placement.route), "kind": change.kind, VM: goal.vm}
        if goal.creates:
            kept |= {"marker": change.identity.marker, "fields": dict(goal.fields)}
        else:
            kept["sent"] = [*sorted(goal.fields)]
        if goal.temporary:
            kept["poweredOffByApply"] = True
            self._going_down.add(goal.address)
        identity = goal.id or change.identity.id
        intent = PendingOperation(
            number=number,
            address=goal.address,
            goal=goal.name,
            id=identity,
            generation=goal.generation or change.identity.generation,
            call_class=goal.call_class.value,
            detail=kept,
            creates=goal.creates,
        )
        await self._write({"type": "intent", "operation": intent.model_dump(mode="json", by_alias=True)})
        return number

    async def result(self, number: int, outcome: Outcome[Any]) -> None:
        match outcome:
            case Done():
                word = "done"
            case Refused(effect=effect):
                word = "refused" if effect is Effect.NONE else "partial"
            case NotSent():
                word = "not-sent"
            case _:
                word = "unknown"
        message = getattr(outcome, "message", "")
        await self._write({"type": "result", "number": number, "outcome": word, "message": message})

    async def met(self, goal: Goal, seen: GoalState) -> None:
        """Record that a goal is met: its object is bound or unbound, or its fields are applied."""
        if goal.powers:
            self._going_down.discard(goal.address)
        change = self._changes[goal.address]
        if goal.creates:
            # The object of an interrupted apply has the fields that were sent then; the next plan has the differences.
            fields = change.applied if change.action is Action.ADOPT and change.applied else goal.fields
            await self._bind(
                change, seen.id or goal.id, goal.generation or change.identity.generation, fields, seen.resolved
            )
        elif goal.deletes:
            await self._write({"type": "gone", "address": goal.address, "id": goal.id})
            await self._forget(goal.address, goal.id, change)
        else:
            if seen.resolved:
                await self._resolved(goal.address, seen.resolved)
            if goal.fields:
                await self._applied(goal.address, goal.fields, (), goal.temporary if goal.powers else None)
        await self._write({"type": "met", "address": goal.address, "goal": goal.name})

    async def lost(self, number: int, why: str) -> None:
        """Record that a call has no effect: its job failed on the node, or it can no longer be carried out."""
        await self._write({"type": "result", "number": number, "outcome": "refused", "message": why})

    async def uncertain(self, goal: Goal) -> None:
        """Record that the outcome of a call is unknown or partial: the next apply sends its fields again."""
        if goal.fields and not goal.creates and goal.address in self.bindings:
            await self._applied(goal.address, {}, tuple(goal.fields))

    async def bind_broken(self, change: Change, goal: Goal) -> None:
        """Bind the object that a failed creation left: the next plan deletes it."""
        await self._bind(change, goal.id, goal.generation, goal.fields, {})

    async def leave_broken(self, change: Change, goal: Goal) -> None:
        """Bind a failed creation that could not be deleted under the address of a deposed object."""
        place = Address(change.address).depose(goal.generation)
        made = _made(change, goal.id, goal.generation, goal.fields, {})
        await self._put(made.model_copy(update={"address": place, "protected": False}))
        await self._write({"type": "gone", "address": goal.address, "id": goal.id})

    async def unbind(self, change: Change) -> None:
        """Unbind the deleted object of a change. Its replacement stays bound."""
        await self._forget(change.address, change.identity.old_id, change)

    async def _forget(self, address: str, identity: str, change: Change) -> None:
        """Unbind an object. Its replacement stays bound, also if it has the same name on another machine."""
        came = change.identity.generation if change.action is Action.REPLACE else None
        places = [a for a, b in self.bindings.items() if address in {a, Address(a).resource} and b.generation != came]
        for bound in [self.bindings[a] for a in places if self.bindings[a].id == identity]:
            self.bindings.pop(bound.address, None)
            await self._write({"type": "unbind", "address": bound.address})

    async def settle(self, change: Change) -> None:
        """Record that a change is complete, with protection, route and dependencies of the manifest."""
        bound = self.bindings.get(change.address)
        if bound is not None and change.desired and (after := _settled(bound, change)) != bound:
            await self._put(after)

    async def _bind(
        self,
        change: Change,
        identity: str,
        generation: int,
        fields: Mapping[str, Json],
        resolved: Mapping[str, Json],
    ) -> None:
        before = self.bindings.get(change.address)
        left = None
        replaced = change.action is Action.REPLACE
        other = before is not None and (before.id, before.route.get("target")) != (
            identity,
            change.placement.route.get("target"),
        )
        stays = replaced or bool(change.observed)  # a failed creation that the node cannot delete
        if before is not None and stays and other and before.id == change.identity.old_id:
            place = Address(change.address).depose(before.generation)
            left = before.model_copy(update={"address": place, "protected": False})
            self.bindings[place] = left
        await self._put(_made(change, identity, generation, fields, resolved), left)

    async def _put(self, binding: Binding, left: Binding | None = None) -> None:
        self.bindings[binding.address] = binding
        record: Record = {"type": "bind", "binding": binding.model_dump(mode="json", by_alias=True)}
        if left is not None:  # its former object, under a deposed address, in the same record: neither is lost
            record["deposed"] = left.model_dump(mode="json", by_alias=True)
        await self._write(record)

    async def _resolved(self, address: str, resolved: Mapping[str, Json]) -> None:
        """Record resolved values of a bound object."""
        bound = self.bindings.get(address)
        if bound is not None and {**bound.resolved, **resolved} != bound.resolved:
            await self._put(bound.model_copy(update={"resolved": {**bound.resolved, **resolved}}))

    async def _applied(
        self, address: str, fields: Mapping[str, Json], uncertain: tuple[str, ...], down: bool | None = None
    ) -> None:
        """Record fields. `down`: whether the VM is off only until this apply starts it again; None: as before."""
        bound = self.bindings.get(address)
        if bound is None:
            return
        still = tuple(p for p in dict.fromkeys((*bound.uncertain, *uncertain)) if p not in fields)
        update: dict[str, Any] = {"applied": {**bound.applied, **fields}, "uncertain": still}
        record: Record = {"type": "applied", "address": address, "fields": dict(fields), "uncertain": [*still]}
        if down is not None:
            update["powered_off_by_apply"] = record["poweredOffByApply"] = down
        self.bindings[address] = bound.model_copy(update=update)
        await self._write(record)

    async def _write(self, record: Record) -> None:
        """Write a record, in the order of the calls, while the event loop goes on."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((record, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        try:
            await written
        except DiagnosticError as error:
            self.unwritten = self.unwritten or error

    async def _write_waiting(self) -> None:
        """Write records in the thread of the journal until none waits. Those of branches that are ready at the same
        moment are one group."""
        while self._waiting:
            group, self._waiting = self._waiting, []
            records, problem = [record for record, _ in group], None
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._journal.append, records)
            except BaseException as error:  # a record must not wait forever
                problem = error
            for written in (w for _, w in group if not w.done()):
                if problem is None:
                    written.set_result(None)
                else:
                    written.set_exception(problem)


def _made(
    change: Change, identity: str, generation: int, fields: Mapping[str, Json], resolved: Mapping[str, Json]
) -> Binding:
    """The binding of the object that a change has created."""
    return Binding(
        address=change.address,
        kind=change.kind,
        id=identity,
        generation=generation,
        route=dict(change.placement.route),
        applied=dict(fields),
        uncertain=(),
        dependencies=change.dependencies,
        protected=change.protected,
        parent=change.placement.parent,
        resolved=dict(resolved),
    )
