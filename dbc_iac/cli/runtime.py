"""What a command may use of the world outside: injected, so that tests and the demo run the same commands."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from dbc_iac.cli.resilient_stream import present
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.views.text.lines import PAPER, Screen

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def _network(name: str) -> httpx.AsyncBaseTransport | None:
    return None


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


@dataclass(frozen=True)
class Runtime:
    """Streams, environment, clock, randomness, and how coroutines are run.

    `transport` gives what stands in for the network towards a node that is asked, by its name: a client node's, or the
    address of a document whose `url` is asked. None for the real one.
    `run` drives a coroutine to its end; a demo or a test gives one persistent event loop with a virtual clock.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    out: TextIO = field(default_factory=lambda: present(sys.stdout))
    err: TextIO = field(default_factory=lambda: present(sys.stderr))
    terminal: bool = field(default_factory=lambda: present(sys.stdin).isatty() and present(sys.stdout).isatty())
    run: Callable[[Coroutine[Any, Any, Any]], Any] = _run
    transport: Callable[[str], httpx.AsyncBaseTransport | None] = _network
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    uuid: Callable[[], uuid.UUID] = uuid.uuid4

    def screen(self, stream: TextIO) -> Screen:
        """What a stream is shown on: folded lines only on a terminal, colours only where they are wanted."""
        if not stream.isatty():
            return PAPER
        plain = self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb"
        return Screen(colours=not plain, columns=_columns(stream))

    def say(self, text: str) -> None:
        """A line on standard output. Raises BrokenPipeError where nobody reads, DiagnosticError without room."""
        try:
            self.out.write(text if text.endswith("\n") else f"{text}\n")
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            summary = f"standard output cannot be written ({error.strerror})"
            remedy = "Let it go where there is room."
            problem = Diagnostic("unwritable-output", Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.ERROR)
            raise DiagnosticError(problem) from None

    def tell(self, text: str) -> None:
        """A line on standard error: progress and problems."""
        self.err.write(text if text.endswith("\n") else f"{text}\n")
        self.err.flush()
