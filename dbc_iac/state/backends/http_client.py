"""Requests of Terraform's HTTP backend protocol, one function a verb. Knows addresses and locks, and no state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, field

from dbc_iac.api.http import MIB, ExchangeError, Limits, Reply, basic
from dbc_iac.api.transport import HttpClient
from dbc_iac.json import Json
from dbc_iac.secret import SecretText
from dbc_iac.state.backends.backend import denied, unreachable

LIMITS = Limits(40.0, 256 * MIB)
_HELD = frozenset({409, 412, 423})
"""Statuses of a lock that another run holds: 423 by the protocol, 409 with GitLab."""
_ABSENT = frozenset({204, 404})
_DENIED = frozenset({401, 403})
_NO_SUCH_METHOD = frozenset({400, 404, 405, 501})


class Protocol(Struct, frozen=True):
    """Requests that lock and unlock. GitLab locks with POST and DELETE at `/lock` below the address."""

    lock_path: str = ""
    lock_method: str = "LOCK"
    unlock_method: str = "UNLOCK"


class HttpDocuments(Struct, frozen=True, dict=True):
    """Documents at addresses that begin alike. Raises OSError if the server refuses a request."""

    base: str
    stack: str
    protocol: Protocol = field(default_factory=Protocol)
    headers: Mapping[str, SecretText] = field(default_factory=dict)
    login: tuple[str, SecretText] | None = None

    @cached_property
    def answered(self) -> dict[str, datetime | None]:
        """The time of the last answer, under `time`."""
        return {}

    @cached_property
    def _client(self) -> HttpClient:
        login = {} if self.login is None else {"Authorization": basic(*self.login)}
        return HttpClient(LIMITS, {**self.headers, **login})

    @property
    def time(self) -> datetime | None:
        """Time of the server's last answer, by its own clock; None if it sends none."""
        return self.answered.get("time")

    def address(self, part: str) -> str:
        """The address of a document of this stack."""
        split = urlsplit(self.base)
        return urlunsplit(split._replace(path=f"{split.path}-{self.stack}{part}"))

    def get(self, part: str) -> bytes | None:
        answer = self._request("GET", self.address(part))
        if answer.status in _ABSENT or (answer.status == 200 and not answer.body):
            return None
        if answer.status != 200:
            raise _refused("read", answer)
        return answer.body

    def post(self, part: str, content: bytes, token: str) -> bool:
        """Write as the holder of a lock. False if another run holds it."""
        head = {"content-type": "application/json"}
        answer = self._request("POST", self.address(part), content, params={"ID": token}, headers=head)
        if answer.status in _HELD:
            return False
        if not answer.success:
            raise _refused("write", answer)
        return True

    def lock(self, part: str, record: Mapping[str, Json]) -> dict[str, Any] | None:
        """Take a lock. None if it was taken, else the record of its holder. Some servers send that with status 200."""
        answer = self._request(self.protocol.lock_method, self._lock_address(part), _json(record))
        try:
            other = answer.json()
        except ValueError:
            other = None
        holder = other if isinstance(other, dict) else {}
        if answer.success:
            return holder if holder.get("ID", record["ID"]) != record["ID"] else None
        if answer.status not in _HELD:
            raise _refused("lock", answer)
        return holder

    def unlock(self, part: str, record: Mapping[str, Any]) -> None:
        """Free the lock that a record names, if it is held under that name."""
        address = self._lock_address(part)
        # GitLab wants the id in the query, the others in the body.
        params = {"ID": str(record.get("ID", ""))}
        answer = self._request(self.protocol.unlock_method, address, _json(record), params=params)
        if not answer.success and answer.status not in _HELD | _ABSENT:
            raise _refused("unlock", answer)

    def _lock_address(self, part: str) -> str:
        split = urlsplit(self.address(part))
        return urlunsplit(split._replace(path=split.path + self.protocol.lock_path))

    def _request(self, method: str, address: str, content: bytes = b"", **more: Mapping[str, str]) -> Reply:
        try:
            answer = self._client.wait(method, address, content, **more)
        except ExchangeError as error:
            raise unreachable(f"its server {error}") from None
        self.answered["time"] = _date(answer)
        return answer


def _json(record: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(record)).encode()


def _date(answer: Reply) -> datetime | None:
    try:
        date = parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None
    return date if date.year < 9999 else None  # else a lease would have no end


def _refused(what: str, answer: Reply) -> OSError:
    words = f"to {what} was answered with HTTP {answer.status}"
    if answer.status in _DENIED:
        return denied(words)
    if what not in {"read", "write"} and answer.status in _NO_SUCH_METHOD:
        return unreachable(f"{words}: set lockPath, lockMethod and unlockMethod to those of the server")
    return unreachable(words)
