"""A stream that survives a closed pipe, a closed terminal, a full disk, and a limited encoding.

An apply must finish even when its output cannot be written: a VM powered off for a change would stay off otherwise.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TextIO

from dbc_iac.diagnostics import ExitCode, failure


class ResilientStream(io.TextIOBase, TextIO):
    """Writes to another stream until a write fails, and then discards everything, unless `failed` raises."""

    def __init__(self, stream: TextIO, failed: Callable[[Exception], None] = lambda error: None) -> None:
        super().__init__()
        self._stream = stream
        self._gone = False
        self.failed = failed

    def write(self, text: str) -> int:
        try:
            if not self._gone:
                self._stream.write(encodable(text, self._stream.encoding or "utf-8"))
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


def encodable(text: str, encoding: str) -> str:
    """The text; characters outside the encoding become `\\uXXXX`, which is valid inside JSON."""
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
