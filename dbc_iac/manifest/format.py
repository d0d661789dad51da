"""`fmt`: spacing and quoting of a YAML file, as edits between the tokens of PyYAML's scanner. Pure.

Comments, order, lines, indentation and the line ending of the first line are preserved. The result is parsed again and
refused if its values differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml
from msgspec import Struct

from dbc_iac.diagnostics import REPORT, DiagnosticError, SourceRange, failure
from dbc_iac.manifest.yaml import read_yaml

_OPENS = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSES = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_BLOCKS = ("|", ">")
_BREAK = re.compile("\r\n|\r|\n")
_MAX_BLANK = 2
"""Maximum number of consecutive blank lines."""


class _Piece(Struct, frozen=True):
    """A token and its range of characters, from `start` to `end`."""

    token: yaml.Token
    start: int
    end: int


def formatted(text: str, file: str) -> str:
    """The text in canonical style. Raises DiagnosticError for invalid YAML."""
    before = [d.value for d in read_yaml(text.encode(), file)]
    first = _BREAK.search(text)
    tidy = _BREAK.sub("\n", text.removeprefix("\ufeff"))
    try:
        tidy = _spaced(_edited(tidy))
        same = [d.value for d in read_yaml(tidy.encode(), file)] == before
    except (yaml.YAMLError, DiagnosticError):
        same = False
    if not same:
        where = SourceRange(file, 1, 1, 1, 1)
        summary = "cannot format the file without changing its meaning; left unchanged"
        raise failure("not-formatted", summary, remedy=REPORT, source=where)
    return tidy.replace("\n", "\r\n") if first and first[0] == "\r\n" else tidy


def _pieces(text: str) -> list[_Piece]:
    """Tokens with characters of their own; those that only mark indentation are left out."""
    found = (_Piece(t, t.start_mark.index, t.end_mark.index) for t in yaml.scan(text, Loader=yaml.CSafeLoader))
    return [p for p in found if p.end > p.start and not isinstance(p.token, yaml.StreamStartToken)]


def _edited(text: str) -> str:
    """The text with uniform spaces around punctuation, and double quotes where they are equivalent to single ones."""
    pieces = _pieces(text)
    result: list[str] = []
    at = 0
    for start, end, new in sorted(_edits(text, pieces)):
        result += [text[at:start], new]
        at = end
    return "".join([*result, text[at:]])


def _edits(text: str, pieces: Sequence[_Piece]) -> Iterator[tuple[int, int, str]]:
    for number, one in enumerate(pieces):
        if (quoted := _requoted(text, one)) is not None:
            yield one.start, one.end, quoted
        if number + 1 == len(pieces):
            return
        next_ = pieces[number + 1]
        gap = text[one.end : next_.start]
        spacing = _after_dash(pieces, number + 1) if _is_dash(one) else _between(one.token, next_.token)
        if spacing is not None and not gap.strip(" ") and gap != spacing:
            yield one.end, next_.start, spacing


def _is_dash(piece: _Piece) -> bool:
    return isinstance(piece.token, yaml.BlockEntryToken)


def _after_dash(pieces: Sequence[_Piece], number: int) -> str | None:
    """One space; None before a nested block, whose lines are aligned with its first one."""
    depth = 0
    for piece in pieces[number:]:
        depth += isinstance(piece.token, _OPENS)
        depth -= isinstance(piece.token, _CLOSES)
        number += 1
        if depth == 0 and not isinstance(piece.token, yaml.AnchorToken | yaml.TagToken):
            break
    node = isinstance(piece.token, (yaml.ScalarToken, yaml.AliasToken, *_CLOSES))
    key = number < len(pieces) and isinstance(pieces[number].token, yaml.ValueToken)
    return " " if node and not key else None


def _between(one: yaml.Token, next_: yaml.Token) -> str | None:
    """Canonical spacing between two tokens of one line; None: unchanged."""
    if isinstance(one, _OPENS):
        return ""
    if isinstance(
        next_, (*_CLOSES, yaml.FlowEntryToken)
    ):  # without a space, the tag or anchor of an empty value would absorb it
        return "" if not isinstance(one, yaml.ValueToken | yaml.AnchorToken | yaml.TagToken) else None
    if isinstance(one, yaml.FlowEntryToken | yaml.ValueToken | yaml.AnchorToken | yaml.TagToken):
        return " "
    if isinstance(next_, yaml.ValueToken) and isinstance(one, yaml.ScalarToken) and one.style not in _BLOCKS:
        return ""
    return None


def _requoted(text: str, piece: _Piece) -> str | None:
    """A single-quoted scalar in double quotes; None if that would need escapes."""
    token = piece.token
    if not isinstance(token, yaml.ScalarToken) or token.style != "'":
        return None
    inside = text[piece.start + 1 : piece.end - 1].replace("''", "'")
    plain = inside.isprintable() and not any(c in inside for c in '"\\\n')
    return f'"{inside}"' if plain and inside == token.value else None


def _spaced(text: str) -> str:
    """The text without trailing white space and excess blank lines, with one final line end; scalars are unchanged."""
    kept: set[int] = set()
    for piece in _pieces(text):
        if isinstance(piece.token, yaml.ScalarToken):
            kept.update(range(piece.token.start_mark.line, piece.token.end_mark.line))
            if piece.token.style in _BLOCKS and piece.end == len(text):
                kept.add(piece.token.end_mark.line)  # an added line end would become part of the block scalar
    lines: list[str] = []
    blank = 0
    given = text.split("\n")
    for number, line in enumerate(given):
        shown = line if number in kept else line.rstrip(" \t")
        blank = 0 if shown or number in kept else blank + 1
        if blank <= _MAX_BLANK:
            lines.append(shown)
    inside = not kept.isdisjoint({len(given) - 2, len(given) - 1})
    whole = "\n".join(lines)
    return whole if inside or not whole.strip("\n") else whole.strip("\n") + "\n"
