"""Jinja2 inside scalars, rendered after YAML has been parsed: sandboxed and strict.

A scalar that is exactly one `{{ expression }}` becomes the expression's value, with its type; any other text with
markup becomes text. Structure cannot be templated, so no template can break the YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity, SourceRange
from dbc_iac.manifest.marks import Marks, Path

_MARKUP = re.compile(r"\{\{|\{%|\{#")
_ONE = re.compile(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
MOST_TEXT = 100_000
"""Characters that one rendered scalar may have."""


def render(value: Any, context: Mapping[str, Any], marks: Marks, found: Diagnostics, path: Path = ()) -> Any:
    """A tree with every scalar rendered. Problems are collected, with the place of their scalar."""
    if isinstance(value, dict):
        return {k: render(v, context, marks, found, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [render(v, context, marks, found, (*path, i)) for i, v in enumerate(value)]
    if isinstance(value, str) and _MARKUP.search(value):
        return _rendered(value, context, marks.value(path), found)
    return value


def _rendered(text: str, context: Mapping[str, Any], source: SourceRange | None, found: Diagnostics) -> Any:
    from jinja2 import TemplateError

    environment = _environment()
    try:
        one = _ONE.fullmatch(text)
        if one is not None:
            result = environment.compile_expression(one[1], undefined_to_none=False)(**context)
            _refuse_undefined(result)
            return _plain(result)
        rendered = environment.from_string(text).render(**context)
    except TemplateError as error:
        found.add(_problem(error.message or "it cannot be rendered", source))
        return None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        found.add(_problem(f"{type(error).__name__}: {error}", source))
        return None
    if len(rendered) > MOST_TEXT:
        found.add(_problem(f"it renders to more than {MOST_TEXT} characters", source))
        return None
    return rendered


def _refuse_undefined(result: Any) -> None:
    from jinja2 import StrictUndefined

    if isinstance(result, StrictUndefined):
        str(result)  # raises UndefinedError, with the name


def _plain(result: Any) -> Any:
    """What a template may give: plain values. Anything else becomes text."""
    if result is None or isinstance(result, bool | int | float | str):
        return result
    if isinstance(result, Mapping):
        return {str(k): _plain(v) for k, v in result.items()}
    if isinstance(result, list | tuple | range | set):
        return [_plain(v) for v in result]
    return str(result)


def _problem(message: str, source: SourceRange | None) -> Diagnostic:
    return Diagnostic(
        "template",
        Severity.ERROR,
        f"the template cannot be rendered: {message}",
        remedy="Known names: var, env, project, and each in a document with forEach.",
        source=source,
    )


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
