"""The runtime of a command: the runtime of operations, and standard streams that survive failures.

An apply must finish even when its output cannot be written: a VM powered off for a change would stay off otherwise.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, TextIO

from msgspec import field

from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.operations.runtime import Runtime
from dbc_iac.views.text.lines import PLAIN_TEXT, Screen, escaped_lines

INTERRUPTED = "interrupted"
_LOG_COMMAND = re.compile(
    r"^(?P<indent>[^\S\n]*):(?=:[a-z][\w-]*(?: [^\n]*)?::)|#(?=#\[)", re.IGNORECASE | re.MULTILINE
)
"""Start of a command in a log of GitHub Actions: `::NAME::` at the start of a line, `##[NAME]` anywhere."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Characters outside an encoding as `\\uXXXX`, which is valid inside JSON."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - of `encode`
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("dbc_iac.json", _escape)


class ResilientStream(io.TextIOBase, TextIO):
    """Writes to another stream until a write fails, and then discards everything, unless `failed` raises.

    Survives a closed pipe, a closed terminal, a full disk, and a limited encoding.
    """

    def __init__(self, stream: TextIO, failed: Callable[[Exception], None] = lambda error: None) -> None:
        super().__init__()
        self._stream = stream
        self._gone = False
        self.failed = failed

    def write(self, text: str) -> int:
        try:
            if not self._gone:
                encoding = self._stream.encoding or "utf-8"
                self._stream.write(text.encode(encoding, "dbc_iac.json").decode(encoding))
        except (OSError, ValueError) as error:  # a closed stream raises ValueError
            self.failed(error)
            self._gone = True
        return len(text)

    def flush(self) -> None:
        try:
            if not self._gone:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self.failed(error)
            self._gone = True

    @property
    def buffer(self) -> BinaryIO:  # click writes completions in bytes
        return self._stream.buffer

    def isatty(self) -> bool:
        return not self._gone and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"


def end_command(error: Exception) -> None:
    """End a command whose result cannot be written: BrokenPipeError if the reader is gone, else DiagnosticError."""
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        raise error
    summary = f"cannot write standard output ({error.strerror})"
    remedy = "Redirect it to a disk with free space."
    raise failure("unwritable-output", summary, remedy=remedy, exit_code=ExitCode.ERROR) from None


def or_null_device(stream: TextIO | None) -> TextIO:
    """A standard stream; the null device if the process was started without it."""
    return stream if stream is not None else Path(os.devnull).open("r+", encoding="utf-8")


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def standard_input() -> TextIO:
    """Standard input; empty if it is closed."""
    return sys.stdin or io.StringIO()  # None without a descriptor


class CommandRuntime(Runtime, frozen=True, kw_only=True):
    """The runtime of operations with standard streams. `terminal`: whether the user can be asked."""

    out: TextIO = field(default_factory=lambda: or_null_device(sys.stdout))
    err: TextIO = field(default_factory=lambda: or_null_device(sys.stderr))
    terminal: bool = field(default_factory=lambda: all(or_null_device(s).isatty() for s in (sys.stdin, sys.stdout)))

    def screen(self, stream: TextIO) -> Screen:
        """The layout of a stream: folded lines only on a terminal, colours unless NO_COLOR or TERM=dumb is set."""
        if not stream.isatty():
            return PLAIN_TEXT
        plain = self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb"
        return Screen(colours=not plain, columns=_columns(stream))

    def loggable(self, text: str) -> str:
        """The text without commands to the log of GitHub Actions; escaped so that JSON keeps its value."""
        if not self.environ.get("GITHUB_ACTIONS"):
            return text
        return _LOG_COMMAND.sub(lambda found: f"{found['indent'] or ''}\\u{ord(found[0][-1]):04x}", text)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines on standard output. Raises BrokenPipeError, and DiagnosticError for a full disk."""
        for text in lines:
            self.out.write(self.loggable(text if text.endswith("\n") else f"{text}\n"))
        self.out.flush()

    def print_err(self, text: str) -> None:
        """Print a line on standard error: progress and problems."""
        self.err.write(self.loggable(text if text.endswith("\n") else f"{text}\n"))
        self.err.flush()

    def report_progress(self, text: str) -> None:
        self.print_err(escaped_lines(text))
