"""The journal: what an apply was about to do and what came of it, one JSON object a line; and the fold into the state.

An intent is on disk before its call is made. Results are not synced: what they say can be asked of the API again.
A last line that was cut short is no record; a line in the middle that cannot be read stops everything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state.document import Binding, Intent, State
from dbc_iac.state.guard import refuse_secrets
from dbc_iac.values import Json

Record = dict[str, Any]


class Journal:
    """An append-only file. `number` is the highest intent number in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, *, serial: int, plan: str, owner: Mapping[str, Json]) -> None:
        """The first record of an apply: which state it starts from, and the digest of its plan."""
        self._append({"type": "begin", "serial": serial, "plan": plan, "owner": dict(owner)}, sync=True)

    def intent(self, intent: Intent) -> None:
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
        """Empty the journal: everything in it is in the state document."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fsync(descriptor)
        os.close(descriptor)

    def read(self) -> list[Record]:
        """All records. Raises DiagnosticError where a line other than the last cannot be read."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        records: list[Record] = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = json.loads(line)
            except ValueError:
                if number == len(lines):
                    break  # the process ended while it wrote this one: no call was made after it
                raise DiagnosticError(_broken(self.path, number)) from None
            records.append(record)
        return records

    def _append(self, record: Record, *, sync: bool) -> None:
        refuse_secrets(record)
        data = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _broken(path: Path, number: int) -> Diagnostic:
    return Diagnostic(
        "journal-corrupt",
        Severity.ERROR,
        f"line {number} of {path} cannot be read",
        "The journal says what an apply did; without it a call could be made twice.",
        "Restore the file, or remove the line if you know what it said.",
        exit_code=ExitCode.ERROR,
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
            _open(Intent.model_validate(record["intent"]), pending, generations)
        elif kind == "result":
            if record["outcome"] in {"refused", "not-sent"}:
                pending.pop(int(record["number"]), None)
        elif kind == "bind":
            binding = Binding.model_validate(record["binding"])
            bindings[binding.address] = binding
            generations[binding.address] = max(generations.get(binding.address, 0), binding.generation)
            _close(binding.address, pending)
            if "leftBehind" in record:
                left = Binding.model_validate(record["leftBehind"])
                bindings[left.address] = left
        elif kind == "unbind":
            bindings.pop(record["address"], None)
            _close(record["address"], pending)
        elif kind == "applied" and record["address"] in bindings:
            bound = bindings[record["address"]]
            fields = {**bound.applied, **record["fields"]}
            bindings[bound.address] = bound.model_copy(
                update={"applied": fields, "uncertain": tuple(record["uncertain"])}
            )
        elif kind == "gone":
            for number in [n for n, i in pending.items() if (i.address, i.id) == (record["address"], record["id"])]:
                del pending[number]
        elif kind == "met":
            for number in [n for n, i in pending.items() if (i.address, i.goal) == (record["address"], record["goal"])]:
                del pending[number]
    return state.model_copy(
        update={"bindings": bindings, "generations": generations, "pending": tuple(pending.values())}
    )


def _open(intent: Intent, pending: dict[int, Intent], generations: dict[str, int]) -> None:
    """A later intent for the same address takes the place of an earlier one: it looked before it was written."""
    for number in [n for n, i in pending.items() if i.address == intent.address and i.goal == intent.goal]:
        del pending[number]
    pending[intent.number] = intent
    if intent.creates:
        generations[intent.address] = max(generations.get(intent.address, 0), intent.generation)


def _close(address: str, pending: dict[int, Intent]) -> None:
    for number in [n for n, i in pending.items() if i.address == address]:
        del pending[number]
