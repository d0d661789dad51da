"""Sandbox of templates and policies: Jinja2's own, with strict names, repeatable results and bounded memory.

Manifests of untrusted pull requests are evaluated here. The size of each result is estimated before it is computed,
and the total of one rendering is limited.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_RANGE = 1_000
_MAX_MADE = 10_000_000
"""Total size of all values that one rendering computes, in characters and list items, intermediate ones included."""
_NAMES = ("var", "env", "project", "each")
CLOSE = "; did you mean "
UNKNOWN = " is not defined"
NO_EACH = "each is not defined without forEach"
_UNREPEATABLE = ("random", "lipsum", "cycler", "joiner")
"""Removed filters and globals, whose results differ from run to run."""
_GROWING = frozenset({
    "center", "ljust", "rjust", "zfill", "expandtabs", "replace", "join", "translate", "to_bytes", "hex",
    "batch", "slice", "indent", "tojson", "urlize", "wordwrap", "xmlattr",
})  # fmt: skip
"""Filters and methods whose result is at most as large as the product of two of their arguments."""
_FORMATS = frozenset({"format", "format_map"})
_WIDE = re.compile(r"%[^a-zA-Z%]*(\d{4,}|\*)|\{[^{}]*:[^{}]*(\d{4,}|\{)")
"""A width or precision in a format that has over 3 digits, or is taken from a value."""
_NO_COMMENTS = ("\0#", "#\0")
"""Delimiters that cannot occur in YAML, so that templates have no comments: `${#x}` is valid shell text."""


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    if len(numbers) > MAX_RANGE:
        raise ValueError(f"range has {len(numbers)} numbers; the limit is {MAX_RANGE}")
    return numbers


def _size(value: Any, most: int = _MAX_MADE) -> int:
    """Size of a value in characters and items. Counting stops soon after `most`."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return _sum([*value.keys(), *value.values()], most)
    if isinstance(value, list | tuple | set | frozenset):
        return _sum(value, most)
    return len(value) if isinstance(value, range) else 1


def _sum(values: Iterable[Any], most: int) -> int:
    total = 0
    for value in values:
        total += 1 + _size(value, most - total)
        if total > most:
            break
    return total


def _factor(value: Any) -> int:
    """Factor by which an argument can enlarge a result. An iterator, of unknown length, counts as MAX_RANGE."""
    if isinstance(value, int):
        return abs(value)
    return MAX_RANGE if hasattr(value, "__next__") else _size(value)


def _made_by(name: str, arguments: tuple[Any, ...]) -> int:
    """Upper bound of the size of a filter's or method's result. Raises ValueError for a format of unknown width."""
    if name in _FORMATS:
        first, *others = arguments
        text = first.decode("latin-1") if isinstance(first, bytes) else first
        if isinstance(text, str) and _WIDE.search(text):
            raise ValueError("width in a format must be written in the format, with at most 3 digits")
        return _size(first) * max(1, _size(others))
    if name in _GROWING:
        largest = sorted(map(_factor, arguments), reverse=True)[:2]
        return functools.reduce(lambda a, b: max(a, 1) * max(b, 1), largest, 1)
    return _size(arguments)


def _made_with(operator: str, left: Any, right: Any) -> int:
    """Upper bound of the size of an operator's result. Raises ValueError for a power that is too large."""
    if operator == "**":
        if isinstance(left, int | float) and isinstance(right, int | float) and (abs(left) > 2**64 or right > 64):
            raise ValueError("power is too large: base over 2**64, or exponent over 64")
        return 1
    if operator == "%":
        return _made_by("format", (left, right)) if isinstance(left, str | bytes) else 1
    if operator == "+":
        return _size(left) + _size(right)
    counted = [v for v in (left, right) if isinstance(v, str | bytes | list | tuple)]
    return _size(counted[0]) * max(1, _factor(right if counted[0] is left else left)) if counted else 1


def _not_defined(name: str, owner: Any) -> str:
    """Message for an undefined name. `owner`: the value that lacks the attribute; None for a top-level name."""
    known = _NAMES if owner is None else [str(k) for k in owner] if isinstance(owner, Mapping) else ()
    if owner is None and name == "each":
        return NO_EACH
    close = difflib.get_close_matches(name, known, 1)
    return f"{name}{UNKNOWN}" + (f"{CLOSE}{close[0]}?" if close else "")


def _measured(name: str, made: Callable[..., Any], charge: Callable[[int], None]) -> Callable[..., Any]:
    """Wrap a filter so that the size of its result is charged first. Arguments that Jinja passes are kept."""

    @functools.wraps(made)
    def measured(*arguments: Any, **named: Any) -> Any:
        given = arguments[1:] if hasattr(made, "jinja_pass_arg") else arguments
        charge(_made_by(name, (*given, *named.values())))
        return made(*arguments, **named)

    return measured


@functools.cache
def sandbox() -> Any:
    """The shared Jinja2 environment. `begin()` resets the budget of a rendering."""
    from jinja2 import StrictUndefined
    from jinja2.compiler import CodeGenerator
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import missing

    class NotDefined(StrictUndefined):
        """An undefined name, whose message suggests a similar one."""

        @property
        def _undefined_message(self) -> str:
            if self._undefined_hint or not isinstance(self._undefined_name, str):
                return super()._undefined_message
            owner = None if self._undefined_obj is missing else self._undefined_obj
            return _not_defined(self._undefined_name, owner)

    class Measuring(CodeGenerator):
        """Code generator that measures `~`, which Jinja does not treat as an operator."""

        def visit_Concat(self, node: Any, frame: Any) -> None:  # noqa: N802 - name of the base class
            self.write("environment.joined((")
            for part in node.nodes:
                self.visit(part, frame)
                self.write(", ")
            self.write("))")

    class Sandbox(ImmutableSandboxedEnvironment):
        """Sandbox with a size budget, in which `var.items` is the variable of that name."""

        intercepted_binops = frozenset({"*", "**", "%", "+"})
        code_generator_class = Measuring
        made = 0

        def begin(self) -> None:
            self.made = 0

        def charge(self, size: int) -> None:
            self.made += size
            if self.made > _MAX_MADE:
                raise ValueError(f"result is larger than {_MAX_MADE} characters or items")

        def shown(self, value: Any) -> Any:
            """Charge a value that is inserted into a text before it is converted."""
            self.charge(_size(value))
            return value

        def joined(self, parts: tuple[Any, ...]) -> str:
            self.charge(_size(parts))
            return "".join(map(str, parts))

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

        def call(self, context: Any, called: Any, /, *arguments: Any, **named: Any) -> Any:
            owner = getattr(getattr(called, "__wrapped__", called), "__self__", None)  # `format` is wrapped
            given = (*arguments, *named.values())
            self.charge(_made_by(getattr(called, "__name__", ""), given if owner is None else (owner, *given)))
            return super().call(context, called, *arguments, **named)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            self.charge(_made_with(operator, left, right))
            return super().call_binop(context, operator, left, right)

    start, end = _NO_COMMENTS
    made = Sandbox(
        undefined=NotDefined,
        autoescape=False,
        keep_trailing_newline=True,
        comment_start_string=start,
        comment_end_string=end,
    )
    made.finalize = made.shown
    for name in _UNREPEATABLE:
        made.filters.pop(name, None)
        made.globals.pop(name, None)
    made.globals["range"] = _range
    for name, function in list(made.filters.items()):
        made.filters[name] = _measured(name, function, made.charge)
    return made
