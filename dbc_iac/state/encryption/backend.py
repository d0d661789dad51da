"""A backend that seals documents and journal. It wraps any backend, which sees sealed bytes only.

The state's header has the key, wrapped for each reader; the journal's lines are sealed with a key derived from it. A
line names its key and serial in the clear, and is bound to them and to its position: a missing, moved or foreign line
does not open. The end of a journal can be cut off, as by a crash. A state with a new key names the journal that was
folded into it: only that one may remain unopened until it is cleared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

from msgspec import Struct
from nacl.encoding import HexEncoder
from nacl.hash import blake2b
from nacl.utils import random

from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import Backend, Stored
from dbc_iac.state.document import MAX_VALUES
from dbc_iac.state.encryption.document import (
    Header,
    decrypted,
    encrypted,
    open_sealed,
    refuse_altered,
    seal,
    sealed_header,
)
from dbc_iac.state.encryption.keys import SIZE, Keyring, derived, fingerprint


class Writes(StrEnum):
    """Encryption of the next write."""

    SEALED = "sealed"
    NEW_KEY = "new-key"
    FIRST = "first"
    """With a new key, also if the stored state is not encrypted."""
    CLEAR = "clear"


class _Opened(Struct, frozen=True):
    """The state's header and key, as last read or written. `header` None: it is not encrypted."""

    __repr__ = object.__repr__  # the key

    header: Header | None
    key: bytes

    @property
    def of_lines(self) -> bytes:
        return derived(self.key, b"journal")


