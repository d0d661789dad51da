"""Streams that survive a closed pipe, a closed terminal, a full disk, and a limited encoding.

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

    def _try(self, operation: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            operation()
        except (OSError, ValueError):  # a closed stream raises ValueError
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
    """Standard output for code that writes to it directly, as click does with help texts.

    Raises BrokenPipeError if the reader is gone, DiagnosticError for any other failure, such as a full disk.
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
    """The text; characters outside the encoding of the stream become `\\uXXXX`, which is valid inside JSON."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if _can_encode(encoding, c) else json.dumps(c)[1:-1] for c in text)
    return text


def _can_encode(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def or_null_device(stream: TextIO | None) -> TextIO:
    """A standard stream; the null device if the process was started without it."""
    return stream if stream is not None else Path(os.devnull).open("r+", encoding="utf-8")
