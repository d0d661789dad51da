"""The runtime of a command: the runtime of operations, and the standard streams."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from typing import TextIO

from msgspec import field

from dbc_iac.cli.resilient_stream import or_null_device
from dbc_iac.operations.runtime import Runtime
from dbc_iac.views.text.lines import PLAIN_TEXT, Screen, escaped_lines

INTERRUPTED = "interrupted"
_LOG_COMMAND = re.compile(
    r"^(?P<indent>[^\S\n]*):(?=:[a-z][\w-]*(?: [^\n]*)?::)|#(?=#\[)", re.IGNORECASE | re.MULTILINE
)
"""Start of a command in a log of GitHub Actions: `::NAME::` at the start of a line, `##[NAME]` anywhere."""


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
