"""Mistakes in YAML in terms of the file: the words of libyaml name states of its parser."""

from __future__ import annotations

from typing import Any

_PLAIN = "Correct the quotes, brackets or indentation here."
_ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        "undefined alias",
        "the alias has no anchor before it in this document",
        "Define the anchor with & earlier in the same document: `---` starts a new one without the anchors before it.",
    ),
    (
        "mapping values are not allowed",
        "unexpected colon",
        "Quote a value that contains `: `, or correct the indentation.",
    ),
    ("block sequence entries are not allowed", "unexpected list item", "Start the list on a new line below its key."),
    ("expected ',' or ']'", "the list in brackets is not closed", "Close it with ], or separate its items by commas."),
    (
        "expected ',' or '}'",
        "the mapping in braces is not closed",
        "Close it with }, or separate its fields by commas.",
    ),
    ("unexpected end of stream", "the quoted text is not closed", "Add the closing quote."),
    (
        "unknown escape character",
        "unknown escape in double quotes",
        "Use single quotes, or write \\\\ for a backslash.",
    ),
    ("expected '-' indicator", "expected a list item", "Begin the line with `- `, or end the list before it."),
    ("expected node content", "unexpected bracket", "Remove it, or open it before."),
    ("incompatible YAML document", "unsupported version of YAML", "Remove the line with %YAML."),
    ("comment or line break", "unexpected text after | or >", "Write the text on the next line, indented."),
)
"""A part of libyaml's message, the summary, and the remedy."""


def advice(error: Any, text: str) -> tuple[str, str, Any]:
    """Summary, remedy and mark of a syntax error of `text`."""
    mark, start = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "syntax error")
    line = _line(text, mark)
    here = "" if mark is None else line[mark.column : mark.column + 1]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab indents the line", "Indent with spaces: YAML allows no tabs.", mark
    if "cannot start any token" in problem:
        return f"a plain value cannot start with {here}", "Put the value in quotes.", mark
    if "expected key" in problem and mark is not None:
        if line[: mark.column].strip():
            return (
                "unexpected text after a value",
                "Quote the whole value; write '' for a quote in single quotes.",
                mark,
            )
        if start is not None and mark.column != start.column:
            remedy = f"Indent it like line {start.line + 1}, with {start.column} spaces, or like the fields above it."
            return "the indentation fits no field above", remedy, mark
        if here == "-":
            return "a list item among the fields of a mapping", "Indent the list below its key, or remove the -.", mark
    if "mapping values" in problem and mark is not None and _is_deeper(text, mark.line):
        remedy = "Indent it like that line, or end that line with a colon if it has fields."
        return "the line is indented deeper than the one above it", remedy, mark
    if "expected ':'" in problem and start is not None:
        return "a key without a colon and a space", "Write `key: value`, with a space after the colon.", start
    for part, summary, remedy in _ADVICE:
        if part in problem:
            return summary, remedy, start if "closed" in summary and start is not None else mark
    return problem, _PLAIN, mark or start


def _is_deeper(text: str, number: int) -> bool:
    """Whether a line is indented deeper than the line above it, which is complete."""
    lines = text.splitlines()
    above = next((line for line in reversed(lines[:number]) if line.strip() and line.strip()[0] != "#"), "")
    deeper = _indentation(lines[number]) > _indentation(above) if number < len(lines) else False
    return deeper and not above.rstrip().endswith((":", "-", "|", ">")) and ":" in above


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _line(text: str, mark: Any) -> str:
    lines = text.splitlines()
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""
