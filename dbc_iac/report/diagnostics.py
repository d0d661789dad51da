"""Problems as text, with the source line and a caret, and as JSON. All of them, in the order of the files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dbc_iac.diagnostics import Diagnostic, SourceRange
from dbc_iac.report.lines import escaped

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WIDEST = 120
"""Characters of a source line that are shown."""
_LINE = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what the YAML parser counts as the end of a line


def render(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str]) -> str:
    """Text for people. `sources` gives the text of each file by its name; without it the line is left out."""
    ordered = sorted(diagnostics, key=lambda d: (d.source is None, d.source or SourceRange("", 0, 0, 0, 0)))
    return "\n\n".join("\n".join(map(escaped, _lines(d, sources))) for d in ordered) + "\n"


def _lines(diagnostic: Diagnostic, sources: Mapping[str, str]) -> Iterator[str]:
    yield f"{diagnostic.severity.value}[{diagnostic.code}]: {diagnostic.summary}"
    if diagnostic.source is not None:
        yield f"  --> {diagnostic.source}" + (f" ({diagnostic.address})" if diagnostic.address else "")
        yield from _excerpt(diagnostic.source, sources)
    for related in diagnostic.related:
        yield f"  {related.source}: {related.message}"
        yield from _excerpt(related.source, sources)
    if diagnostic.detail:
        yield f"  {diagnostic.detail}"
    if diagnostic.remedy:
        yield f"  help: {diagnostic.remedy}"


def _excerpt(source: SourceRange, sources: Mapping[str, str]) -> Iterator[str]:
    lines = _LINE.split(sources.get(source.file, ""))
    if not 0 < source.line <= len(lines):
        return
    text = lines[source.line - 1]
    end = source.end_column if source.end_line == source.line else len(text) + 1
    start = max(0, source.column - 1 - _WIDEST // 2) if len(text) > _WIDEST else 0
    window = text[start : start + _WIDEST]
    ahead, behind = "..." if start else "", "..." if start + _WIDEST < len(text) else ""
    before = len(ahead) + _width(text[start : source.column - 1])
    length = max(1, _width(text[source.column - 1 : min(max(end - 1, source.column), start + _WIDEST)].rstrip()))
    number = str(source.line)
    yield f"  {number} | {ahead}{_shown(window)}{behind}"
    yield f"  {' ' * len(number)} | {' ' * before}{'^' * length}"


def _shown(text: str) -> str:
    """Without tabs, control and direction characters, which would shift or turn the line."""
    return "".join(" " if unicodedata.category(c) == "Cc" or c in _BIDI else c for c in text)


def _width(text: str) -> int:
    """Columns that a terminal takes for it."""
    return sum(_cell(c) for c in text)


def _cell(character: str) -> int:
    if character in _BIDI:
        return 1  # shown as a space
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def diagnostics_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """As JSON values: code, severity, summary, detail, remedy, source, related, address."""
    return [
        {
            "code": d.code,
            "severity": d.severity.value,
            "summary": d.summary,
            "detail": d.detail,
            "remedy": d.remedy,
            "address": d.address,
            "source": _source(d.source),
            "related": [{"message": r.message, "source": _source(r.source)} for r in d.related],
        }
        for d in diagnostics
    ]


def _source(source: SourceRange | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {
        "file": source.file,
        "line": source.line,
        "column": source.column,
        "endLine": source.end_line,
        "endColumn": source.end_column,
    }
