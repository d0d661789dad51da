"""Terraform's HTTP backend protocol: GET, POST, and a lock at an address of its own or by LOCK and UNLOCK.

The protocol knows one document at an address. So the journal and the lease are documents beside it:
    <address>-<stack>                 the state
    <address>-<stack>_lease           whose the lock is, and until when, unless it is renewed
    <address>-<stack>_journal_<n>     the journal's levels
Each has a `serial` that grows, as GitLab demands, and is locked with the state: a server that knows locks refuses a run
that was taken over. Many take a write where nobody holds a lock: so the lease is read right before each, too. The
protocol has no conditional write: the lock is the guard, and the document is compared right before it is replaced. A
lease is measured by the server's clock (`Date`); from a server that tells none, no lock is taken over. Each lock is
proved when it is taken: a server that grants it to two, or does not free it, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import LeaseLostError, MovedError, Stored, unreachable
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.log_levels import DEPTH, LogLevels
from dbc_iac.state.backends.remote import RemoteBackend, held_until, said_by

LEASE_PART = "_lease"
JOURNAL_PARTS = tuple(f"_journal_{n}" for n in range(DEPTH))
PARTS = (LEASE_PART, *JOURNAL_PARTS)
"""Locked with the state: a run that was taken over finds each of them another's."""


class HttpBackend(RemoteBackend):
    """State of one stack on a server of Terraform's HTTP backend protocol."""

    def __init__(self, documents: HttpDocuments, now: Callable[[], datetime], token: Callable[[], str]) -> None:
        super().__init__(token)
        self._now = now
        self._documents = documents
        self._levels: LogLevels | None = None
        self._serials: dict[str, int] = {}

    @property
    def place(self) -> str:
        return self._documents.address("")

    def read(self) -> Stored | None:
        content = self._documents.get("")
        return None if content is None else Stored(content, hashlib.sha256(content).hexdigest())

    def _write(self, content: bytes, serial: int, expected: str | None) -> None:
        there = self.read()
        if (None if there is None else there.version) != expected:
            raise MovedError
        self._require_lease()
        self._put("", content)

    def stacks(self) -> None:
        """The protocol has no way to ask."""

    def kept(self) -> list[int]:
        """What a server keeps cannot be asked for."""
        return []

    def version_place(self, serial: int) -> str:
        return f"serial {serial}, as far as the server of {self.place} keeps versions,"

    def _read_lines(self) -> list[bytes]:
        documents = [self._document(part) for part in JOURNAL_PARTS]
        try:
            self._levels = LogLevels.read(d.get("lines", []) for d in documents)
            return [line.encode() for line in self._levels.lines]
        except ValueError:
            raise unreachable("what is there is not a journal of dbc-iac") from None

    def _append(self, lines: list[bytes]) -> None:
        if self._levels is None:
            self._read_lines()
        self._require_lease()
        levels = self._levels or LogLevels()
        self._levels = None  # to be read again, unless all of it is written
        for level in levels.add(line.decode() for line in lines):
            self._put_level(level, levels.levels[level])
        self._levels = levels

    def _clear(self) -> None:
        self._require_lease()
        for level, part in enumerate(JOURNAL_PARTS):
            if self._document(part).get("lines"):
                self._put_level(level, {})
        self._levels = LogLevels()

    def _put_level(self, level: int, lines: Mapping[int, str]) -> None:
        self._put_document(JOURNAL_PARTS[level], {"lines": sorted(lines.items())})

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
        """Take the state's lock, in the place of one that is left over, and prove it; its holder where it is held.

        Under another ID first, which is freed: a server that frees no lock would keep this one, too.
        """
        trial = {**record, "ID": self._new_token()}
        other = self._documents.lock("", trial) if left is None else self._take_from("", left, trial)
        if other is None:
            other = self._take_from("", trial, record)
        if other is None:
            self._prove("", record)
        return other

    def _take_from(self, part: str, left: Mapping[str, Any], record: Mapping[str, Json]) -> dict[str, Any] | None:
        """Free a lock by its ID, so that one that somebody took meanwhile stays, and take it; its holder where held."""
        self._documents.unlock(part, left)
        other = self._documents.lock(part, record)
        if other is not None and other.get("ID") == left.get("ID"):
            raise DiagnosticError(_not_freed(self.place))
        return other

    def _prove(self, part: str, record: Mapping[str, Json]) -> None:
        """Another's UNLOCK, which must free nothing, and its LOCK, which must be refused. There are servers that grant
        every one: there every run would have the lock."""
        another = {**record, "ID": self._new_token()}
        with suppress(OSError):  # a refusal, of whatever status
            self._documents.unlock(part, another)
        if self._documents.lock(part, another) is None:
            self._documents.unlock(part, another)
            raise DiagnosticError(_shared(self.place))

    def _lock_part(self, part: str, record: Mapping[str, Json]) -> None:
        """Also from a run that ended without freeing it: whoever holds the state's lock may."""
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
        """The lease is nobody's then: also a server that takes every write gets none from who held it."""
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
        """Whether the lease of a lock has ended, by the server's clock. One that says nothing has not: `state unlock`
        frees it. When a lock was made says nothing either: GitLab tells when its state was made."""
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
        """The lease, right now. Raises LeaseLostError where it is not this run's."""
        lease = self._document(LEASE_PART)
        if lease.get("id") != self._token:
            raise LeaseLostError(self.place)
        return lease

    def _put_lease(self, token: str, holder: Mapping[str, Json]) -> None:
        """From the time of the answer before, which was to a request of just now."""
        now = self._documents.time
        until = "" if now is None else (now + timedelta(seconds=self.lease)).isoformat()
        self._put_document(LEASE_PART, {"id": token, "until": until, "holder": dict(holder)})

    def _holder(self, other: Mapping[str, Any], mine: Mapping[str, Json]) -> dict[str, Any]:
        """Who holds a lock: as its lease says, or a dbc-iac said it, or as far as the server tells.

        GitLab repeats what the one who asks has said of itself.
        """
        lease = self._document(LEASE_PART)
        holder = lease.get("holder")
        if other.get("ID") and lease.get("id") == other["ID"] and isinstance(holder, dict) and holder:
            return holder
        return _said_by({k: v for k, v in other.items() if k == "ID" or v != mine.get(k)})

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
        f"the server of {place} grants its lock to two runs at once",
        "While this run held the lock, it granted LOCK with another ID, at once or after UNLOCK with that other ID. "
        "Two runs would not see each other, and could create everything twice.",
        "Use a server that refuses both with 423 or 409, or another backend. See docs/state.md.",
    )


def _not_freed(place: str) -> Diagnostic:
    return _unproved(
        f"the server of {place} does not free its lock",
        "It answered UNLOCK, and still refuses LOCK because of the same ID.",
        "Remove the lock on the server; use one that frees it, or another backend. See docs/state.md.",
    )


def _unproved(summary: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic("lock-unproved", Severity.ERROR, summary, detail, remedy, exit_code=ExitCode.ERROR)


def _said_by(record: Mapping[str, Any]) -> dict[str, Any]:
    if said := said_by(str(record.get("Info", ""))):
        return said
    return {"command": record.get("Operation"), "user": record.get("Who"), "since": record.get("Created")}
