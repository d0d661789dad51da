"""`fmt`: spacing and quoting of a YAML file, by edits between the tokens that YAML's own scanner finds. Pure.

Comments, order, line breaks and indentation stay. What the text means must not change: that is checked, not believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity, SourceRange
from dbc_iac.manifest.yaml import read_yaml

_OPENS = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSES = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_MOST_BLANK = 2
"""Blank lines in a row."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token with a place: characters from `start` to `end`."""

    token: yaml.Token
    start: int
    end: int


def formatted(text: str, file: str) -> str:
    """The text as it should be written. Raises DiagnosticError where it is no YAML that can be read."""
    before = [d.value for d in read_yaml(text.encode(), file)]
    tidy = text.removeprefix("\ufeff").replace("\r\n", "\n")
    tidy = _edited(tidy)
    tidy = _spaced(tidy)
    if [d.value for d in read_yaml(tidy.encode(), file)] != before:
        where = SourceRange(file, 1, 1, 1, 1)
        summary = "the file was left as it is: spacing would change what it means"
        raise DiagnosticError(Diagnostic("not-formatted", Severity.ERROR, summary, remedy="Report it.", source=where))
    return tidy


def _pieces(text: str) -> list[_Piece]:
    """The tokens that stand for characters: those that only tell of indentation are left out."""
    found = (_Piece(t, t.start_mark.index, t.end_mark.index) for t in yaml.scan(text, Loader=yaml.CSafeLoader))
    return [p for p in found if p.end > p.start and not isinstance(p.token, yaml.StreamStartToken)]


def _edited(text: str) -> str:
    """Spaces around what punctuates, and double quotes where they mean the same as single ones."""
    pieces = _pieces(text)
    result: list[str] = []
    at = 0
    for start, end, new in sorted(_edits(text, pieces)):
        result += [text[at:start], new]
        at = end
    return "".join([*result, text[at:]])


def _edits(text: str, pieces: list[_Piece]) -> Iterator[tuple[int, int, str]]:
    for one, next_ in zip(pieces, [*pieces[1:], None], strict=True):
        if (quoted := _requoted(text, one)) is not None:
            yield one.start, one.end, quoted
        if next_ is None:
            continue
        gap = text[one.end : next_.start]
        wanted = _wanted(one.token, next_.token)
        if wanted is not None and not gap.strip(" ") and gap != wanted:
            yield one.end, next_.start, wanted


def _wanted(one: yaml.Token, next_: yaml.Token) -> str | None:
    """What is to stand between two tokens on one line; None: whatever stands there."""
    if isinstance(next_, _CLOSES):
        return "" if not isinstance(one, yaml.AliasToken | yaml.ValueToken) else None
    if isinstance(one, _OPENS):
        return ""
    if isinstance(next_, yaml.FlowEntryToken):
        return "" if not isinstance(one, yaml.ValueToken) else None
    if isinstance(one, yaml.FlowEntryToken | yaml.ValueToken):
        return " "
    if isinstance(next_, yaml.ValueToken) and isinstance(one, yaml.ScalarToken):
        return ""
    return None


def _requoted(text: str, piece: _Piece) -> str | None:
    """A scalar of one line in double quotes where nothing in it would have to be escaped."""
    token = piece.token
    if not isinstance(token, yaml.ScalarToken) or token.style != "'":
        return None
    inside = text[piece.start + 1 : piece.end - 1].replace("''", "'")
    plain = inside.isprintable() and not any(c in inside for c in '"\\\n')
    return f'"{inside}"' if plain and inside == token.value else None


def _spaced(text: str) -> str:
    """No white space at the ends of lines, few blank lines, one line end at the end; inside of scalars nothing."""
    kept = {
        line
        for p in _pieces(text)
        if isinstance(p.token, yaml.ScalarToken)
        for line in range(p.token.start_mark.line, p.token.end_mark.line)
    }
    lines: list[str] = []
    blank = 0
    for number, line in enumerate(text.split("\n")):
        shown = line if number in kept else line.rstrip(" \t")
        blank = 0 if shown or number in kept else blank + 1
        if blank <= _MOST_BLANK:
            lines.append(shown)
    inside = len(text.split("\n")) - 2 in kept
    return "\n".join(lines) if inside else "\n".join(lines).strip("\n") + "\n"
