"""Jinja2 inside scalars, rendered after YAML has been parsed: sandboxed and strict.

A scalar that is exactly one `{{ expression }}` becomes the expression's value, with its type; any other text with
markup becomes text. Structure cannot be templated, so no template can break the YAML. There are no template comments:
`{#` is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity, SourceRange
from dbc_iac.manifest.marks import Marks, Path
from dbc_iac.manifest.sandbox import CLOSE, NO_EACH, UNKNOWN, sandbox

_MARKUP = re.compile(r"\{\{|\{%")
_ONE = re.compile(r"\s*\{\{[-+]?((?:(?!\{\{|\}\}).)*?)[-+]?\}\}\s*", re.DOTALL)
_LITERAL = "Correct the template, or write {{ '{{' }} for a literal {{ and {{ '{%' }} for a literal {%."
MOST_NESTED_LOOPS = 2
MOST_TEXT = 100_000
"""Characters that one rendered scalar may have."""
MOST_VALUES = 10_000
"""Values of one list that an expression gives."""


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
    from jinja2 import TemplateError, TemplateSyntaxError

    environment = sandbox()
    environment.begin()
    try:
        one = _ONE.fullmatch(text)
        if one is not None:
            result = environment.compile_expression(one[1], undefined_to_none=False)(**context)
            _refuse_undefined(result)
            return _plain(result)
        _refuse_endless(environment.parse(text))
        return _whole(environment.from_string(text).generate(**context))
    except TemplateSyntaxError as error:
        found.add(_problem(error.message or "it cannot be read", source, _LITERAL))
        return None
    except TemplateError as error:
        found.add(_problem(error.message or "it cannot be rendered", source))
        return None
    except Exception as error:  # an expression of the user's can raise anything
        named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        found.add(_problem(f"{named}{error}", source))
        return None


def _whole(parts: Iterable[str]) -> str:
    """A text from its parts. Raises ValueError before it is longer than it may be."""
    kept: list[str] = []
    length = 0
    for part in parts:
        length += len(part)
        if length > MOST_TEXT:
            raise ValueError(f"it renders to more than {MOST_TEXT} characters")
        kept.append(part)
    return "".join(kept)


def _refuse_undefined(result: Any) -> None:
    from jinja2 import StrictUndefined

    if isinstance(result, StrictUndefined):
        str(result)  # raises UndefinedError, with the name


def _plain(result: Any) -> Any:
    """What an expression may give: plain values, and iterators as lists. Raises for anything else.

    The text of a function or a generator holds its address in memory: no plan could be made twice from it.
    """
    if result is None or isinstance(result, bool | int | float):
        return result
    if isinstance(result, str):
        if len(result) > MOST_TEXT:
            raise ValueError(f"it gives more than {MOST_TEXT} characters")
        return str(result)
    if isinstance(result, Mapping):
        return {str(k): _plain(v) for k, v in result.items()}
    if isinstance(result, list | tuple | range) or hasattr(result, "__next__"):
        items = list(islice(result, MOST_VALUES + 1))
        if len(items) > MOST_VALUES:
            raise ValueError(f"it gives more than {MOST_VALUES} values")
        return [_plain(v) for v in items]
    _refuse_undefined(result)
    raise TypeError(f"it gives a {type(result).__name__}, not a plain value")


def _problem(message: str, source: SourceRange | None, remedy: str = "Correct the expression.") -> Diagnostic:
    what, _, close = message.partition(CLOSE)
    remedy = f"Did you mean {close}" if close else remedy
    if what == NO_EACH:
        remedy = "Add `forEach:`, or name something of var."
    elif what.endswith(UNKNOWN) and not close:
        remedy = "Known names: var, env, project, and each in a document with forEach."
    return Diagnostic(
        "template",
        Severity.ERROR,
        f"the template cannot be rendered: {what}",
        remedy=remedy,
        source=source,
    )


def _refuse_endless(template: Any) -> None:
    """Raises ValueError for what outgrows its length: `set` doubles a text line by line, loops multiply."""
    from jinja2 import nodes

    if template.find((nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.CallBlock)):
        raise ValueError("only if and for are offered, not set, macro or call")
    if _loops(template) > MOST_NESTED_LOOPS:
        raise ValueError(f"loops may be nested {MOST_NESTED_LOOPS} deep")


def _loops(node: Any) -> int:
    from jinja2 import nodes

    inner = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)


def evaluated(text: str, context: Mapping[str, Any]) -> Any:
    """The value of a text with markup, by itself: a plain value. Raises ValueError that says what is wrong with it."""
    from jinja2 import TemplateError

    found = Diagnostics()
    try:
        value = _rendered(text, context, None, found) if _MARKUP.search(text) else text
    except TemplateError as error:
        raise ValueError(str(error)) from None
    for problem in found:
        raise ValueError(problem.summary.removeprefix("the template cannot be rendered: "))
    return value


def flaw(text: str, known: frozenset[str]) -> str:
    """What is wrong with a text with markup before anything is known of its values; empty where nothing is."""
    from jinja2 import TemplateError, meta

    try:
        template = sandbox().parse(text)
        _refuse_endless(template)
    except (TemplateError, ValueError) as error:
        return str(error)
    unknown = sorted(meta.find_undeclared_variables(template) - known)
    return f"there is no {unknown[0]}; there are {', '.join(sorted(known))}" if unknown else ""


def expression(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """An expression without braces, ready to be evaluated many times. Raises ValueError where it is none; so does the
    evaluation, where it cannot be made."""
    from jinja2 import TemplateError

    try:
        compiled = sandbox().compile_expression(text, undefined_to_none=False)
    except TemplateError as error:
        raise ValueError(error.message or "it cannot be read") from None

    def evaluate(context: Mapping[str, Any]) -> Any:
        sandbox().begin()
        try:
            return _plain(compiled(**context))
        except Exception as error:  # an expression of the user's can raise anything
            raise ValueError(str(error) or type(error).__name__) from None

    return evaluate
