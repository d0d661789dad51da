"""Terraform's HTTP backend protocol: GET, POST, and a lock at an address of its own or by LOCK and UNLOCK.

The protocol knows one document at an address. So the journal and the lease are documents beside it:
    <address>-<stack>                 the state
    <address>-<stack>_lease           holder of the lock, and end of the lease
    <address>-<stack>_journal_<n>     the journal's levels
Each has a `serial` that grows, as GitLab demands, and is locked with the state: a server that knows locks refuses a run
that was taken over. Many accept a write without a lock, so the lease is read right before each write too. The
protocol has no conditional write: the lock is the guard, and the document is compared right before it is replaced. A
lease is measured by the server's clock (`Date`); without one no lock is taken over. Each lock is proved when it is
taken: a server that grants it to two runs, or does not free it, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import LeaseLostError, MovedError, Stored, parse_holder, unreachable
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.log_levels import DEPTH, LevelledBackend, Numbered
from dbc_iac.state.backends.remote import held_until

LEASE_PART = "_lease"
JOURNAL_PARTS = tuple(f"_journal_{n}" for n in range(DEPTH))
PARTS = (LEASE_PART, *JOURNAL_PARTS)
"""Locked with the state: a run that was taken over finds each of them another's."""


class HttpBackend(LevelledBackend):
    """State of one stack on a server of Terraform's HTTP backend protocol."""

    def __init__(self, documents: HttpDocuments, now: Callable[[], datetime], token: Callable[[], str]) -> None:
        super().__init__(token)
        self._now = now
        self._documents = documents
        self._serials: dict[str, int] = {}

    @property
    def place(self) -> str:
        return self._documents.address("")

    def read(self) -> Stored | None:
        content = self._documents.get("")
        return None if content is None else Stored(content, hashlib.sha256(content).hexdigest())

    def _write(self, content: bytes, serial: int, expected: str | None) -> str:
        there = self.read()
        if (None if there is None else there.version) != expected:
            raise MovedError
        self._require_lease()
        self._put("", content)
        return hashlib.sha256(content).hexdigest()

    def stacks(self) -> None:
        """None: the protocol lists no stacks."""

    def kept(self) -> list[int]:
        """Empty: the protocol lists no versions."""
        return []

    def version_place(self, serial: int) -> str:
        return f"serial {serial} of {self.place}, if its server keeps versions,"

    def _read_level(self, level: int) -> Any:
        return self._document(JOURNAL_PARTS[level]).get("lines", [])

    def _write_level(self, level: int, lines: Sequence[Numbered]) -> None:
        self._require_lease()
        self._put_document(JOURNAL_PARTS[level], {"lines": list(lines)})

    def _document(self, part: str) -> dict[str, Any]:
        content = self._documents.get(part)
        try:
            value = load_json(content) if content is not None else {}
            self._serials[part] = int(value.get("serial", 0))
        except (ValueError, AttributeError, TypeError, OverflowError):
            raise unreachable(f"{self._documents.address(part)} is not a document of dbc-iac") from None
        return dict(value)

    def _put_document(self, part: str, value: Mapping[str, Any]) -> None:
        serial = self._serials.get(part, 0) + 1
        self._put(part, json.dumps({"serial": serial, **value}, separators=(",", ":")).encode())
        self._serials[part] = serial

    def _put(self, part: str, content: bytes) -> None:
        if not self._documents.post(part, content, self._token):
            raise LeaseLostError(self.place)

    def _acquire(self, token: str, holder: Mapping[str, Json]) -> None:
        record = self._lock_record(token, holder)
        self._token = token
        other = self._take(record)
        if other is not None and self._lapsed(other):
            other = self._take(record, other)
        if other is not None:
            self._token = ""
            raise DiagnosticError(held_until(self._holder(other, record), self.place))
        self._lock_part(LEASE_PART, record)
        self._document(LEASE_PART)
        self._put_lease(token, holder)
        for part in JOURNAL_PARTS:
            self._lock_part(part, record)

    def _take(self, record: Mapping[str, Json], left: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Take the state's lock, also from `left`, and prove it; returns its holder if it is held.

        Another ID is tried first and freed: a server that frees no lock would keep this one too.
        """
        trial = {**record, "ID": self._new_token()}
        other = self._documents.lock("", trial) if left is None else self._take_from("", left, trial)
        if other is None:
            other = self._take_from("", trial, record)
        if other is None:
            self._prove("", record)
        return other

    def _take_from(self, part: str, left: Mapping[str, Any], record: Mapping[str, Json]) -> dict[str, Any] | None:
        """Free a lock by its ID and take it; returns its holder if another run took it meanwhile."""
        self._documents.unlock(part, left)
        other = self._documents.lock(part, record)
        if other is not None and other.get("ID") == left.get("ID"):
            raise DiagnosticError(_not_freed(self.place))
        return other

    def _prove(self, part: str, record: Mapping[str, Json]) -> None:
        """Check that UNLOCK with another ID frees nothing, and that its LOCK is refused. Some servers grant every LOCK:
        there every run would hold the lock."""
        another = {**record, "ID": self._new_token()}
        with suppress(OSError):  # a refusal, with any status
            self._documents.unlock(part, another)
        if self._documents.lock(part, another) is None:
            self._documents.unlock(part, another)
            raise DiagnosticError(_shared(self.place))

    def _lock_part(self, part: str, record: Mapping[str, Json]) -> None:
        """Lock a part, also one that a killed run left locked: the holder of the state's lock may free it."""
        left = self._documents.lock(part, record)
        if left is not None and self._take_from(part, left, record) is not None:
            raise LeaseLostError(self.place)
        self._prove(part, record)

    def holder(self) -> Mapping[str, Json] | None:
        record = self._lock_record(self._new_token(), {})
        other = self._take(record)
        if other is None:
            self._documents.unlock("", record)
            return None
        return self._holder(other, record)

    def break_lock(self) -> None:
        """Free lock and lease: the former holder stops writing, also on a server that accepts all writes."""
        record = self._lock_record(self._new_token(), {})
        self._token = str(record["ID"])
        try:
            for part in ("", LEASE_PART):
                self._lock_part(part, record)
            self._document(LEASE_PART)
            self._put_lease("", {})
        finally:
            self._token = ""
            for part in (LEASE_PART, ""):
                self._documents.unlock(part, record)

    def _lapsed(self, other: Mapping[str, Any]) -> bool:
        """Whether the lease of a lock has ended by the server's clock. A lock without a lease has not: `state unlock`
        frees it. Its creation time is not used: GitLab reports that of the state."""
        lease = self._document(LEASE_PART)
        if not other.get("ID") or lease.get("id") != other["ID"] or self._documents.time is None:
            return False
        try:
            return self._documents.time >= datetime.fromisoformat(str(lease["until"]))
        except (KeyError, ValueError, TypeError):
            return False

    def _renew(self) -> None:
        lease = self._require_lease()
        self._put_lease(self._token, lease.get("holder") or {})

    def _require_lease(self) -> dict[str, Any]:
        """The current lease. Raises LeaseLostError if it is another run's."""
        lease = self._document(LEASE_PART)
        if lease.get("id") != self._token:
            raise LeaseLostError(self.place)
        return lease

    def _put_lease(self, token: str, holder: Mapping[str, Json]) -> None:
        """Write the lease, measured from the time of the server's last answer."""
        now = self._documents.time
        until = "" if now is None else (now + timedelta(seconds=self.lease)).isoformat()
        self._put_document(LEASE_PART, {"id": token, "until": until, "holder": dict(holder)})

    def _holder(self, other: Mapping[str, Any], mine: Mapping[str, Json]) -> dict[str, Any]:
        """Holder of a lock from its lease, else from the lock's record.

        GitLab fills the record with fields of the request that asks.
        """
        lease = self._document(LEASE_PART)
        holder = lease.get("holder")
        if other.get("ID") and lease.get("id") == other["ID"] and isinstance(holder, dict) and holder:
            return holder
        return _lock_holder({k: v for k, v in other.items() if k == "ID" or v != mine.get(k)})

    def _release(self) -> None:
        for part in (*reversed(PARTS), ""):  # the state's own lock last
            self._documents.unlock(part, self._lock_record(self._token, {}))

    def _lock_record(self, token: str, holder: Mapping[str, Json]) -> dict[str, Json]:
        return {
            "ID": token,
            "Operation": str(holder.get("command", "")),
            "Info": json.dumps(dict(holder)),
            "Who": f"{holder.get('user', '')}@{holder.get('host', '')}",
            "Version": "",
            "Created": self._now().isoformat(),
            "Path": self.place,
        }


def _shared(place: str) -> Diagnostic:
    return _unproved(
        f"{place} grants its lock to two runs at once",
        "While this run held the lock, it granted LOCK with another ID, at once or after UNLOCK with that other ID. "
        "Two runs could create every object twice.",
        "Use a server that refuses both with 423 or 409, or another backend. See docs/state.md.",
    )


def _not_freed(place: str) -> Diagnostic:
    return _unproved(
        f"{place} does not free its lock",
        "It answered UNLOCK, and still refuses LOCK because of the same ID.",
        "Remove the lock on the server, and use a server that frees it or another backend. See docs/state.md.",
    )


def _unproved(summary: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic("lock-unproved", Severity.ERROR, summary, detail, remedy, exit_code=ExitCode.ERROR)


def _lock_holder(record: Mapping[str, Any]) -> dict[str, Any]:
    if holder := parse_holder(str(record.get("Info", ""))):
        return holder
    return {"command": record.get("Operation"), "user": record.get("Who"), "since": record.get("Created")}
