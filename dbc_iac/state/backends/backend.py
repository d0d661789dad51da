"""What a place that keeps a state must be able to do, and nothing more. Bytes only: it knows no state and no record.

Everything raises OSError, with words for people in `strerror`, where the place cannot be reached or refuses. What is
written is there when the call returns. One object serves one stack, and one run at a time.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json


@dataclass(frozen=True, slots=True)
class Stored:
    """A document, and what tells it from every other that has been in its place."""

    content: bytes
    version: str


class MovedError(Exception):
    """Another document is there than the one that was to be replaced. Nothing was written."""


class LeaseLostError(DiagnosticError):
    """Another run took the lock over after its lease had ended. Nothing was written, and nothing may be any more."""

    def __init__(self, place: str) -> None:
        super().__init__(
            Diagnostic(
                "lease-lost",
                Severity.ERROR,
                f"the lock of {place} was taken over by another run",
                "This run was silent for longer than its lease. What it did is in the journal as far as it got.",
                "Look at what the other run does. When it has ended, apply again.",
                exit_code=ExitCode.PARTIAL,
            )
        )


class Backend(Protocol):
    """A place for one stack: a document, a journal, a lock."""

    @property
    def place(self) -> str:
        """Where the document is, for people."""

    @property
    def journal_place(self) -> str:
        """Where the journal is, for people."""

    @property
    def whole_place(self) -> str:
        """What to remove to forget all of the stack, for people."""

    @property
    def lease(self) -> float | None:
        """Seconds after which a lock that was not renewed may be taken over. None: it goes with its process."""

    def read(self) -> Stored | None:
        """The document; None where there is none."""

    def write(self, content: bytes, serial: int, expected: str | None) -> None:
        """Put a document in place of the version `expected` (None: of none). The lock is held.

        Keeps it as the version of its serial, too, where the place keeps versions. Raises MovedError, LeaseLostError.
        """

    def stacks(self) -> list[str] | None:
        """The stacks that have a state in this place, in order; None where it cannot be asked."""

    def kept(self) -> list[int]:
        """Serials of the versions that are kept, in order."""

    def version_place(self, serial: int) -> str:
        """Where the version of a serial is, for people."""

    def lines(self) -> list[bytes]:
        """The journal: all whole lines, without their ends."""

    def append(self, line: bytes, *, sync: bool) -> None:
        """Add a line to the journal; with `sync` it is there when this returns, and so are all before it.

        The lock is held. Raises LeaseLostError.
        """

    def clear(self) -> None:
        """Empty the journal. The lock is held."""

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        """Hold the lock. Entering raises DiagnosticError (exit code LOCKED) that says who holds it."""

    def holder(self) -> Mapping[str, Json] | None:
        """Who holds the lock, for people; None where nobody does."""

    def break_lock(self) -> None:
        """Free the lock whoever holds it, which can write nothing any more. Nothing to do where a process holds it."""

    def renew(self) -> None:
        """Begin the lease anew. Called from another thread while the lock is held. Raises LeaseLostError."""


class DeniedError(OSError):
    """The place is there, and does not know who asks, or does not let it."""


def code_of(error: OSError) -> ExitCode:
    """What a command ends with that could not ask a place."""
    return ExitCode.AUTHORISATION if isinstance(error, DeniedError) else ExitCode.ERROR


def denied(words: str) -> OSError:
    return DeniedError(errno.EACCES, words)


def unreachable(words: str) -> OSError:
    """What a place raises that is no file system."""
    return OSError(errno.EIO, words)
