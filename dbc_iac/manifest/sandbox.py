"""Where templates and policies are evaluated: Jinja2's sandbox, strict, repeatable, with no way to fill the memory.

Whoever sends a pull request has his manifests checked. So what an expression makes is measured before it is made, and
all that one rendering makes has a limit, whether it is made at once or bit by bit.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_RANGE = 1_000
_MOST_MADE = 10_000_000
"""Characters and values that one rendering may make in all, those in between too."""
_NAMES = ("var", "env", "project", "each")
CLOSE = "; did you mean "
UNKNOWN = " is not defined"
NO_EACH = "each is not defined: this document has no forEach"
_UNREPEATABLE = ("random", "lipsum", "cycler", "joiner")
"""What a template must not have: the same manifests give the same plan."""
_GROWING = frozenset({
    "center", "ljust", "rjust", "zfill", "expandtabs", "replace", "join", "translate", "to_bytes", "hex",
    "batch", "slice", "indent", "tojson", "urlize", "wordwrap", "xmlattr",
})  # fmt: skip
"""Filters and methods whose result is as large as two of their arguments multiplied, at the most."""
_FORMATS = frozenset({"format", "format_map"})
_WIDE = re.compile(r"%[^a-zA-Z%]*(\d{4,}|\*)|\{[^{}]*:[^{}]*(\d{4,}|\{)")
"""A width or precision in a format that is large, or given by a value."""
_NO_COMMENTS = ("\0#", "#\0")
"""Delimiters that no YAML text can hold: YAML has its own comments, and `${#x}` is a shell's."""


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    if len(numbers) > MOST_RANGE:
        raise ValueError(f"a range may have {MOST_RANGE} numbers at most")
    return numbers


def _size(value: Any, most: int = _MOST_MADE) -> int:
    """Characters and values in it; not much more than `most` is counted."""
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
    """What a value multiplies by, as an argument of what grows. How much an iterator holds is not known."""
    if isinstance(value, int):
        return abs(value)
    return MOST_RANGE if hasattr(value, "__next__") else _size(value)


def _made_by(name: str, arguments: tuple[Any, ...]) -> int:
    """How large the result of a filter or a method may be. Raises ValueError for a format of unknown width."""
    if name in _FORMATS:
        first, *others = arguments
        text = first.decode("latin-1") if isinstance(first, bytes) else first
        if isinstance(text, str) and _WIDE.search(text):
            raise ValueError("a width in a format may have 3 digits, and must stand in it")
        return _size(first) * max(1, _size(others))
    if name in _GROWING:
        largest = sorted(map(_factor, arguments), reverse=True)[:2]
        return functools.reduce(lambda a, b: max(a, 1) * max(b, 1), largest, 1)
    return _size(arguments)


def _made_with(operator: str, left: Any, right: Any) -> int:
    """How large the result of an operator may be. Raises ValueError where a number would be."""
    if operator == "**":
        if isinstance(left, int | float) and isinstance(right, int | float) and (abs(left) > 2**64 or right > 64):
            raise ValueError("the power is too large")
        return 1
    if operator == "%":
        return _made_by("format", (left, right)) if isinstance(left, str | bytes) else 1
    if operator == "+":
        return _size(left) + _size(right)
    counted = [v for v in (left, right) if isinstance(v, str | bytes | list | tuple)]
    return _size(counted[0]) * max(1, _factor(right if counted[0] is left else left)) if counted else 1


def _not_defined(name: str, owner: Any) -> str:
    """What is said of a name that means nothing. `owner` is what it was looked for in, None at the top."""
    known = _NAMES if owner is None else [str(k) for k in owner] if isinstance(owner, Mapping) else ()
    if owner is None and name == "each":
        return NO_EACH
    close = difflib.get_close_matches(name, known, 1)
    return f"{name}{UNKNOWN}" + (f"{CLOSE}{close[0]}?" if close else "")


def _measured(name: str, made: Callable[..., Any], charge: Callable[[int], None]) -> Callable[..., Any]:
    """A filter that says how much it makes before it does. What it wants to be given by Jinja it still is given."""

    @functools.wraps(made)
    def measured(*arguments: Any, **named: Any) -> Any:
        given = arguments[1:] if hasattr(made, "jinja_pass_arg") else arguments
        charge(_made_by(name, (*given, *named.values())))
        return made(*arguments, **named)

    return measured


@functools.cache
def sandbox() -> Any:
    """The one environment. `begin()` starts the measure of a rendering."""
    from jinja2 import StrictUndefined
    from jinja2.compiler import CodeGenerator
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import missing

    class NotDefined(StrictUndefined):
        """Undefined, with the name that was meant perhaps."""

        @property
        def _undefined_message(self) -> str:
            if self._undefined_hint or not isinstance(self._undefined_name, str):
                return super()._undefined_message
            owner = None if self._undefined_obj is missing else self._undefined_obj
            return _not_defined(self._undefined_name, owner)

    class Measuring(CodeGenerator):
        """Lets `~` be measured, which is no operator to Jinja."""

        def visit_Concat(self, node: Any, frame: Any) -> None:  # noqa: N802 - the base class's way
            self.write("environment.joined((")
            for part in node.nodes:
                self.visit(part, frame)
                self.write(", ")
            self.write("))")

    class Sandbox(ImmutableSandboxedEnvironment):
        """A sandbox in which `var.items` is the variable of that name, and no small text asks for a huge value."""

        intercepted_binops = frozenset({"*", "**", "%", "+"})
        code_generator_class = Measuring
        made = 0

        def begin(self) -> None:
            self.made = 0

        def charge(self, size: int) -> None:
            self.made += size
            if self.made > _MOST_MADE:
                raise ValueError("the text or list is too large")

        def shown(self, value: Any) -> Any:
            """What stands in a text is measured before it becomes text."""
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
            owner = getattr(getattr(called, "__wrapped__", called), "__self__", None)  # format comes wrapped
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
