"""Lines with a tone, plain for files and CI, coloured and folded for terminals; and the escaping of printed text.

Control and direction characters are printed as escapes, so that no text of a node or a manifest steers a terminal.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from dbc_iac.json import object_pieces

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STEERING = frozenset({"Cc", "Zl", "Zp"})
NARROWEST = 40
"""Columns below which lines are not folded."""


class Tone(StrEnum):
    """Meaning of a line; the value is its style in rich."""

    PLAIN = ""
    HEAD = "bold"
    ADDED = "green"
    CHANGED = "yellow"
    REMOVED = "red"
    LOSS = "bold red"
    UNSEEN = "magenta"
    ASIDE = "dim"


class Line(Struct, frozen=True):
    """One line of a report, without its end."""

    text: str = ""
    tone: Tone = Tone.PLAIN


class Screen(Struct, frozen=True):
    """Layout of an output stream. `columns` None: not a terminal, lines are not folded."""

    colours: bool = False
    columns: int | None = None

    def render(self, lines: Iterable[Line]) -> str:
        """The text of the lines, each with its end."""
        texts = ((escaped(line.text), line.tone) for line in lines)
        if self.columns is not None and self.columns >= NARROWEST:
            texts = ((part, tone) for text, tone in texts for part in fold(text, self.columns))
        if self.colours:
            texts = ((self._paint(text, tone), tone) for text, tone in texts)
        return "".join(f"{text}\n" for text, _ in texts)

    def _paint(self, text: str, tone: Tone) -> str:
        if tone is Tone.PLAIN or not text:
            return text
        from rich.color import ColorSystem
        from rich.style import Style

        return Style.parse(tone.value).render(text, color_system=ColorSystem.STANDARD)


PLAIN_TEXT = Screen()
"""Layout of files, pipes and CI logs: no colours, no folding."""


def escaped(text: str) -> str:
    """The text with control, line-ending and direction characters as `\\uXXXX`, which is also valid inside JSON."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING or c in _BIDI else c for c in text)


def escaped_lines(text: str) -> str:
    """Text of several lines, each escaped."""
    return "\n".join(map(escaped, text.split("\n")))


def json_text(value: Any) -> str:
    """A JSON value over several lines, escaped."""
    return escaped_lines(json.dumps(value, indent=2, ensure_ascii=False))


def json_pieces(members: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a JSON object, escaped, in pieces: of an iterator among the members, one item at a time."""
    return object_pieces(members, json_text, "  ")


def fold(text: str, columns: int) -> Iterator[str]:
    """Parts of at most `columns` columns, broken at spaces, later ones indented. Long words stay whole: ids and paths
    are copied."""
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
