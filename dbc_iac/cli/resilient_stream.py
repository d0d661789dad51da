"""Streams that survive a closed pipe, a closed terminal, a full disk, and an encoding with few characters.

An apply must finish even when its output cannot be written: a VM powered off for a change would stay off otherwise.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity


class ResilientStream(io.TextIOBase, TextIO):
    """Writes to another stream until a write fails, calls `broken`, and from then on discards everything."""

    def __init__(self, stream: TextIO, broken: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._stream = stream
        self._broken = broken
        self._gone = False

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(encodable(text, self._stream)))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, does: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            does()
        except (OSError, ValueError):  # ValueError: of a stream that was closed
            self._gone = True
            self._broken()

    def isatty(self) -> bool:
        return not self._gone and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"


class StandardOutput(io.TextIOBase, TextIO):
    """Standard output for who writes to it directly, as click does with a help text.

    Raises BrokenPipeError where nobody reads, DiagnosticError where there is no room.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(encodable(text, self._stream))
        except OSError as error:
            _raise_unwritable(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _raise_unwritable(error)

    @property
    def buffer(self) -> BinaryIO:  # click writes completions in bytes
        return self._stream.buffer

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"


def _raise_unwritable(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        raise error
    summary = f"cannot write standard output ({error.strerror})"
    remedy = "Redirect it to a disk with free space."
    problem = Diagnostic("unwritable-output", Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.ERROR)
    raise DiagnosticError(problem) from None


def encodable(text: str, stream: TextIO) -> str:
    """The text with the characters that the encoding of a stream lacks as `\\uXXXX`, which is valid inside JSON."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if _has(encoding, c) else json.dumps(c)[1:-1] for c in text)
    return text


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def present(stream: TextIO | None) -> TextIO:
    """A standard stream; the null device where the process was started without it."""
    return stream if stream is not None else Path(os.devnull).open("r+", encoding="utf-8")
