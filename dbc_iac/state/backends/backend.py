"""The interface of backends, in bytes: they know no state and no record.

Every method raises OSError, with a text for people in `strerror`, if the backend cannot be reached or refuses. Writes
are durable when they return. One object serves one stack, and one run at a time.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json


class Stored(Struct, frozen=True):
    """A document and the identity of its version."""

    content: bytes
    version: str


class MovedError(Exception):
    """The stored document is not the version to be replaced. Nothing was written."""


class LeaseLostError(DiagnosticError):
    """Another run took the lock over after its lease had ended. Nothing was written, nor may be from now on."""

    def __init__(self, place: str) -> None:
        super().__init__(
            Diagnostic(
                "lease-lost",
                Severity.ERROR,
                f"the lock of {place} was taken over by another run",
                "The lease was not renewed in time. Completed calls are in the journal as far as it was written.",
                "Wait for the other run to end, then run the command again.",
                exit_code=ExitCode.PARTIAL,
            )
        )


class Backend(Protocol):
    """Storage of one stack: a document, a journal, a lock."""

    @property
    def place(self) -> str:
        """Location of the document, for people."""

    @property
    def journal_place(self) -> str:
        """Location of the journal, for people."""

    @property
    def whole_place(self) -> str:
        """Everything that is stored of the stack, for people."""

    @property
    def lease(self) -> float | None:
        """Seconds after which a lock that was not renewed may be taken over. None: it ends with its process."""

    def read(self) -> Stored | None:
        """The document; None if there is none."""

    def write(self, content: bytes, serial: int, expected: str | None) -> str:
        """Replace the version `expected` (None: there is none); returns the new one. The lock is held.

        A backend with versions keeps it as the version of its serial too. Raises MovedError, LeaseLostError.
        """

    def stacks(self) -> list[str] | None:
        """Stacks with a state in this backend, sorted; None if it cannot list them."""

    def kept(self) -> list[int]:
        """Serials of the kept versions, sorted."""

    def version_place(self, serial: int) -> str:
        """Location of the version of a serial, for people."""

    def lines(self) -> list[bytes]:
        """The journal: all whole lines, without their ends."""

    def append(self, line: bytes, *, sync: bool) -> None:
        """Add a line to the journal; with `sync` it and all lines before it are durable when this returns.

        The lock is held. Raises LeaseLostError.
        """

    def clear(self) -> None:
        """Empty the journal. The lock is held."""

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        """Hold the lock. Entering raises DiagnosticError (exit code LOCKED) that names its holder."""

    def holder(self) -> Mapping[str, Json] | None:
        """Holder of the lock, for people; None if it is free."""

    def break_lock(self) -> None:
        """Free the lock of any holder, which can write nothing from then on. No effect on the lock of a process."""

    def renew(self) -> None:
        """Renew the lease. Called from another thread while the lock is held. Raises LeaseLostError."""


def parse_holder(text: str | bytes) -> dict[str, Json]:
    """The holder of a lock from its JSON; empty if it cannot be read."""
    try:
        holder = load_json(text)
    except ValueError:
        holder = None
    return holder if isinstance(holder, dict) else {}


def held(who: Mapping[str, object], where: str, remedy: str) -> Diagnostic:
    """The problem of a held lock, with its holder."""
    named = ", ".join(f"{k} {who[k]}" for k in ("command", "host", "pid", "user", "since", "run") if who.get(k))
    return Diagnostic(
        "state-locked",
        Severity.ERROR,
        "the state is locked by another run",
        f"Held by: {named or 'unknown'}. {where}",
        remedy,
        exit_code=ExitCode.LOCKED,
    )


class DeniedError(OSError):
    """Authentication or authorisation failed."""


def code_of(error: OSError) -> ExitCode:
    """Exit code of a command whose backend failed."""
    return ExitCode.AUTHORISATION if isinstance(error, DeniedError) else ExitCode.ERROR


def denied(words: str) -> OSError:
    return DeniedError(errno.EACCES, words)


def unreachable(words: str) -> OSError:
    """The error of a remote backend."""
    return OSError(errno.EIO, words)
