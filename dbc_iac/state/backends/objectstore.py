"""State in an object store with conditional writes: S3 and compatible stores, GCS, Azure.

    <prefix>/<stack>/state, journal-<n>, lock, clock        <prefix>/<stack>/history/<serial>

An object is replaced only in the version that its writer has seen. A store cannot check the lock while it writes an
object. So a run that takes the lock over from one whose lease has ended rewrites all objects, with its own token in
their first line (absent ones too): the former holder has not seen these versions and can write none of them. Only old
versions of the state are deleted, since a deletion cannot be conditional.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import obstore
from msgspec import Struct, field
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import ObjectStore, from_url

from dbc_iac.api.http import HEADER_VALUE, MIB
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import LeaseLostError, MovedError, Stored, denied, unreachable
from dbc_iac.state.backends.log_levels import DEPTH, LevelledBackend, Numbered
from dbc_iac.state.backends.remote import held_until
from dbc_iac.state.backends.store_credentials import missing_credentials

KEPT = 10
"""Versions that are kept besides the current one."""
STATE, LOCK, CLOCK = "state", "lock", "clock"
JOURNAL = tuple(f"journal-{n}" for n in range(DEPTH))
TRIES = 5
DEADLINE = timedelta(seconds=40)
"""Of a request. Until then it is tried again, so that a call ends after twice as long."""
MAX_BYTES = 256 * MIB


class Object(Struct, frozen=True):
    """An object: its first line, a JSON object, and what follows. `seen` is the version that was seen of it."""

    head: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    seen: Any = None
    written: datetime | None = None
    """Time of the last write, by the store's clock."""


