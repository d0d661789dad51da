"""Terraform's HTTP backend protocol: GET, POST, and a lock at an address of its own or by LOCK and UNLOCK.

The protocol knows one document at an address. So the journal and the lease are documents beside it:
    <address>-<stack>                 the state
    <address>-<stack>_lease           until when the lock is held, unless it is renewed
    <address>-<stack>_journal_<n>     the journal's levels
Each has a `serial` that grows, as GitLab demands, and is locked with the state: a server that knows locks refuses a run
that was taken over. The protocol has no conditional write: the lock is the guard, and the document
is compared right before it is replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state.backends.backend import LeaseLostError, MovedError, Stored, unreachable
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.levels import DEPTH, Levels
from dbc_iac.state.backends.remote import RemoteBackend, held_until
from dbc_iac.values import Json

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
        self._levels: Levels | None = None
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
            self._levels = Levels([[(int(n), str(line)) for n, line in d.get("lines", [])] for d in documents])
        except (TypeError, ValueError):
            raise unreachable("what is there is not a journal of dbc-iac") from None
        return [line.encode() for line in self._levels.lines]

    def _append(self, lines: list[bytes]) -> None:
        if self._levels is None:
            self._read_lines()
        levels = self._levels or Levels()
        self._levels = None  # to be read again, unless all of it is written
        for level in levels.add(line.decode() for line in lines):
            self._put_level(level, levels.levels[level])
        self._levels = levels

    def _clear(self) -> None:
        for level, part in enumerate(JOURNAL_PARTS):
            if self._document(part).get("lines"):
                self._put_level(level, {})
        self._levels = Levels()

    def _put_level(self, level: int, lines: Mapping[int, str]) -> None:
        self._put_document(JOURNAL_PARTS[level], {"lines": sorted(lines.items())})

    def _document(self, part: str) -> dict[str, Any]:
        content = self._documents.get(part)
        try:
            value = json.loads(content) if content is not None else {}
            self._serials[part] = int(value.get("serial", 0))
        except (ValueError, AttributeError, TypeError):
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
        other = self._documents.lock("", record)
        if other is not None:
            if not self._lapsed(other):
                raise DiagnosticError(held_until(_holder(other), self.place))
            self._documents.unlock("", other)  # by its name: a lock that somebody took meanwhile stays
            other = self._documents.lock("", record)
        if other is not None:
            raise DiagnosticError(held_until(_holder(other), self.place))
        self._token = token
        for part in PARTS:
            self._lock_part(part, record)
        self._document(LEASE_PART)
        self._renew()

    def _lock_part(self, part: str, record: Mapping[str, Json]) -> None:
        """Also from a run that ended without freeing it: whoever holds the state's lock may."""
        left = self._documents.lock(part, record)
        if left is not None:
            self._documents.unlock(part, left)
            if self._documents.lock(part, record) is not None:
                raise LeaseLostError(self.place)

    def holder(self) -> Mapping[str, Json] | None:
        record = self._lock_record(self._new_token(), {})
        other = self._documents.lock("", record)
        if other is None:
            self._documents.unlock("", record)
            return None
        return _holder(other)

    def break_lock(self) -> None:
        record = self._lock_record(self._new_token(), {})
        other = self._documents.lock("", record)
        self._documents.unlock("", record if other is None else other)

    def _lapsed(self, other: Mapping[str, Any]) -> bool:
        """Whether the lease of a lock has ended. One that cannot be read has not."""
        lease = self._document(LEASE_PART)
        said = lease["until"] if lease.get("id") == other.get("ID") and other.get("ID") else None
        try:
            if said is not None:
                return self._now() >= datetime.fromisoformat(str(said))
            age = self._now() - datetime.fromisoformat(str(other["Created"]))
        except (KeyError, ValueError, TypeError):
            return False
        return age.total_seconds() >= self.lease

    def _renew(self) -> None:
        until = self._now() + timedelta(seconds=self.lease)
        self._put_document(LEASE_PART, {"id": self._token, "until": until.isoformat()})

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


def _holder(record: Mapping[str, Any]) -> dict[str, Any]:
    """Who holds a lock: as a dbc-iac said it, or as far as the server tells."""
    try:
        said = json.loads(str(record.get("Info", "")))
    except ValueError:
        said = None
    if isinstance(said, dict) and said:
        return said
    return {"command": record.get("Operation"), "user": record.get("Who"), "since": record.get("Created")}
