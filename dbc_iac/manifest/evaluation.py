"""Evaluation of Jinja2 texts and expressions, in the sandbox. Runs in the template worker only, and imports little.

Compiling evaluates constant parts, so a text is compiled in the worker, too, where it is only checked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Literal

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes

from dbc_iac.manifest.sandbox import sandbox

_ONE = re.compile(r"\s*\{\{[-+]?((?:(?!\{\{|\}\}).)*?)[-+]?\}\}\s*", re.DOTALL)
MOST_NESTED_LOOPS = 2
MOST_TEXT = 100_000
"""Characters that one rendered scalar may have."""
MOST_VALUES = 10_000
"""Values of one list that an expression gives."""
_MOST_COMPILED = 1_000
"""Compiled texts that are kept: the instances of a `forEach` share theirs."""

Form = Literal["text", "expression", "names", "check"]
"""`text`: markup in a text; `expression`: without braces; `names`: the names a text uses; `check`: compile only."""


class Flaw(Exception):  # noqa: N818 - a result, not a fault
    """Why a text cannot be evaluated. `syntax`: it cannot be read."""

    def __init__(self, message: str, *, syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.syntax = syntax


def evaluate(form: Form, text: str, names: Mapping[str, Any]) -> Any:
    """The value of a text: a plain one. Raises Flaw."""
    sandbox().begin()
    try:
        match form:
            case "text":
                return _compiled(text)(names)
            case "expression":
                return _plain(_expression(text)(**names))
            case "names":
                return sorted(meta.find_undeclared_variables(_refuse_endless(sandbox().parse(text))))
            case "check":
                _expression(text)
                return None
    except TemplateSyntaxError as error:
        raise Flaw(error.message or "it cannot be read", syntax=True) from None
    except TemplateError as error:
        raise Flaw(error.message or "it cannot be evaluated") from None
    except MemoryError:
        raise Flaw("it needs more memory than a template may use") from None
    except Exception as error:  # an expression of the user's can raise anything
        named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise Flaw(f"{named}{error}" if str(error) else type(error).__name__) from None


@functools.lru_cache(_MOST_COMPILED)
def _expression(text: str) -> Any:
    return sandbox().compile_expression(text, undefined_to_none=False)


@functools.lru_cache(_MOST_COMPILED)
def _compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    one = _ONE.fullmatch(text)
    if one is not None:
        expression = _expression(one[1])
        return lambda names: _plain(expression(**names))
    _refuse_endless(sandbox().parse(text))
    template = sandbox().from_string(text)
    return lambda names: _whole(template.generate(**names))


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
    if isinstance(result, StrictUndefined):
        str(result)  # raises UndefinedError, with the name


def _plain(result: Any) -> Any:
    """A plain value: iterators become lists. Raises for anything else.

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


def _refuse_endless(template: Any) -> Any:
    """The template. Raises ValueError for what outgrows its length: `set` doubles a text line by line."""
    if template.find((nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.CallBlock)):
        raise ValueError("only if and for are offered, not set, macro or call")
    if _loops(template) > MOST_NESTED_LOOPS:
        raise ValueError(f"loops may be nested {MOST_NESTED_LOOPS} deep")
    return template


def _loops(node: Any) -> int:
    inner = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)
