"""Diagnostics as text, with the source line and a caret, and as JSON, in the order of the files; quotes of nodes are
explained."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange
from dbc_iac.views.error_explanations import explained
from dbc_iac.views.text.lines import PLAIN_TEXT, Line, Screen, Tone, escaped
from dbc_iac.views.text.problems import and_more, shortened
from dbc_iac.views.wording import Detail

_WIDEST = 120
"""Characters of a source line that are shown; fewer on a narrow terminal."""
_MOST = 30
"""Number of problems that are printed: errors before others."""
_MARGIN, _NARROWEST = 20, 20
"""Columns of the line number and the dots, and least columns of the excerpt."""
_TONES = {Severity.ERROR: Tone.LOSS, Severity.WARNING: Tone.CHANGED, Severity.NOTE: Tone.HEAD}
_LINE = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what the YAML parser counts as the end of a line

_NAMES = r"\w*password|passphrase|seed|mnemonic|\w*token|\w*secret|credentials"
_QUOTED = rf"""\b(?:{_NAMES})["']?\s*:\s+(?P<value>"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s{{*"']"""
_IN_BLOCK, _IN_BRACES = re.compile(rf"{_QUOTED}.*)", re.IGNORECASE), re.compile(rf"{_QUOTED}[^,}}\]]*)", re.IGNORECASE)
"""The literal value of a secret in a line: a file that cannot be parsed may have one."""
_IN_URL = (
    re.compile(r"""://(?P<value>[^\s"'/@]*:[^\s"']*|[^\s"'/@]+)@"""),
    re.compile(r"""[?&]\w*password=(?P<value>[^\s"'&]+)""", re.IGNORECASE),
)
"""Name and password in a URL; a password may have a slash that is not escaped."""


def render(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], screen: Screen = PLAIN_TEXT) -> str:
    """Diagnostics as text. `sources`: text of each file by name; without it the excerpt is left out."""
    known = map(explained, diagnostics)
    ordered = sorted(known, key=lambda d: (d.source is None, d.source or SourceRange("", 0, 0, 0, 0)))
    found = [*shortened(ordered, Detail.GROUPED)]
    printed = {*sorted(found, key=lambda one: one[0].severity is not Severity.ERROR)[:_MOST]}
    texts: list[str] = []
    left_out: Counter[str] = Counter()
    for one, rest in found:
        if (one, rest) in printed:
            texts.append(_rendered(one, rest, sources, screen))
        else:
            left_out[f"{one.severity.value}[{one.code}]"] += 1 + len(rest)
    if left_out:
        counts = ", ".join(f"{number:,} more {name}" for name, number in left_out.items())
        texts.append("".join(screen.render([Line(f"... and {counts} (--json shows all)", Tone.LOSS)])))
    return "\n".join(texts)


def _rendered(diagnostic: Diagnostic, rest: tuple[str, ...], sources: Mapping[str, str], screen: Screen) -> str:
    """One diagnostic; `rest`: addresses of those that are similar."""
    widest = _WIDEST if screen.columns is None else min(_WIDEST, max(screen.columns - _MARGIN, _NARROWEST))
    lines = [*_lines(diagnostic, sources, widest)]
    if rest:
        lines.append(Line(f"  {and_more(rest)} (--json shows all)", _TONES[diagnostic.severity]))
    return "".join(screen.render([line]) if isinstance(line, Line) else f"{line}\n" for line in lines)


def _lines(diagnostic: Diagnostic, sources: Mapping[str, str], widest: int) -> Iterator[Line | str]:
    """Lines to fold, and as plain strings the excerpt with its caret, which is not folded."""
    tone = _TONES[diagnostic.severity]
    yield Line(f"{diagnostic.severity.value}[{diagnostic.code}]: {diagnostic.summary}", tone)
    if diagnostic.source is not None:
        yield Line(
            f"  --> {diagnostic.source}" + (f" ({diagnostic.address})" if diagnostic.address else ""), Tone.ASIDE
        )
        yield from _excerpt(diagnostic.source, sources, widest)
    for related in diagnostic.related:
        yield Line(f"  {related.source}: {related.message}")
        yield from _excerpt(related.source, sources, widest)
    if diagnostic.detail:
        first, *more = diagnostic.detail.split("\n")
        yield Line(f"  {first}")
        yield from (Line(f"    {line}") for line in more)  # deeper, so that none looks like the remedy
    if diagnostic.remedy:
        yield Line(f"  help: {diagnostic.remedy}")


def _excerpt(source: SourceRange, sources: Mapping[str, str], widest: int) -> Iterator[str]:
    lines = _LINE.split(sources.get(source.file, ""))
    if not 0 < source.line <= len(lines):
        return
    text = _without_secret(lines[source.line - 1])
    end = source.end_column if source.end_line == source.line else len(text) + 1
    start = max(0, source.column - 1 - widest // 2) if len(text) > widest else 0
    window = text[start : start + widest]
    ahead, behind = "..." if start else "", "..." if start + widest < len(text) else ""
    before = len(ahead) + _width(text[start : source.column - 1])
    length = max(1, _width(text[source.column - 1 : min(max(end - 1, source.column), start + widest)].rstrip()))
    number = str(source.line)
    yield f"  {number} | {ahead}{escaped(window)}{behind}"
    yield f"  {' ' * len(number)} | {' ' * before}{'^' * length}"


def _without_secret(line: str) -> str:
    """The line with literal secrets masked, in the same columns."""
    for pattern in (_IN_BRACES if "{" in line else _IN_BLOCK, *_IN_URL):
        for found in pattern.finditer(line):
            start, end = found.span("value")
            line = line[:start] + "*" * (end - start) + line[end:]
    return line


def _width(text: str) -> int:
    """Columns of a text on a terminal, once it is escaped."""
    return sum(_cell(c) for c in escaped(text))


def _cell(character: str) -> int:
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
        for d in map(explained, diagnostics)
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
