"""Evaluation of Jinja2 templates and expressions in the sandbox. Runs in the template worker only; imports little.

Compiling evaluates constant parts, so checking a text happens in the worker, too.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any, Literal

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes

from dbc_iac.manifest.sandbox import CLOSE, sandbox

_ONE = re.compile(r"\s*\{\{[-+]?((?:(?!\{\{|\}\}).)*?)[-+]?\}\}\s*", re.DOTALL)
MAX_NESTED_LOOPS = 2
MAX_TEXT = 100_000
"""Maximum length of one rendered scalar, in characters."""
MAX_VALUES = 10_000
"""Maximum length of one list that an expression returns."""
MAX_NESTED_VALUES = 100_000
"""Maximum number of all values that an expression returns, the same as in a YAML file."""
_MAX_COMPILED = 1_000
"""Size of the cache of compiled texts: the instances of a `forEach` share theirs."""

Form = Literal["text", "expression", "names", "check"]
"""`text`: with markup; `expression`: without braces; `names`: list the names a text uses; `check`: compile only."""


class EvaluationError(Exception):
    """Reason why a text cannot be evaluated. `syntax`: it does not compile."""

    def __init__(self, message: str, *, syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.syntax = syntax


def evaluate(form: Form, text: str, names: Mapping[str, Any]) -> Any:
    """Plain value of a text. Raises EvaluationError."""
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
        raise EvaluationError(_in_words(error.message or "syntax error", text), syntax=True) from None
    except TemplateError as error:
        raise EvaluationError(error.message or "evaluation failed") from None
    except MemoryError:
        raise EvaluationError("memory limit exceeded") from None
    except Exception as error:  # a user's expression can raise anything
        raise EvaluationError(str(error) or "evaluation failed") from None


def _in_words(message: str, text: str) -> str:
    """Message of Jinja, without words of its parser, and with a suggestion where there is one."""
    if unknown := re.match("No (filter|test) named '(.+)'", message):
        what, name = unknown.groups()
        known = sandbox().filters if what == "filter" else sandbox().tests
        close = difflib.get_close_matches(name, known, 1)
        return f"there is no {what} {name}" + (f"{CLOSE}{close[0]}?" if close else "")
    if message == "chunk after expression":
        return f"= does not compare{CLOSE}==?" if re.search("[^=<>!]=[^=]", text) else "text follows the expression"
    return message


@functools.lru_cache(_MAX_COMPILED)
def _expression(text: str) -> Any:
    return sandbox().compile_expression(text, undefined_to_none=False)


@functools.lru_cache(_MAX_COMPILED)
def _compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    one = _ONE.fullmatch(text)
    if one is not None:
        expression = _expression(one[1])
        return lambda names: _plain(expression(**names))
    _refuse_endless(sandbox().parse(text))
    template = sandbox().from_string(text)
    return lambda names: _whole(template.generate(**names))


def _whole(parts: Iterable[str]) -> str:
    """Join the parts of a text. Raises ValueError as soon as it exceeds MAX_TEXT."""
    kept: list[str] = []
    length = 0
    for part in parts:
        length += len(part)
        if length > MAX_TEXT:
            raise ValueError(f"result is longer than {MAX_TEXT} characters")
        kept.append(part)
    return "".join(kept)


def _refuse_undefined(result: Any) -> None:
    if isinstance(result, StrictUndefined):
        str(result)  # raises UndefinedError, with the name


def _plain(result: Any) -> Any:
    """Plain value of a result with at most MAX_VALUES values in each list, and MAX_NESTED_VALUES in all."""
    return _plain_value(result, count(1))


def _plain_value(result: Any, counter: Iterator[int]) -> Any:
    """Plain value of a result; iterators become lists. Raises ValueError or TypeError for anything else.

    The text of a function or a generator contains its memory address: the same manifests would give different plans.
    """
    if next(counter) > MAX_NESTED_VALUES:
        raise ValueError(f"result has more than {MAX_NESTED_VALUES} values")
    if result is None or isinstance(result, bool | int | float):
        return result
    if isinstance(result, str):
        if len(result) > MAX_TEXT:
            raise ValueError(f"result is longer than {MAX_TEXT} characters")
        return str(result)
    if isinstance(result, Mapping):
        return {str(k): _plain_value(v, counter) for k, v in result.items()}
    if isinstance(result, list | tuple | range) or hasattr(result, "__next__"):
        items = list(islice(result, MAX_VALUES + 1))
        if len(items) > MAX_VALUES:
            raise ValueError(f"result has more than {MAX_VALUES} values")
        return [_plain_value(v, counter) for v in items]
    _refuse_undefined(result)
    raise TypeError("the result is not text, a number, a list or a mapping")


def _refuse_endless(template: Any) -> Any:
    """The template. Raises ValueError for statements that grow exponentially: `set` doubles a text per line."""
    if template.find((nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.CallBlock)):
        raise ValueError("set, macro and call are not supported; use if and for")
    if _loops(template) > MAX_NESTED_LOOPS:
        raise ValueError(f"loops are nested more than {MAX_NESTED_LOOPS} deep")
    return template


def _loops(node: Any) -> int:
    inner = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)
