"""A stream that outlives who reads it: a closed pipe, a closed terminal, a full disk. Writing to it never fails.

An apply must come to its end whatever becomes of its words: a VM that is off for a change would stay off otherwise.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO


class ResilientStream(io.TextIOBase, TextIO):
    """Writes to another stream for as long as that can be written, then nowhere. `broken` is called once, then."""

    def __init__(self, stream: TextIO, broken: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._stream = stream
        self._broken = broken
        self._gone = False

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
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


def present(stream: TextIO | None) -> TextIO:
    """A standard stream; nowhere, where the process was started without it."""
    return stream if stream is not None else Path(os.devnull).open("r+", encoding="utf-8")
