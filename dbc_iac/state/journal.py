"""The journal: what an apply was about to do and what came of it, one JSON object a line; and the fold into the state.

An intent is on disk before its call is made. Results are not synced: what they say can be asked of the API again.
A last line that was cut short is no record; a line in the middle that cannot be read stops everything. The state's
lock is held while anything is written: there is one writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import Backend, code_of
from dbc_iac.state.document import DEPOSED_SEPARATOR, FORMAT_VERSION, Binding, PendingOperation, State
from dbc_iac.state.encryption.document import refuse_sealed
from dbc_iac.state.records import RECORD
from dbc_iac.state.secret_guard import refuse_secrets

Record = dict[str, Any]


class Journal:
    """Lines of a backend. Where it does not take a record, DiagnosticError (exit code PARTIAL) is raised, once: the
    backend's journal ends there, as if the process had ended, and what comes after is only in `said`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broken = False
        self.said: list[Record] = []
        """All records of this run, in order, also those that could not be written."""

    def begin(self, *, serial: int, plan: str, owner: Mapping[str, Json]) -> None:
        """The first record of an apply: which state it starts from, and the digest of its plan."""
        record = {"type": "begin", "formatVersion": FORMAT_VERSION, "serial": serial, "plan": plan}
        self._append({**record, "owner": dict(owner)}, sync=True)

    def intent(self, intent: PendingOperation) -> None:
        """On disk when this returns."""
        self._append({"type": "intent", "intent": intent.model_dump(mode="json", by_alias=True)}, sync=True)

    def result(self, number: int, outcome: str, message: str) -> None:
        self._append({"type": "result", "number": number, "outcome": outcome, "message": message}, sync=False)

    def bind(self, binding: Binding, left_behind: Binding | None = None) -> None:
        """An address is bound. `left_behind` is what it was bound to before, under an address of its own, until it is
        gone: both in one record, so that no moment forgets either."""
        record: Record = {"type": "bind", "binding": binding.model_dump(mode="json", by_alias=True)}
        if left_behind is not None:
            record["leftBehind"] = left_behind.model_dump(mode="json", by_alias=True)
        self._append(record, sync=False)

    def unbind(self, address: str) -> None:
        self._append({"type": "unbind", "address": address}, sync=False)

    def applied(self, address: str, fields: Mapping[str, Json], uncertain: tuple[str, ...]) -> None:
        record = {"type": "applied", "address": address, "fields": dict(fields), "uncertain": list(uncertain)}
        self._append(record, sync=False)

    def met(self, address: str, goal: str) -> None:
        """A goal has been seen to hold: what was pending about it is settled."""
        self._append({"type": "met", "address": address, "goal": goal}, sync=False)

    def gone(self, address: str, identity: str) -> None:
        """An object has been seen to be gone: nothing can be pending about it, and its id is not used again."""
        self._append({"type": "gone", "address": address, "id": identity}, sync=False)

    def clear(self) -> None:
        """Empty the journal: everything in it is in the state document. Raises OSError."""
        self._backend.clear()

    def read(self) -> list[Record]:
        """All records. Raises DiagnosticError where one cannot be read, or is of a newer dbc-iac."""
        try:
            lines = self._backend.lines()
        except OSError as error:
            raise DiagnosticError(_unreadable(self._place, error)) from None
        return [self._record(number, line) for number, line in enumerate(lines, 1)]

    @property
    def _place(self) -> str:
        return self._backend.journal_place

    def _record(self, number: int, line: bytes) -> Record:
        try:
            record = load_json(line)
        except ValueError:
            raise DiagnosticError(_broken(self._place, number)) from None
        refuse_sealed(record, self._place)
        version = record.get("formatVersion") if isinstance(record, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DiagnosticError(_newer(self._place, version))
        try:
            RECORD.validate_python(record)
        except ValidationError:
            raise DiagnosticError(_broken(self._place, number)) from None
        return dict(record)

    def _append(self, record: Record, *, sync: bool) -> None:
        refuse_secrets(record)
        self.said.append(record)
        if self._broken:
            return
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            self._backend.append(line, sync=sync)
        except OSError as error:
            self._broken = True
            raise DiagnosticError(_not_written(self._place, error)) from error
        except DiagnosticError:  # the lease was lost
            self._broken = True
            raise


def _broken(place: str, number: int) -> Diagnostic:
    return Diagnostic(
        "journal-corrupt",
        Severity.ERROR,
        f"line {number} of {place} cannot be read",
        "The journal says what an apply did; without it a call could be made twice.",
        "Restore the file, or remove the line if you know what it said.",
        exit_code=ExitCode.ERROR,
    )


def _unreadable(place: str, error: OSError) -> Diagnostic:
    summary = f"{place} cannot be read ({error.strerror})"
    remedy = "Check that it can be reached, and its permissions."
    return Diagnostic("journal-unreadable", Severity.ERROR, summary, remedy=remedy, exit_code=code_of(error))


def _newer(place: str, version: int) -> Diagnostic:
    return Diagnostic(
        "journal-newer",
        Severity.ERROR,
        f"{place} has format {version}, and this dbc-iac knows up to {FORMAT_VERSION}",
        remedy="Use the newer dbc-iac that wrote it. Nothing was changed.",
        exit_code=ExitCode.ERROR,
    )


def _not_written(place: str, error: OSError) -> Diagnostic:
    return Diagnostic(
        "journal-not-written",
        Severity.ERROR,
        f"{place} could not be written ({error.strerror})",
        "Nothing is sent that is not in the journal first. What was sent before is in it.",
        "Make room or mend the permissions, and apply again: it goes on from the journal.",
        exit_code=ExitCode.PARTIAL,
    )


def fold(state: State, records: Iterable[Record]) -> State:  # noqa: PLR0912 - one branch a record type
    """The state after the records. Pure; records of an older serial have been folded already and are passed over."""
    bindings, generations = dict(state.bindings), dict(state.generations)
    pending = {i.number: i for i in state.pending}
    current = True
    for record in records:
        kind = record["type"]
        if kind == "begin":
            current = int(record["serial"]) >= state.serial
        elif not current:
            continue
        elif kind == "intent":
            _open(PendingOperation.model_validate(record["intent"]), pending, generations)
        elif kind == "result":
            _answer(int(record["number"]), record["outcome"], pending)
        elif kind == "bind":
            binding = Binding.model_validate(record["binding"])
            bindings[binding.address] = binding
            generations[binding.address] = max(generations.get(binding.address, 0), binding.generation)
            _close(binding, pending)
            if "leftBehind" in record:
                left = Binding.model_validate(record["leftBehind"])
                bindings[left.address] = left
        elif kind == "unbind":
            lost = bindings.pop(record["address"], None)
            if lost is not None:
                _close(lost, pending)
        elif kind == "applied" and record["address"] in bindings:
            bound = bindings[record["address"]]
            fields = {**bound.applied, **record["fields"]}
            bindings[bound.address] = bound.model_copy(
                update={"applied": fields, "uncertain": tuple(record["uncertain"])}
            )
        elif kind == "gone":
            address = record["address"].partition(DEPOSED_SEPARATOR)[0]
            for number in [
                n
                for n, i in pending.items()
                if not i.late and (i.address.partition(DEPOSED_SEPARATOR)[0], i.id) == (address, record["id"])
            ]:
                del pending[number]
        elif kind == "met":
            made = (record["address"], record["goal"])
            for number in [n for n, i in pending.items() if (i.address, i.goal) == made and not i.creates]:
                del pending[number]  # a creation is settled by the binding of what it made
    return state.model_copy(
        update={"bindings": bindings, "generations": generations, "pending": tuple(pending.values())}
    )


def going_on(records: Sequence[Record], serial: int) -> Sequence[Record]:
    """Those that go on from the state of a serial: what is older has been folded into it."""
    begins = [n for n, r in enumerate(records) if r["type"] == "begin" and int(r["serial"]) >= serial]
    return records[begins[0] :] if begins else ()


def _open(intent: PendingOperation, pending: dict[int, PendingOperation], generations: dict[str, int]) -> None:
    pending[intent.number] = intent
    if intent.creates:
        generations[intent.address] = max(generations.get(intent.address, 0), intent.generation)


def _answer(number: int, outcome: str, pending: dict[int, PendingOperation]) -> None:
    """What a result settles.

    A call that was refused or not sent is settled, and says nothing about an earlier try whose outcome is not known:
    that one may be carried out yet, minutes later. A call that may have got through stands for its earlier tries too,
    not for those of another generation. A creation that was refused after part of it had been done may have made
    something; a change says so by its fields.
    """
    intent = pending.get(number)
    if intent is None:
        return
    if outcome in {"refused", "not-sent"} or (outcome == "partial" and not intent.creates):
        del pending[number]
        return
    tried = (intent.address, intent.goal, intent.id, intent.generation)
    for earlier in [n for n, i in pending.items() if n < number and (i.address, i.goal, i.id, i.generation) == tried]:
        if intent.creates and intent.id:
            pending[earlier] = pending[earlier].model_copy(update={"late": True})
        else:
            del pending[earlier]


def _close(bound: Binding, pending: dict[int, PendingOperation]) -> None:
    """What a binding settles: all of its address, but not the creation of another object, which may exist too."""

    def other(intent: PendingOperation) -> bool:
        another = intent.id != bound.id if intent.id else intent.generation != bound.generation
        return intent.creates and another

    for number in [n for n, i in pending.items() if i.address == bound.address and not i.late and not other(i)]:
        del pending[number]
