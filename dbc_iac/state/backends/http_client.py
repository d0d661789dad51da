"""Requests of Terraform's HTTP backend protocol, one function a verb. Knows addresses and locks, and no state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from dbc_iac.api.secret import SecretText
from dbc_iac.state.backends.backend import denied, unreachable
from dbc_iac.values import Json

DEADLINE = 40.0
_HELD = frozenset({409, 412, 423})
"""What servers answer where a lock is another's: 423 by the protocol, 409 GitLab."""
_ABSENT = frozenset({204, 404})
_DENIED = frozenset({401, 403})
_NO_SUCH_METHOD = frozenset({400, 404, 405, 501})


@dataclass(frozen=True)
class Protocol:
    """Which requests lock. GitLab locks with POST and DELETE at `/lock` below the address."""

    lock_path: str = ""
    lock_method: str = "LOCK"
    unlock_method: str = "UNLOCK"


@dataclass(frozen=True)
class HttpDocuments:
    """Documents at addresses that begin alike. Raises OSError where the server does not do what it was asked."""

    base: str
    stack: str
    protocol: Protocol = field(default_factory=Protocol)
    headers: Mapping[str, SecretText] = field(default_factory=dict, repr=False)
    login: tuple[str, SecretText] | None = field(default=None, repr=False)

    said: dict[str, datetime | None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        auth = None if self.login is None else httpx.BasicAuth(self.login[0], self.login[1].reveal())
        headers = {name: value.reveal() for name, value in self.headers.items()}
        client = httpx.Client(headers=headers, auth=auth, timeout=DEADLINE, trust_env=False)
        object.__setattr__(self, "_client", client)

    @property
    def time(self) -> datetime | None:
        """When the server last answered, by its own clock; None where it does not tell."""
        return self.said.get("time")

    def address(self, part: str) -> str:
        """The address of a document of this stack."""
        split = urlsplit(self.base)
        return urlunsplit(split._replace(path=f"{split.path}-{self.stack}{part}"))

    def get(self, part: str) -> bytes | None:
        answer = self._request("GET", self.address(part))
        if answer.status_code in _ABSENT or (answer.status_code == 200 and not answer.content):
            return None
        if answer.status_code != 200:
            raise _refused("read", answer)
        return answer.content

    def post(self, part: str, content: bytes, token: str) -> bool:
        """Write as the holder of a lock. False where another holds it."""
        head = {"content-type": "application/json"}
        answer = self._request("POST", self.address(part), content=content, params={"ID": token}, headers=head)
        if answer.status_code in _HELD:
            return False
        if not answer.is_success:
            raise _refused("write", answer)
        return True

    def lock(self, part: str, record: Mapping[str, Json]) -> dict[str, Any] | None:
        """Take a lock. None where that was done, else what its holder said about itself."""
        answer = self._request(self.protocol.lock_method, self._lock_address(part), content=json.dumps(dict(record)))
        if answer.is_success:
            return None
        if answer.status_code not in _HELD:
            raise _refused("lock", answer)
        try:
            other = answer.json()
        except ValueError:
            other = None
        return other if isinstance(other, dict) else {}

    def unlock(self, part: str, record: Mapping[str, Any]) -> None:
        """Free the lock that a record names, if it is held under that name."""
        address = self._lock_address(part)
        # GitLab wants the id in the query, the others in the body.
        answer = self._request(
            self.protocol.unlock_method, address, content=json.dumps(dict(record)), params={"ID": record.get("ID", "")}
        )
        if not answer.is_success and answer.status_code not in _HELD | _ABSENT:
            raise _refused("unlock", answer)

    def _lock_address(self, part: str) -> str:
        split = urlsplit(self.address(part))
        return urlunsplit(split._replace(path=split.path + self.protocol.lock_path))

    def _request(self, method: str, address: str, **sent: Any) -> httpx.Response:
        client: httpx.Client = self._client  # type: ignore[attr-defined]
        try:
            answer = client.request(method, address, **sent)
        except httpx.HTTPError as error:
            raise unreachable(f"no answer: {type(error).__name__}") from None
        self.said["time"] = _date(answer)
        return answer


def _date(answer: httpx.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _refused(what: str, answer: httpx.Response) -> OSError:
    words = f"to {what} was answered with HTTP {answer.status_code}"
    if answer.status_code in _DENIED:
        return denied(words)
    if what not in {"read", "write"} and answer.status_code in _NO_SUCH_METHOD:
        return unreachable(f"{words}: it locks in another way, which lockPath, lockMethod and unlockMethod say")
    return unreachable(words)
