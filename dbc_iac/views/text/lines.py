"""Lines with a tone: what every report is made of. Plain for files and CI, coloured and folded for terminals.

What a node, a manifest or a stranger's `desc` says is shown as it is, but for control characters: those are written as
escapes, so that no text can steer the reader's terminal.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STEERING = frozenset({"Cc", "Zl", "Zp"})
NARROWEST = 40
"""Columns below which nothing is folded: a terminal that small folds on its own."""


class Tone(StrEnum):
    """What a line is about; the value is rich's style for it."""

    PLAIN = ""
    HEAD = "bold"
    ADDED = "green"
    CHANGED = "yellow"
    REMOVED = "red"
    LOSS = "bold red"
    UNSEEN = "magenta"
    ASIDE = "dim"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report, without its end."""

    text: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Screen:
    """What a text is shown on. `columns` None: not a terminal, so nothing is folded."""

    colours: bool = False
    columns: int | None = None

    def render(self, lines: Iterable[Line]) -> str:
        """The text of the lines, each with its end."""
        return "".join(f"{self._paint(part, line.tone)}\n" for line in lines for part in self._fold(escaped(line.text)))

    def _fold(self, text: str) -> Iterator[str]:
        if self.columns is None or self.columns < NARROWEST:
            return iter((text,))
        return fold(text, self.columns)

    def _paint(self, text: str, tone: Tone) -> str:
        if not self.colours or tone is Tone.PLAIN or not text:
            return text
        from rich.color import ColorSystem
        from rich.style import Style

        return Style.parse(tone.value).render(text, color_system=ColorSystem.STANDARD)


PAPER = Screen()
"""Neither colours nor folds: files, pipes and CI logs."""


def escaped(text: str) -> str:
    """The text with control, line-ending and direction characters as `\\uXXXX`, which is also valid inside JSON."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING or c in _BIDI else c for c in text)


def json_text(value: Any) -> str:
    """A JSON value over several lines, in its own words, safe to be shown on a terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if text.isascii() else "\n".join(map(escaped, text.split("\n")))


def fold(text: str, columns: int) -> Iterator[str]:
    """Parts no wider than `columns`, broken at spaces, the later ones further in. A long word stays whole: it is an
    id or a path that somebody copies."""
    from rich.cells import cell_len

    if cell_len(text) <= columns:
        yield text
        return
    body = text.lstrip(" ")
    indent = " " * min(len(text) - len(body) + 4, columns // 2)
    line = text[: len(text) - len(body)]
    empty = True
    for word in body.split(" "):
        if not empty and cell_len(line) + 1 + cell_len(word) > columns:
            yield line
            line, empty = indent, True
        line, empty = (f"{line}{word}" if empty else f"{line} {word}"), False
    yield line
