"""A place whose documents and journal are sealed. Around any backend, which sees sealed bytes only.

The state's header has the key, wrapped for each reader; the journal's lines are sealed with a key derived from it. A
line says in the clear under which key and to which serial it was written, and is bound to that and to its position: one
that is missing, moved or from elsewhere does not open. The end of a journal can be cut off, as by a crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nacl.utils import random

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state.backends.backend import Backend, Stored
from dbc_iac.state.encryption.document import (
    Header,
    altered,
    decrypted,
    encrypted,
    open_sealed,
    seal,
    sealed_header,
)
from dbc_iac.state.encryption.keys import SIZE, Keyring, derived, fingerprint
from dbc_iac.values import Json


class Writes(StrEnum):
    """What becomes of the key, or of encryption, at the next write."""

    SEALED = "sealed"
    ANEW = "anew"
    """With a new key; also what was in the clear."""
    CLEAR = "clear"


@dataclass(frozen=True)
class _Opened:
    """The state's header and key, as last read or written. `header` None: it is in the clear."""

    header: Header | None
    key: bytes

    @property
    def of_lines(self) -> bytes:
        return derived(self.key, b"journal")


class SealedBackend:
    """A backend that seals what it is given. Every read raises DiagnosticError for what does not open."""

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
            if self._writes is Writes.SEALED:
                raise DiagnosticError(_in_the_clear(self.place))
            self._opened = _Opened(None, b"")
            return stored
        header, content, key = open_sealed(stored.content, self.place, self._keys)
        if (header.of, header.stack) != ("state", self._stack):
            altered(self.place)
        self._opened = _Opened(header, key)
        return Stored(content, stored.version)

    def write(self, content: bytes, serial: int, expected: str | None) -> None:
        if self._writes is Writes.CLEAR:
            self._inner.write(content, serial, expected)
            return
        said: dict[str, Any] = json.loads(content)
        before = self._opened
        if before is None or before.header is None or self._writes is Writes.ANEW:
            key, wrapped = random(SIZE), None
        else:
            key = before.key
            wrapped = before.header.keys if self._keys.written_for(before.header.keys) else None
        entries = tuple(self._keys.wrap(key)) if wrapped is None else wrapped
        header = Header("state", self._stack, str(said["lineage"]), int(said["serial"]), entries)
        self._inner.write(seal(content, header, key), serial, expected)
        self._opened = _Opened(header, key)

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
            raise DiagnosticError(_without_state(self.place))
        stale = [self._is_stale(line, opened) for line in found]
        self._stale = all(stale)
        if self._stale:
            return []
        if any(stale):  # nothing is written after them before they are gone
            altered(self.journal_place)
        return found if opened.header is None else [self._line(n, line, opened) for n, line in enumerate(found)]

    def _is_stale(self, line: bytes, opened: _Opened) -> bool:
        """Whether a line is from before the state got another key, or was encrypted, or put in the clear: a crash came
        between that and the end of the journal, and the state has all of it."""
        sealed = _said_by(line)
        if opened.header is None or sealed is None:
            return (opened.header is None) != (sealed is None)
        return sealed[0] != fingerprint(opened.key) and sealed[1] < opened.header.serial

    def _line(self, number: int, line: bytes, opened: _Opened) -> bytes:
        place = f"line {number + 1} of {self.journal_place}"
        said = _said_by(line)
        if said is None or said[0] != fingerprint(opened.key):
            altered(place)
        return decrypted(said[2], self._bound(number, said[1], opened), opened.of_lines, place)

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

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        return self._inner.lock(holder)

    def holder(self) -> Mapping[str, Json] | None:
        return self._inner.holder()

    def break_lock(self) -> None:
        self._inner.break_lock()

    def renew(self) -> None:
        self._inner.renew()


def _said_by(line: bytes) -> tuple[str, int, str] | None:
    """Key, serial and text of a sealed line; None of another one."""
    try:
        said = json.loads(line)
        return str(said["key"]), int(said["serial"]), str(said["sealed"])
    except (ValueError, KeyError, TypeError):
        return None


def _in_the_clear(place: str) -> Diagnostic:
    return Diagnostic(
        "state-in-the-clear",
        Severity.ERROR,
        f"{place} is in the clear, and the project encrypts its state",
        "Who can write there could have put another one in its place.",
        "Encrypt it once with `dbc-iac state encrypt`; or take `encryption` out of the project file.",
        exit_code=ExitCode.ERROR,
    )


def _without_state(place: str) -> Diagnostic:
    return Diagnostic(
        "state-lost",
        Severity.ERROR,
        f"{place} is gone, and its journal is encrypted with the key that it had",
        remedy=f"Restore {place} from an older version or a backup. Where there is none, remove its journal, too: then "
        "`dbc-iac state rebuild` finds again what the machines prove to be ours.",
        exit_code=ExitCode.ERROR,
    )