class EncryptedBackend:
    """A backend that seals every write. Reads raise DiagnosticError for a document or line that does not open."""

    def __init__(self, inner: Backend, keys: Keyring, stack: str, writes: Writes = Writes.SEALED) -> None:
        self._inner = inner
        self._keys = keys
        self._stack = stack
        self._writes = writes
        self._opened: _Opened | None = None
        self._lines = 0
        self._stale = False

    @property
    def place(self) -> str:
        return self._inner.place

    @property
    def journal_place(self) -> str:
        return self._inner.journal_place

    @property
    def whole_place(self) -> str:
        return self._inner.whole_place

    @property
    def lease(self) -> float | None:
        return self._inner.lease

    def read(self) -> Stored | None:
        stored = self._inner.read()
        if stored is None:
            self._opened = None
            return None
        if sealed_header(stored.content, self.place) is None:
            if not _is_a_state(stored.content):
                refuse_altered(self.place)
            if self._writes in {Writes.SEALED, Writes.NEW_KEY}:
                raise _in_the_clear(self.place)
            self._opened = _Opened(None, b"")
            return stored
        header, content, key = open_sealed(stored.content, self.place, self._keys)
        if (header.of, header.stack) != ("state", self._stack):
            refuse_altered(self.place)
        self._opened = _Opened(header, key)
        return Stored(content, stored.version)

    def write(self, content: bytes, serial: int, expected: str | None) -> str:
        if self._writes is Writes.CLEAR:
            return self._inner.write(content, serial, expected)
        state: dict[str, Any] = load_json(content, most=MAX_VALUES)
        before = self._opened
        if before is None or before.header is None or self._writes in {Writes.NEW_KEY, Writes.FIRST}:
            key, wrapped, folded = random(SIZE), None, _digest(self._inner.lines())
        else:
            key, folded = before.key, before.header.folded
            wrapped = before.header.keys if self._keys.written_for(before.header.keys) else None
        entries = tuple(self._keys.wrap(key)) if wrapped is None else wrapped
        header = Header("state", self._stack, str(state["lineage"]), int(state["serial"]), entries, folded)
        version = self._inner.write(seal(content, header, key), serial, expected)
        self._opened = _Opened(header, key)
        return version

    @property
    def is_sealed(self) -> bool:
        """Whether the last document read was encrypted."""
        return self._opened is not None and self._opened.header is not None

    def stacks(self) -> list[str] | None:
        return self._inner.stacks()

    def kept(self) -> list[int]:
        return self._inner.kept()

    def version_place(self, serial: int) -> str:
        return self._inner.version_place(serial)

    def lines(self) -> list[bytes]:
        found = self._inner.lines()
        self._lines = len(found)
        if found and self._opened is None:
            self.read()
        if not found:
            return []
        opened = self._opened
        if opened is None:
            raise _without_state(self.place)
        self._stale = self._is_stale(found, opened)
        if self._stale:
            return []
        return found if opened.header is None else [self._line(n, line, opened) for n, line in enumerate(found)]

    def _is_stale(self, found: Sequence[bytes], opened: _Opened) -> bool:
        """Whether a journal is older than the state's key or encryption: after a crash before it was cleared. The state
        has all of it."""
        if opened.header is None:  # a state in the clear proves nothing
            return all(_sealed_line(line) is not None for line in found)
        return opened.header.folded == _digest(found)

    def _line(self, number: int, line: bytes, opened: _Opened) -> bytes:
        place = f"line {number + 1} of {self.journal_place}"
        sealed = _sealed_line(line)
        if sealed is None or sealed[0] != fingerprint(opened.key):
            refuse_altered(place)
        return decrypted(sealed[2], self._bound(number, sealed[1], opened), opened.of_lines, place)

    def append(self, line: bytes, *, sync: bool) -> None:
        if self._stale:
            self.clear()
        opened = self._opened
        if opened is None or opened.header is None:
            self._inner.append(line, sync=sync)
            return
        serial = opened.header.serial
        text = encrypted(line, self._bound(self._lines, serial, opened), opened.of_lines)
        whole = json.dumps({"key": fingerprint(opened.key), "serial": serial, "sealed": text}).encode()
        self._inner.append(whole, sync=sync)
        self._lines += 1

    def _bound(self, number: int, serial: int, opened: _Opened) -> bytes:
        assert opened.header is not None  # noqa: S101 - sealed
        lineage = opened.header.lineage
        return json.dumps(["journal", self._stack, lineage, serial, number], separators=(",", ":")).encode()

    def clear(self) -> None:
        self._inner.clear()
        self._lines, self._stale = 0, False

    def clear_stale(self) -> None:
        """Clear a journal that was folded into the state before its key changed. The lock is held."""
        if self.lines() == [] and self._stale:
            self.clear()

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        return self._inner.lock(holder)

    def holder(self) -> Mapping[str, Json] | None:
        return self._inner.holder()

    def break_lock(self) -> None:
        self._inner.break_lock()

    def renew(self) -> None:
        self._inner.renew()


def _is_a_state(content: bytes) -> bool:
    """Whether a document looks like an unencrypted state, not a truncated one."""
    try:
        return "formatVersion" in load_json(content, most=MAX_VALUES)
    except (ValueError, TypeError):
        return False


def _digest(lines: Sequence[bytes]) -> str:
    """Digest of a whole journal as stored; empty for an empty one."""
    return blake2b(b"\n".join(lines), encoder=HexEncoder).decode() if lines else ""


def _sealed_line(line: bytes) -> tuple[str, int, str] | None:
    """Key, serial and text of a sealed line; None for another line."""
    try:
        record = load_json(line)
        return str(record["key"]), int(record["serial"]), str(record["sealed"])
    except (ValueError, KeyError, TypeError):
        return None


def _in_the_clear(place: str) -> DiagnosticError:
    return failure(
        "state-in-the-clear",
        f"{place} is not encrypted",
        "The project encrypts its state. Anyone who can write there could have replaced it.",
        "Run `dbc-iac state encrypt` once, or remove `encryption` from the project file.",
        exit_code=ExitCode.ERROR,
    )


def _without_state(place: str) -> DiagnosticError:
    return failure(
        "state-lost",
        f"{place} is missing, but its journal exists",
        "The journal is encrypted with the key of the state.",
        remedy=f"Restore {place} from an older version or a backup. If there is none, remove its journal and run "
        "`dbc-iac state rebuild`.",
        exit_code=ExitCode.ERROR,
    )
