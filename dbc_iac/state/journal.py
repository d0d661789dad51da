"""The journal: calls of an apply and their outcomes, one JSON object per line; and the fold into the state.

An intent is on disk before its call is made. Results are not synced, since the API can be read again. A truncated last
line is ignored; any other unreadable line is an error. Writers hold the state lock, so there is one at a time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from dbc_iac.address import Address
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import Json, load_json
from dbc_iac.secret import refuse_secrets
from dbc_iac.state.backends.backend import Backend, code_of
from dbc_iac.state.document import FORMAT_VERSION, Binding, PendingOperation, State
from dbc_iac.state.migration import migrated_record
from dbc_iac.state.records import RECORD
from dbc_iac.state.sealed import refuse_sealed

Record = dict[str, Any]
_LOG = logging.getLogger("dbc_iac.state")


class Journal(Struct, eq=False):
    """Journal of a backend. The first failed write raises DiagnosticError (exit code PARTIAL) and ends the journal, as
    if the process had ended there: later records are in `records` only."""

    backend: Backend
    records: list[Record] = field(default_factory=list)
    """All records since `begin`, in order, also those that could not be written."""
    _broken: bool = False

    def begin(self, *, serial: int, plan: str, owner: Mapping[str, Json]) -> None:
        """The first record of an apply: serial of its state, and digest of its plan."""
        self.records, self._broken = [], False
        record = {"type": "begin", "formatVersion": FORMAT_VERSION, "serial": serial, "plan": plan}
        self.append([{**record, "owner": dict(owner)}])

    def append(self, records: Sequence[Record]) -> None:
        """Write records together: one sync for any number of intents, which are on disk when this returns."""
        refuse_secrets(records)
        self.records += records
        if self._broken:
            return
        durable = any(record["type"] in {"begin", "intent"} for record in records)
        try:
            for number, record in enumerate(records, 1):
                line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
                self.backend.append(line, sync=durable and number == len(records))
        except OSError as error:
            self._broken = True
            raise _not_written(self.backend.journal_place, error) from error
        except DiagnosticError:  # the lease was lost
            self._broken = True
            raise
        for record in records if _LOG.isEnabledFor(logging.DEBUG) else ():
            _LOG.debug("appended to %s: %s %s", self.backend.journal_place, record["type"], _named(record))

    def read(self) -> list[Record]:
        """All records in the current format. Raises DiagnosticError for unreadable records and newer formats."""
        place, records = self.backend.journal_place, list[Record]()
        try:
            lines = self.backend.lines()
        except OSError as error:
            raise _unreadable(place, error) from None
        try:
            for record in current_records(map(load_json, lines), place):
                records.append(record)
        except (ValueError, TypeError, AttributeError):  # pydantic's is a ValueError
            raise _broken(place, len(records) + 1) from None
        return records


def _named(record: Record) -> str:
    """The part of a record that names its operation, without values of fields."""
    part = record.get("operation") or record.get("binding") or record
    return " ".join(str(part[key]) for key in ("number", "address", "goal", "outcome") if key in part)


def current_records(values: Iterable[Any], place: str) -> Iterator[Record]:
    """Records in the current format. The format of a record is that of the `begin` before it.

    Raises DiagnosticError for a newer format and for an encrypted record; ValueError, TypeError or AttributeError for a
    value that is no record.
    """
    version: object = FORMAT_VERSION
    for value in values:
        version = value.get("formatVersion", version)
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise _newer(place, version)
        if "type" not in value:
            refuse_sealed(value, place)
        record = migrated_record(value) if version == 1 else value
        RECORD.validate_python(record)
        yield record


def _broken(place: str, number: int) -> DiagnosticError:
    return failure(
        "journal-corrupt",
        f"line {number} of {place} is not a journal record",
        "Without this record, a call of an interrupted apply could be made twice.",
        "Restore the journal from a backup, or remove the line if its call is known to have had no effect.",
        exit_code=ExitCode.ERROR,
    )


def _unreadable(place: str, error: OSError) -> DiagnosticError:
    summary = f"cannot read {place} ({error.strerror})"
    remedy = "Check the permissions and the connection to the backend."
    return failure("journal-unreadable", summary, remedy=remedy, exit_code=code_of(error))


def _newer(place: str, version: int) -> DiagnosticError:
    return failure(
        "journal-newer",
        f"{place} has format {version}; this version reads up to {FORMAT_VERSION}",
        "Nothing was changed.",
        "Install the version of dbc-iac that wrote it, or a newer one.",
        exit_code=ExitCode.ERROR,
    )


def _not_written(place: str, error: OSError) -> DiagnosticError:
    return failure(
        "journal-not-written",
        f"cannot write {place} ({error.strerror})",
        "Each call is recorded before it is made; the calls made so far are in the journal.",
        "Free some space or fix the permissions, then run the command again to continue from the journal.",
        exit_code=ExitCode.PARTIAL,
    )


def fold(state: State, records: Iterable[Record]) -> State:  # noqa: PLR0912 - one branch a record type
    """The state after the records. Pure. Records of an older serial are skipped: the state includes them."""
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
            intent = PendingOperation.model_validate(record["operation"])
            pending[intent.number] = intent
            if intent.creates:
                generations[intent.address] = max(generations.get(intent.address, 0), intent.generation)
        elif kind == "result":
            _add_result(int(record["number"]), record["outcome"], pending)
        elif kind == "bind":
            binding = Binding.model_validate(record["binding"])
            bindings[binding.address] = binding
            generations[binding.address] = max(generations.get(binding.address, 0), binding.generation)
            _resolve(binding, pending)
            if "deposed" in record:
                deposed = Binding.model_validate(record["deposed"])
                bindings[deposed.address] = deposed
        elif kind == "unbind":
            lost = bindings.pop(record["address"], None)
            if lost is not None:
                _resolve(lost, pending)
        elif kind == "applied" and record["address"] in bindings:
            bound = bindings[record["address"]]
            fields, down = {**bound.applied, **record["fields"]}, record.get("poweredOffByApply")
            update: dict[str, Any] = {"applied": fields, "uncertain": tuple(record["uncertain"])}
            if down is not None:
                update["powered_off_by_apply"] = down
            bindings[bound.address] = bound.model_copy(update=update)
        elif kind == "gone":
            address = Address(record["address"]).resource
            for number in [
                n
                for n, i in pending.items()
                if not i.late and (Address(i.address).resource, i.id) == (address, record["id"])
            ]:
                del pending[number]
        elif kind == "met":
            made = (record["address"], record["goal"])
            for number in [n for n, i in pending.items() if (i.address, i.goal) == made and not i.creates]:
                del pending[number]  # a creation is resolved by the binding of its object
    return state.model_copy(
        update={"bindings": bindings, "generations": generations, "pending": tuple(pending.values())}
    )


class StateBackup(Struct, frozen=True):
    """A state as it was stored, and the records after it."""

    state: State
    records: Sequence[Record] = ()

    @property
    def folded(self) -> State:
        return fold(self.state, self.records)

    def text(self) -> bytes:
        value = {
            "formatVersion": FORMAT_VERSION,
            "state": self.state.model_dump(mode="json", by_alias=True),
            "journal": list(self.records),
        }
        return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def records_after(records: Sequence[Record], serial: int) -> Sequence[Record]:
    """The records that follow the state of a serial: older ones have been folded into it."""
    begins = [n for n, r in enumerate(records) if r["type"] == "begin" and int(r["serial"]) >= serial]
    return records[begins[0] :] if begins else ()


def _add_result(number: int, outcome: str, pending: dict[int, PendingOperation]) -> None:
    """Resolve pending operations by a result.

    A call that was refused or not sent is resolved, but not an earlier try of unknown outcome, which may still run
    minutes later. A call that may have been carried out replaces its earlier tries of the same generation. A creation
    that was refused after part of it was done may have made an object; a change records that in its fields. A creation
    that nothing waits for is late.
    """
    intent = pending.get(number)
    if intent is None:
        return
    if outcome == "late":
        pending[number] = intent.model_copy(update={"late": True})
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


def _resolve(bound: Binding, pending: dict[int, PendingOperation]) -> None:
    """Resolve the pending operations of a binding's address, except creations of another object."""

    def other(intent: PendingOperation) -> bool:
        another = intent.id != bound.id if intent.id else intent.generation != bound.generation
        return intent.creates and another

    for number in [n for n, i in pending.items() if i.address == bound.address and not i.late and not other(i)]:
        del pending[number]
