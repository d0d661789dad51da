"""What an apply writes down: intents before calls, results after them, and what came to be bound to what.

Everything goes to the journal as it happens; the state document is written once, at the end, from the same records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, Protocol

from dbc_iac.api.outcome import Done, Effect, NotSent, Outcome, Refused
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.json import Json
from dbc_iac.kinds.framework.goal import POWERED_OFF_BY_APPLY, Goal, GoalState
from dbc_iac.plan.model import Action, Change, Plan
from dbc_iac.state.document import DEPOSED_SEPARATOR, Binding, PendingOperation

P = ParamSpec("P")


class JournalSink(Protocol):
    """Where records go: the journal of a store. Intents are on disk when `intent` returns."""

    def intent(self, intent: PendingOperation) -> None: ...
    def result(self, number: int, outcome: str, message: str) -> None: ...
    def bind(self, binding: Binding, left_behind: Binding | None = None) -> None: ...
    def gone(self, address: str, identity: str) -> None: ...
    def unbind(self, address: str) -> None: ...
    def met(self, address: str, goal: str) -> None: ...
    def applied(self, address: str, fields: Mapping[str, Json], uncertain: tuple[str, ...]) -> None: ...


def rebound(plan: Plan, bindings: Mapping[str, Binding]) -> Iterator[Binding]:
    """The bindings that differ from what is there as it is wanted: other values, another route, other dependencies."""
    for change in plan.changes:
        bound = bindings.get(change.address)
        if bound is not None and change.action is Action.NO_OP:
            after = _settled(bound, change).model_copy(update={"protected": bound.protected})
            if after != bound:
                yield after


def _settled(bound: Binding, change: Change) -> Binding:
    """A binding with all that holds as the document has it now."""
    if not change.desired:
        return bound.model_copy(update={"where": dict(change.route)})
    return bound.model_copy(
        update={
            "where": dict(change.route),
            "dependencies": tuple(change.dependencies),
            "protected": change.protected,
            "applied": {**bound.applied, **change.settled},
        }
    )


class JournalWriter:
    """Turns what the engine does into records. Keeps the bindings as they are now, without reading the disk.

    Where a record could not be written, the ledger only remembers those after it: the next run finds the journal as if
    the process had ended there. `unwritten` tells why, and then nothing may be sent any more but what starts a VM that
    we powered off.
    """

    def __init__(
        self, ledger: JournalSink, changes: Mapping[str, Change], bindings: Mapping[str, Binding], number: int
    ) -> None:
        self.unwritten: DiagnosticError | None = None
        self._ledger = ledger
        self._changes = changes
        self._bindings = dict(bindings)
        self._number = number
        self._going_down: set[str] = set()

    def known(self, address: str) -> dict[str, Json]:
        """What an address is bound to now: `id`, and what was resolved. Empty where it is not bound."""
        bound = self._bindings.get(address)
        return {} if bound is None else {"id": bound.id, **bound.resolved}

    @property
    def taken(self) -> frozenset[str]:
        """All ids that are bound now."""
        return frozenset(b.id for b in self._bindings.values())

    def takes_over(self, plan: Plan) -> None:
        """Write down what the plan has found out of calls that an ended run made: what they left is bound, to be taken
        away or made anew, and what can come no more is settled."""
        for change in plan.pending:
            going = change.action in {Action.DELETE, Action.REPLACE}
            if going and change.old_id and change.address not in self._bindings:
                old = replace(change, route=change.old_route or change.route)
                generation = change.generation if change.action is Action.DELETE else max(change.generation - 1, 0)
                self._bind(old, change.old_id, generation, change.applied, change.resolved)
        for number in plan.settled:
            self._write(self._ledger.result, number, "refused", "it can come no more")
        for binding in rebound(plan, self._bindings):
            self._put(binding)

    def down(self) -> tuple[str, ...]:
        """The addresses of machines that were powered off only to be changed, and are not started again yet."""
        off = {
            a
            for a, b in self._bindings.items()
            if b.applied.get("power") == POWERED_OFF_BY_APPLY and DEPOSED_SEPARATOR not in a
        }
        return tuple(sorted(off | self._going_down))

    def intent(self, goal: Goal, detail: Mapping[str, Json]) -> int:
        """Write down that a call is about to be made; it is on disk when this returns, unless `unwritten` is set."""
        self._number += 1
        change = self._changes[goal.address]
        kept: dict[str, Json] = {**detail, "where": dict(change.route), "kind": change.kind, "vm": goal.vm}
        if goal.creates:
            kept |= {"marker": change.marker, "fields": dict(goal.fields)}
        else:
            kept["sent"] = [*sorted(goal.fields)]
        if goal.fields.get("power") == POWERED_OFF_BY_APPLY:
            kept["power"] = POWERED_OFF_BY_APPLY
            self._going_down.add(goal.address)
        identity = goal.id or change.id
        intent = PendingOperation(
            number=self._number,
            address=goal.address,
            goal=goal.name,
            id=identity,
            generation=goal.generation or change.generation,
            call_class=goal.call_class.value,
            detail=kept,
            creates=goal.creates,
        )
        self._write(self._ledger.intent, intent)
        return self._number

    def result(self, number: int, outcome: Outcome[Any]) -> None:
        match outcome:
            case Done():
                self._write(self._ledger.result, number, "done", "")
            case Refused(message=message, effect=Effect.NONE):
                self._write(self._ledger.result, number, "refused", message)
            case Refused(message=message):
                self._write(self._ledger.result, number, "partial", message)
            case NotSent(message=message):
                self._write(self._ledger.result, number, "not-sent", message)
            case _:
                self._write(self._ledger.result, number, "unknown", getattr(outcome, "message", ""))

    def met(self, goal: Goal, seen: GoalState) -> None:
        """A goal holds: what it made is bound, what it changed is known, what it removed is unbound."""
        if goal.powers:
            self._going_down.discard(goal.address)
        change = self._changes[goal.address]
        if goal.creates:
            # What an earlier run made has the fields that were sent then; the next plan tells what differs by now.
            fields = change.applied if change.action is Action.ADOPT and change.applied else goal.fields
            self._bind(change, seen.id or goal.id, goal.generation or change.generation, fields, seen.resolved)
        elif goal.deletes:
            self._write(self._ledger.gone, goal.address, goal.id)
            self._forget(goal.address, goal.id, change)
        else:
            self._resolved(goal.address, seen.resolved)
            if goal.fields:
                self._applied(goal.address, goal.fields, ())
        self._write(self._ledger.met, goal.address, goal.name)

    def lost(self, number: int, why: str) -> None:
        """The node accepted a call and has failed to carry it out: nothing can come of it any more."""
        self._write(self._ledger.result, number, "refused", why)

    def uncertain(self, goal: Goal) -> None:
        """A call had no certain answer, or was carried out in part: its fields are sent again by the next run."""
        if goal.fields and not goal.creates and goal.address in self._bindings:
            self._applied(goal.address, {}, tuple(goal.fields))

    def bind_broken(self, change: Change, goal: Goal) -> None:
        """A creation that failed on the node has left an object: it is ours, and the next plan takes it away."""
        self._bind(change, goal.id, goal.generation, goal.fields, {})

    def leave_broken(self, change: Change, goal: Goal) -> None:
        """A failed creation could not be taken away again: later plans find it under an address of its own."""
        place = f"{change.address}{DEPOSED_SEPARATOR}{goal.generation}"
        made = _made(change, goal.id, goal.generation, goal.fields, {})
        self._put(made.model_copy(update={"address": place, "protected": False}))
        self._write(self._ledger.gone, goal.address, goal.id)

    def unbind(self, change: Change) -> None:
        """What the change removes is gone. What came in its place stays bound."""
        self._forget(change.address, change.old_id, change)

    def _forget(self, address: str, identity: str, change: Change) -> None:
        """What came in its place stays, though it has the same name, on another machine."""
        came = change.generation if change.action is Action.REPLACE else None
        places = [
            a
            for a, b in self._bindings.items()
            if address in {a, a.partition(DEPOSED_SEPARATOR)[0]} and b.generation != came
        ]
        for bound in [self._bindings[a] for a in places if self._bindings[a].id == identity]:
            del self._bindings[bound.address]
            self._write(self._ledger.unbind, bound.address)

    def settle(self, change: Change) -> None:
        """All of a change is done: its protection and its ways are kept as its document has them now."""
        bound = self._bindings.get(change.address)
        if bound is not None and change.desired and (after := _settled(bound, change)) != bound:
            self._put(after)

    def _bind(
        self,
        change: Change,
        identity: str,
        generation: int,
        fields: Mapping[str, Json],
        resolved: Mapping[str, Json],
    ) -> None:
        before = self._bindings.get(change.address)
        left = None
        replaced = change.action is Action.REPLACE
        other = before is not None and (before.id, before.where.get("target")) != (identity, change.route.get("target"))
        stays = replaced or bool(change.observed)  # a failed creation that the node cannot delete
        if before is not None and stays and other and before.id == change.old_id:
            place = f"{change.address}{DEPOSED_SEPARATOR}{before.generation}"
            left = before.model_copy(update={"address": place, "protected": False})
            self._bindings[place] = left
        self._put(_made(change, identity, generation, fields, resolved), left)

    def _put(self, binding: Binding, left: Binding | None = None) -> None:
        self._bindings[binding.address] = binding
        self._write(self._ledger.bind, binding, left)

    def _resolved(self, address: str, resolved: Mapping[str, Json]) -> None:
        """What has come to be known of an object that is bound."""
        bound = self._bindings.get(address)
        if bound is not None and {**bound.resolved, **resolved} != bound.resolved:
            self._put(bound.model_copy(update={"resolved": {**bound.resolved, **resolved}}))

    def _applied(self, address: str, fields: Mapping[str, Json], uncertain: tuple[str, ...]) -> None:
        bound = self._bindings.get(address)
        if bound is None:
            return
        still = tuple(p for p in dict.fromkeys((*bound.uncertain, *uncertain)) if p not in fields)
        self._bindings[address] = bound.model_copy(update={"applied": {**bound.applied, **fields}, "uncertain": still})
        self._write(self._ledger.applied, address, fields, still)

    def _write(self, record: Callable[P, None], *given: P.args, **named: P.kwargs) -> None:
        try:
            record(*given, **named)
        except DiagnosticError as error:
            self.unwritten = self.unwritten or error


def _made(
    change: Change, identity: str, generation: int, fields: Mapping[str, Json], resolved: Mapping[str, Json]
) -> Binding:
    """The binding of an object that a change has made."""
    return Binding(
        address=change.address,
        kind=change.kind,
        id=identity,
        generation=generation,
        where=dict(change.route),
        applied=dict(fields),
        uncertain=(),
        dependencies=change.dependencies,
        protected=change.protected,
        parent=change.parent,
        resolved=dict(resolved),
    )
