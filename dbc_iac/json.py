"""The one shared type of plain values: what JSON can hold; its reading and writing. Imports nothing of the project."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 100
"""Levels of lists and objects in one value."""

MAX_VALUES = 2_000_000
"""Values in one text. Each takes up to 100 bytes of memory and 2 bytes of text."""

_NOTHING = object()
"""The end of an iterator."""
_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")


def value_text(value: Any, absent: str = "nothing") -> str:
    """A value within a sentence: `on`, `4`, `true`, `tcp,80, tcp,81`, `env: PASSWORD`. `absent`: for an empty one."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "" or (isinstance(value, list | tuple | dict) and not value):
        return absent
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items())
    return str(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_STRICT = json.JSONDecoder(parse_constant=_no_constant)


def load_json(
    text: str | bytes,
    *,
    constants: bool = True,
    surrogates: bool = False,
    most: int = MAX_VALUES,
) -> Any:
    """The value of a JSON text. Raises ValueError, also for nesting that recursion would fail on.

    `constants`: allow NaN and Infinity, which JSON does not have. `surrogates`: allow halves of surrogate pairs, which
    cannot be written as UTF-8. `most`: number of values.
    """
    if not isinstance(text, str):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    opened = sum(map(text.count, "[{"))
    if text.count(",") + opened > most:
        raise ValueError(f"more than {most} values")
    try:
        value = json.loads(text) if constants else _STRICT.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not surrogates and ("\\u" in text or not text.isascii()) and _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    if opened <= MAX_DEPTH:
        return value
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [one for one in level if isinstance(one, dict | list)]
        if not nested:
            return value
        level = [inner for one in nested for inner in (one.values() if isinstance(one, dict) else one)]
    raise ValueError("nested too deeply")


def object_pieces(members: Mapping[str, Any], text: Callable[[Any], str], indent: str) -> Iterator[str]:
    """The lines of a JSON object, in pieces of one line or more: of an iterator among the members, which is a list, one
    item at a time. `text`: the text of a value, indented by `indent`."""
    yield "{"
    for number, (key, value) in enumerate(members.items(), 1):
        end = "," if number < len(members) else ""
        if isinstance(value, Iterator) and (item := next(value, _NOTHING)) is not _NOTHING:
            yield f"{indent}{text(key)}: ["
            while item is not _NOTHING:
                one, item = text(item), next(value, _NOTHING)
                yield _indented(f"{one}{'' if item is _NOTHING else ','}", indent * 2)
            yield f"{indent}]{end}"
        else:
            plain = [] if isinstance(value, Iterator) else value
            yield _indented(f"{text(key)}: {text(plain)}{end}", indent)
    yield "}"


def _indented(text: str, by: str) -> str:
    return by + text.replace("\n", f"\n{by}")