class ObjectStoreBackend(LevelledBackend):
    """State of one stack below a prefix. `name` is for people."""

    def __init__(self, store: ObjectStore, name: str, stack: str, token: Callable[[], str]) -> None:
        super().__init__(token)
        self._store = store
        self._name = name.rstrip("/")
        self._stack = stack
        self._seen: dict[str, Any] = {}
        """Versions of the objects, as this holder of the lock has seen or written them."""

    @property
    def place(self) -> str:
        return f"{self._name}/{self._stack}/{STATE}"

    def read(self) -> Stored | None:
        content = self._get(STATE).content
        return None if content is None else Stored(content, hashlib.sha256(content).hexdigest())

    def _write(self, content: bytes, serial: int, expected: str | None) -> str:
        there = self._get(STATE)
        version = None if there.content is None else hashlib.sha256(there.content).hexdigest()
        if version != expected:
            raise MovedError
        self._replace(STATE, content)
        with suppress(OSError):  # the state is there; a version of it that is not kept does no harm
            self._put(f"history/{serial}", Object({"by": self._token}, content), "overwrite")
            for old in self.kept()[: -KEPT - 1]:
                obstore.delete(self._store, self._path(f"history/{old}"))
        return hashlib.sha256(content).hexdigest()

    def stacks(self) -> list[str] | None:
        try:
            with _translated():
                found = obstore.list_with_delimiter(self._store)["common_prefixes"]
        except FileNotFoundError:
            raise _no_bucket() from None
        return sorted(str(prefix).rstrip("/").rpartition("/")[2] for prefix in found)

    def kept(self) -> list[int]:
        try:
            with _translated():
                listed = obstore.list(self._store, self._path("history")).collect()
        except FileNotFoundError:
            raise _no_bucket() from None
        names = (str(one["path"]).rpartition("/")[2] for one in listed)
        return sorted(int(name) for name in names if name.isdecimal())

    def version_place(self, serial: int) -> str:
        return f"{self._name}/{self._stack}/history/{serial}"

    def _read_level(self, level: int) -> Any:
        try:
            return load_json(self._get(JOURNAL[level]).content or b"[]")
        except ValueError:
            return None  # refused with the other levels

    def _write_level(self, level: int, lines: Sequence[Numbered]) -> None:
        self._replace(JOURNAL[level], json.dumps(list(lines), separators=(",", ":")).encode())

    def _acquire(self, token: str, holder: Mapping[str, Json]) -> None:
        there = self._get(LOCK)
        held = bool(there.head.get("token"))
        if held and not self._lapsed(there):
            raise DiagnosticError(held_until(_holder(there.head), self.place))
        self._token = token
        mine = Object({"token": token, "holder": dict(holder)}, b"", there.seen)
        if not self._swap(LOCK, mine):
            self._token = ""
            raise DiagnosticError(held_until(self.holder() or {}, self.place))
        self._require_conditions(mine)
        if held:
            for part in (*JOURNAL, STATE):
                self._take(part)
        else:
            self._seen |= {part: self._get(part).seen for part in (*JOURNAL, STATE)}

    def _require_conditions(self, mine: Object) -> None:
        """Check that two writes are refused. Some stores accept them: there every run would hold the lock."""
        stale = self._seen[LOCK] if mine.seen is None else mine.seen
        if mine.seen is None:
            self._renew()
        for mode in ("create", stale):
            with suppress(AlreadyExistsError, PreconditionError):
                self._seen[LOCK] = self._put(LOCK, mine, mode)
                raise _unconditional(self._name)

    def _take(self, part: str) -> None:
        """Rewrite an object unchanged, so that the former holder of the lock cannot write it."""
        for _ in range(TRIES):
            there = self._get(part)
            if self._swap(part, Object({"by": self._token}, there.content, there.seen)):
                return
        raise unreachable(f"{part} is still being written by another run")

    def holder(self) -> Mapping[str, Json] | None:
        head = self._get(LOCK).head
        return _holder(head) if head.get("token") else None

    def break_lock(self) -> None:
        """End the lease and take the objects over. The next run does that again."""
        there = self._get(LOCK)
        if not there.head.get("token"):
            return
        if not self._swap(LOCK, Object({**there.head, "broken": True}, b"", there.seen)):
            raise unreachable("the lock is in use: it was written just now")
        for part in (*JOURNAL, STATE):
            self._take(part)

    def _lapsed(self, there: Object) -> bool:
        """Whether the lock was last written longer ago than its lease, by the store's clock: that of an object written
        now."""
        if there.head.get("broken"):
            return True
        self._put(CLOCK, Object(), "overwrite")
        now = self._get(CLOCK).written
        if now is None or there.written is None:
            return False
        return (now - there.written).total_seconds() >= self.lease

    def _renew(self) -> None:
        self._hold(lambda head: head)

    def _release(self) -> None:
        self._seen.clear()
        self._hold(lambda _: {})

    def _hold(self, following: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        there = self._get(LOCK)
        if there.head.get("token") != self._token or there.head.get("broken"):
            raise LeaseLostError(self.place)
        if not self._swap(LOCK, Object(following(there.head), b"", there.seen)):
            raise LeaseLostError(self.place)

    def _replace(self, part: str, content: bytes) -> None:
        if not self._swap(part, Object({"by": self._token}, content, self._seen.get(part))):
            raise LeaseLostError(self.place)

    def _swap(self, part: str, new: Object) -> bool:
        """Replace the seen version of an object. False if another version is stored."""
        new = Object({**new.head, "n": self._new_token()}, new.content, new.seen)  # no two writes are alike
        try:
            self._seen[part] = self._put(part, new, "create" if new.seen is None else new.seen)
        except (AlreadyExistsError, PreconditionError):
            there = self._get(part)
            if there.head != new.head:  # else this write: the request was repeated on the way
                return False
            self._seen[part] = there.seen
        return True

    def _put(self, part: str, new: Object, mode: Any) -> Any:
        head = {**new.head, **({"absent": True} if new.content is None else {})}
        try:
            with _translated():
                body = json.dumps(head).encode() + b"\n" + (new.content or b"")
                return _version(obstore.put(self._store, self._path(part), body, mode=mode))
        except FileNotFoundError:
            raise _no_bucket() from None

    def _get(self, part: str) -> Object:
        try:
            with _translated():
                answer = obstore.get(self._store, self._path(part))
                line, _, content = self._body(answer).partition(b"\n")
        except FileNotFoundError:
            return Object()
        seen = _version(answer.meta)
        try:
            first = dict(load_json(line))
        except (ValueError, TypeError):
            raise unreachable(f"{self._name}/{self._stack}/{part} is not an object of dbc-iac") from None
        head = {k: v for k, v in first.items() if k != "absent"}
        return Object(head, None if "absent" in first else content, seen, answer.meta["last_modified"])

    def _body(self, answer: obstore.GetResult) -> bytes:
        """The answer's body, counted while it is read. No Content-Encoding is requested or decoded."""
        if "Content-Encoding" in answer.attributes:
            raise unreachable("its answer has a Content-Encoding, which was not asked for")
        received = bytearray()
        for chunk in answer.stream():
            received += chunk
            if len(received) > MAX_BYTES:
                raise unreachable(f"its answer is longer than {MAX_BYTES // MIB} MiB")
        return bytes(received)

    def _path(self, part: str) -> str:
        return f"{self._stack}/{part}"


def _holder(head: Mapping[str, Any]) -> dict[str, Json]:
    holder = head.get("holder")
    return holder if isinstance(holder, dict) else {}


def _version(meta: Mapping[str, Any]) -> dict[str, str]:
    """Identity of a version: an etag, with GCS a generation."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}


_SENT = re.compile("(AWS|AZURE|GOOGLE)_.*(KEY|KEY_ID|SECRET|TOKEN)(?<!SERVICE_ACCOUNT_KEY)", re.IGNORECASE)
"""Variables whose values the store sends in headers."""

_REASON = re.compile(r"Missing \w+|Account must be specified|Unable to (open|decode) service account file")
"""Messages of the client about incomplete credentials, without their values."""


def object_store(address: str, endpoint: str, region: str, credentials: Mapping[str, str]) -> ObjectStore:
    """The store at an address (s3://, gs://, az://). Omitted settings are those of the environment.

    Raises OSError if the store does not know the address or a credential, or a credential cannot be sent, and
    DiagnosticError if there are no credentials.
    """
    for name, value in os.environ.items():
        if _SENT.fullmatch(name) and not re.fullmatch(HEADER_VALUE, value):
            raise unreachable(f"environment variable {name} holds other characters than printable ASCII")
    plain = endpoint.startswith("http://")
    given = {"endpoint": endpoint, "region": region, **credentials}
    config: Any = {name: value for name, value in given.items() if value}
    try:
        store: ObjectStore = from_url(  # of another scheme it is not: the project file was checked
            address,
            config=config,
            client_options={"allow_http": plain, "timeout": DEADLINE, "connect_timeout": DEADLINE},
            retry_config={"max_retries": 3, "retry_timeout": DEADLINE},
        )
    except UnknownConfigurationKeyError:
        raise unreachable("a name of `credentials` is not known to the store") from None
    except (BaseError, ValueError) as error:
        if (missing := missing_credentials(address, credentials, os.environ)) is not None:
            raise DiagnosticError(missing) from None
        reason = _REASON.search(str(error))
        raise unreachable(reason[0] if reason else "the store refuses the address or a credential") from None
    if (missing := missing_credentials(address, credentials, os.environ)) is not None:
        raise DiagnosticError(missing)
    return store


def _no_bucket() -> OSError:
    return unreachable("there is no such bucket")


def _unconditional(name: str) -> DiagnosticError:
    return failure(
        "store-unconditional",
        f"{name} ignores If-None-Match or If-Match",
        "It accepted a write that it must refuse. Without conditional writes there is no lock: two runs could create "
        "every object twice.",
        "Use a store that honours conditional writes, or another backend. See docs/state.md.",
        exit_code=ExitCode.ERROR,
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the store's errors into OSError, without its words: they can hold addresses that are credentials."""
    try:
        yield
    except (AlreadyExistsError, PreconditionError, FileNotFoundError):
        raise
    except (PermissionDeniedError, UnauthenticatedError):
        raise denied("the credentials do not permit it") from None
    except BaseError as error:
        raise unreachable(_reason(str(error))) from None


def _reason(error: str) -> str:
    """Why a request failed, without the store's words."""
    status = re.search(r"status code: (\d{3})|status: (\d{3})", error)
    if status:
        return f"it answered with HTTP {status[1] or status[2]}"
    return next((ours for theirs, ours in _REASONS if theirs in error), "no answer, or not the one expected")


_REASONS = (
    ("InvalidCertificate", "its certificate is not trusted"),
    ("dns error", "its name does not resolve"),
    ("ConnectionRefused", "connection refused"),
    ("ConnectionReset", "connection reset by peer"),
    ("kind: Timeout", f"no answer within {DEADLINE.seconds} s"),
    ("BareRedirect", "it redirects: the region may be another one"),
    ("kind: Connect", "it cannot be reached"),
)
