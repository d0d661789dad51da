"""Jinja2 templates in scalars, rendered after YAML parsing: sandboxed, strict, limited in CPU time and memory.

A scalar that is exactly one `{{ expression }}` becomes its value and keeps the type; any other text with markup becomes
text. Structure cannot be templated, so no template can break the YAML. There are no template comments: `{#` is text.
Evaluation happens in another process: see `template_process`. Most texts only name values, such as `vm-{{ each.key }}`:
these are looked up in this one, and anything else, problems included, is left to the worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, Diagnostics, Severity, SourceRange
from dbc_iac.manifest.numbers import IntegerText, NumberText, TextOfNumber
from dbc_iac.manifest.sandbox import CLOSE, NO_EACH, UNKNOWN
from dbc_iac.manifest.source_map import Path, SourceMap
from dbc_iac.manifest.template_process import SECONDS_IN_ALL, Answer, Ask, Names, OutOfTimeError, ask

_MARKUP = re.compile(r"\{\{|\{%")
_LITERAL = "Correct the template, or write {{ '{{' }} for a literal {{ and {{ '{%' }} for a literal {%."
_SIMPLER = "Simplify the templates, or split the project."

MAX_LENGTH = 10_000
"""Maximum length of a text, of its values, and of the result, in characters; the worker has limits of its own."""
_MAX_INTEGER = 2**63
_NAME = re.compile(r"\{\{ *([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*) *\}\}", re.ASCII)
_NOT_LITERAL = re.compile(r"\{[{%]|[\r\0]")
"""Other markup in the literal part of a text, and characters that Jinja changes there."""


class NotPlainError(Exception):
    """The text does more than name values, or a name has no plain value."""


def looked_up(text: str, names: Mapping[str, Any]) -> Any:
    """The value of a text, as the template worker gives it. Raises NotPlainError if the worker has to."""
    if len(text) > MAX_LENGTH:
        raise NotPlainError
    if whole := _NAME.fullmatch(text.strip()):
        return _named(whole[1], names)
    literals = _NAME.split(text)[::2]
    if any(map(_NOT_LITERAL.search, literals)):
        raise NotPlainError
    made = _NAME.sub(lambda found: str(_named(found[1], names)), text)
    if len(made) > MAX_LENGTH:
        raise NotPlainError
    return made


def _named(name: str, names: Mapping[str, Any]) -> Any:
    value: Any = names
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise NotPlainError
        value = value[part]
    if type(value) in {str, TextOfNumber} and len(value) <= MAX_LENGTH:
        return str(value)
    if value is None or type(value) in {bool, NumberText}:
        return value
    if type(value) in {int, IntegerText} and abs(value) < _MAX_INTEGER:
        return value
    raise NotPlainError


class Templates(Names):
    """Templates with shared names and shared limits."""

    hidden: Callable[[str], bool] = lambda text: False
    """Whether the problems of a template follow from another problem, and are not reported."""

    def render(
        self, value: Any, marks: SourceMap, found: Diagnostics, path: Path = (), names: Mapping[str, Any] | None = None
    ) -> Any:
        """Render every scalar of a tree; `names`: in addition to the shared ones.

        Problems are collected with the source range of their scalar. Raises DiagnosticError with all of them when the
        CPU time is used up.
        """
        texts = dict(_texts(value, path))
        if not texts:
            return value
        extra = names or {}
        names, values = {**self.values, **extra}, dict[Path, Any]()
        for place, text in texts.items():
            with suppress(NotPlainError):
                values[place] = looked_up(text, names)
        others = {place: text for place, text in texts.items() if place not in values}
        try:
            answers = ask([Ask("text", text, extra) for text in others.values()], self)
        except OutOfTimeError:
            found.add(_too_slow(marks.value(path)))
            found.raise_errors()
            raise
        for place, answer in zip(others, answers, strict=True):
            values[place] = answer.value
            if answer.problem and not self.hidden(texts[place]):
                found.add(_problem(answer, texts[place], marks.value(place)))
        return _filled(value, values, path)

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """Evaluate texts and expressions: answers in the same order."""
        try:
            return ask(asks, self)
        except OutOfTimeError:
            return [Answer(problem=f"CPU time limit of {SECONDS_IN_ALL} s for all templates exceeded")] * len(asks)

    def evaluated(self, text: str, names: Mapping[str, Any] | None = None) -> Any:
        """Plain value of a single text. Raises ValueError with the problem."""
        [answer] = self.answers([Ask("text", text, names or {})]) if _MARKUP.search(text) else [Answer(text)]
        if answer.problem:
            raise ValueError(answer.problem.partition(CLOSE)[0])
        return answer.value


def has_markup(text: str) -> bool:
    """Whether a text is rendered as a template."""
    return _MARKUP.search(text) is not None


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Scalars with markup, by path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))
    elif isinstance(value, str) and _MARKUP.search(value):
        yield path, value


def _filled(value: Any, values: Mapping[Path, Any], path: Path) -> Any:
    if path in values:
        return values[path]
    if isinstance(value, dict):
        return {k: _filled(v, values, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, values, (*path, i)) for i, v in enumerate(value)]
    return value


def _problem(answer: Answer, text: str, source: SourceRange | None) -> Diagnostic:
    problem, _, close = answer.problem.partition(CLOSE)
    remedy = f"Did you mean {close}" if close else _LITERAL if answer.syntax else "Correct the expression."
    if problem == NO_EACH:
        remedy = "Add `forEach:`, or use a variable of var."
    elif problem.endswith(UNKNOWN) and not close:
        variable = f"var.{problem.removesuffix(UNKNOWN)}" in text
        other = "Use var.NAME, env, project, or each in a document with forEach."
        remedy = "Declare it under `variables` in the project file." if variable else other
    summary, problem = "cannot render the template", problem.rstrip(".")
    if len(whole := f"{summary}: {problem}") <= MAX_SUMMARY:
        summary, problem = whole, ""
    return Diagnostic("template", Severity.ERROR, summary, f"{problem}.".lstrip("."), remedy, source)


def _too_slow(source: SourceRange | None) -> Diagnostic:
    summary = f"CPU time limit of {SECONDS_IN_ALL} s for all templates exceeded"
    return Diagnostic("template", Severity.ERROR, summary, remedy=_SIMPLER, source=source)


def template_problem(text: str, known: frozenset[str]) -> str:
    """Problem of a text with markup, found without values: syntax or an unknown name; empty if there is none."""
    if not _MARKUP.search(text):
        return ""
    [answer] = Templates({}).answers([Ask("names", text)])
    if answer.problem:
        return answer.problem
    unknown = [name for name in answer.value if name not in known]
    return f"{unknown[0]} is not defined; use {', '.join(sorted(known))}" if unknown else ""


def expression_problems(expressions: Sequence[str]) -> list[str]:
    """Syntax problem of each expression, empty if it compiles."""
    return [answer.problem for answer in Templates({}).answers([Ask("check", text) for text in expressions])]
