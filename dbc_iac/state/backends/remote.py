"""What places beyond this machine have in common: a lock with a lease, and a journal that is sent when it must be.

A lease is measured by the clock of the place, never by that of whoever looks: a wrong one would take over too early.
Every write is sent as its holder's, and the place itself refuses the run that was taken over.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import LeaseLostError, Stored
from dbc_iac.state.lock import held

LEASE = 120.0
"""Seconds. The successor of a job that was killed waits no longer; a holder may be cut off for as long."""


def held_until(who: Mapping[str, object], place: str) -> Diagnostic:
    """That a lock with a lease is held."""
    remedy = f"Wait for it to end. If it was killed, {LEASE:g} s are enough; `dbc-iac state unlock` frees it at once."
    return held(who, f"Lock of {place}.", remedy)


def said_by(text: str) -> dict[str, Json]:
    """Who a holder said to be, in JSON; nothing where it cannot be read."""
    try:
        said = load_json(text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


class RemoteBackend(ABC):
    """A place with a lease. What it appends is sent with the next line that must be there, so that results are free."""

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
        return f"the journal of {self.place}"

    @property
    def whole_place(self) -> str:
        return self.place

    @abstractmethod
    def read(self) -> Stored | None: ...

    def write(self, content: bytes, serial: int, expected: str | None) -> None:
        self._require_lock()
        self._write(content, serial, expected)

    @abstractmethod
    def stacks(self) -> list[str] | None: ...

    @abstractmethod
    def kept(self) -> list[int]: ...

    @abstractmethod
    def version_place(self, serial: int) -> str: ...

    def lines(self) -> list[bytes]:
        if self._known is None:
            found = self._read_lines()
            if not self._token:
                return found
            self._known = found
        return [*self._known, *self._unsent]

    def append(self, line: bytes, *, sync: bool) -> None:
        self._require_lock()
        self.lines()
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
            if self._token:  # else somebody else has it
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
        """Send what was not sent. It stays to be sent where that fails."""
        if self._unsent and self._known is not None:
            self._append(self._unsent)
            self._known += self._unsent
            self._unsent = []

    def _require_lock(self) -> None:
        if not self._token:
            raise LeaseLostError(self.place)

    @abstractmethod
    def _write(self, content: bytes, serial: int, expected: str | None) -> None: ...
    @abstractmethod
    def _read_lines(self) -> list[bytes]: ...
    @abstractmethod
    def _append(self, lines: list[bytes]) -> None:
        """Add lines as the holder. They are there when this returns."""

    @abstractmethod
    def _clear(self) -> None: ...
    @abstractmethod
    def _acquire(self, token: str, holder: Mapping[str, Json]) -> None:
        """Take the lock, also from a holder whose lease has ended. Raises DiagnosticError where it is held.

        `_token` is set from the moment on at which the lock may be ours, also where this raises OSError.
        """

    @abstractmethod
    def holder(self) -> Mapping[str, Json] | None: ...
    @abstractmethod
    def break_lock(self) -> None: ...
    @abstractmethod
    def _renew(self) -> None: ...
    @abstractmethod
    def _release(self) -> None: ...
