"""Common base of remote backends: a lock with a lease, and a journal that is sent when it has to be durable.

A lease is measured by the backend's clock, never by that of another run: a wrong one would take over too early. Every
write is sent with the holder's token, and the backend refuses a run whose lock was taken over.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.state.backends.backend import LeaseLostError, Stored, held

LEASE = 120.0
"""Seconds. A run waits no longer for the lock of a killed one; a holder may be disconnected for as long."""


def held_until(who: Mapping[str, object], place: str) -> Diagnostic:
    """The problem of a held lock with a lease."""
    remedy = f"Use --lock-timeout {LEASE:g}s to wait for it; if its run was killed, `dbc-iac state unlock` frees it."
    return held(who, f"Lock of {place}.", remedy)


class RemoteBackend(ABC):
    """A backend with a lease. Appended lines are sent with the next one that has to be durable."""

    lease = LEASE

    def __init__(self, token: Callable[[], str]) -> None:
        self._new_token = token
        self._token = ""
        self._known: list[bytes] | None = None  # while the lock is held nobody else writes
        self._unsent: list[bytes] = []
        self._held = threading.RLock()  # renewals come from another thread

    @property
    @abstractmethod
    def place(self) -> str: ...

    @property
    def journal_place(self) -> str:
        return f"journal of {self.place}"

    @property
    def whole_place(self) -> str:
        return self.place

    @abstractmethod
    def read(self) -> Stored | None: ...

    def write(self, content: bytes, serial: int, expected: str | None) -> str:
        self._require_lock()
        return self._write(content, serial, expected)

    @abstractmethod
    def stacks(self) -> list[str] | None: ...

    @abstractmethod
    def kept(self) -> list[int]: ...

    @abstractmethod
    def version_place(self, serial: int) -> str: ...

    def lines(self) -> list[bytes]:
        return [*(self._read_lines() if self._known is None and not self._token else self._as_holder()), *self._unsent]

    def _as_holder(self) -> list[bytes]:
        """The lines that were sent; read once."""
        if self._known is None:
            self._known = self._read_lines()
        return self._known

    def append(self, line: bytes, *, sync: bool) -> None:
        self._require_lock()
        self._as_holder()
        self._unsent.append(line)
        if sync:
            self._flush()

    def clear(self) -> None:
        self._require_lock()
        self._unsent.clear()
        self._known = []
        self._clear()

    @contextmanager
    def lock(self, holder: Mapping[str, Json]) -> Iterator[None]:
        self._known = None
        try:
            self._acquire(self._new_token(), holder)
            yield
        finally:
            if self._token:  # else another run has it
                self._leave()

    def _leave(self) -> None:
        with suppress(OSError, LeaseLostError):  # results: they can be asked for again
            self._flush()
        with self._held, suppress(OSError, LeaseLostError):  # it ends by itself
            self._release()
        self._token, self._known = "", None
        self._unsent.clear()

    def renew(self) -> None:
        with self._held:
            self._require_lock()
            self._renew()

    def _flush(self) -> None:
        """Send the unsent lines. They stay unsent if that fails."""
        if self._unsent and self._known is not None:
            self._append(self._unsent)
            self._known += self._unsent
            self._unsent = []

    def _require_lock(self) -> None:
        if not self._token:
            raise LeaseLostError(self.place)

    @abstractmethod
    def _write(self, content: bytes, serial: int, expected: str | None) -> str: ...
    @abstractmethod
    def _read_lines(self) -> list[bytes]: ...
    @abstractmethod
    def _append(self, lines: list[bytes]) -> None:
        """Add lines as the holder. They are durable when this returns."""

    @abstractmethod
    def _clear(self) -> None: ...
    @abstractmethod
    def _acquire(self, token: str, holder: Mapping[str, Json]) -> None:
        """Take the lock, also from a holder whose lease has ended. Raises DiagnosticError if it is held.

        `_token` is set as soon as the lock may be held, also if this raises OSError.
        """

    @abstractmethod
    def holder(self) -> Mapping[str, Json] | None: ...
    @abstractmethod
    def break_lock(self) -> None: ...
    @abstractmethod
    def _renew(self) -> None: ...
    @abstractmethod
    def _release(self) -> None: ...
