"""Wire types: the encoding of one value in a request, and the last check before it is sent. Pure.

The node parses most wrong input into something, and some of it kills a process: so a value that cannot be encoded
exactly is refused with `UnsafeWireValue`. Every scalar of VM create and modify is a JSON *string*, and a number is
silently ignored; `/disk/*` and `ipmi_port` want JSON *integers*, where a string once made a disk of 31.89 TiB.

    class SetPassword(Body):
        username: Annotated[str, Text("username", r"[a-z]+")]
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import get_type_hints

from dbc_iac.api import patterns
from dbc_iac.api.secret import SecretText
from dbc_iac.json import Json

INT32 = 2**31 - 1


class UnsafeWireValue(ValueError):  # noqa: N818 - names the value, not the accident
    """A value that must not be sent. The text names the key and the rule, never the value: it may be a secret."""


class WireType(ABC):
    """Encoding of a field. `key` is its name on the wire."""

    key: str

    @abstractmethod
    def encode(self, value: object) -> Json:
        """The JSON value. Raises UnsafeWireValue."""


@dataclass(frozen=True, slots=True)
class StringInt(WireType):
    """An integer as decimal text: 8 is `"8"`. The node parses like C's atoi, so nothing else may get there."""

    key: str
    low: int
    high: int = INT32

    def encode(self, value: object) -> Json:
        return str(_bounded(self.key, value, self.low, self.high))


@dataclass(frozen=True, slots=True)
class JsonInt(WireType):
    """An integer as a JSON number of 32 bits."""

    key: str
    low: int
    high: int = INT32

    def encode(self, value: object) -> Json:
        return _bounded(self.key, value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Text(WireType):
    """Text that matches `pattern` in full, at most `most` bytes."""

    key: str
    pattern: str = r".*"
    most: int = 1000

    def encode(self, value: object) -> Json:
        return _text(self.key, value, self.pattern, self.most)


@dataclass(frozen=True, slots=True)
class HiddenText(WireType):
    """A `SecretText`, revealed here and only here."""

    key: str
    pattern: str
    most: int

    def encode(self, value: object) -> Json:
        if not isinstance(value, SecretText):
            raise UnsafeWireValue(f"{self.key}: expected a secret")
        return _text(self.key, value.reveal(), self.pattern, self.most)


@dataclass(frozen=True, slots=True)
class TextList(WireType):
    """A whole list of texts; an empty one clears."""

    key: str
    pattern: str
    most: int = 200

    def encode(self, value: object) -> Json:
        if not isinstance(value, tuple):
            raise UnsafeWireValue(f"{self.key}: expected a list")
        return [_text(self.key, item, self.pattern, self.most) for item in value]


class Body:
    """The `additional` object of a request: a frozen dataclass whose fields are annotated with their wire types.

    A field that is None is left out. A body that cannot be encoded cannot be made.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        self.additional()

    def additional(self) -> dict[str, Json]:
        encoded: dict[str, Json] = {}
        body: type = type(self)
        for name, wire in _wire_types(body).items():
            value = getattr(self, name)
            if value is not None:
                encoded[wire.key] = wire.encode(value)
        return encoded


@cache
def _wire_types(body: type) -> Mapping[str, WireType]:
    hints = get_type_hints(body, include_extras=True)
    found: dict[str, WireType] = {}
    for field in fields(body):
        wire = next(m for m in hints[field.name].__metadata__ if isinstance(m, WireType))
        found[field.name] = wire
    return found


def _bounded(key: str, value: object, low: int, high: int) -> int:
    # bool is an int in Python, and `true` is nothing at all to the node
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnsafeWireValue(f"{key}: expected an integer")
    if not low <= value <= high:
        raise UnsafeWireValue(f"{key}: must be {low} to {high}")
    return value


def _text(key: str, value: object, pattern: str, most: int) -> str:
    if not isinstance(value, str):
        raise UnsafeWireValue(f"{key}: expected text")
    check_text(key, value)
    if len(value.encode()) > most:
        raise UnsafeWireValue(f"{key}: longer than {most} bytes")
    if not re.fullmatch(pattern, value):
        raise UnsafeWireValue(f"{key}: the node does not accept this form")
    return value


def check_text(key: str, value: str) -> None:
    """Refuse what the node would paste into JSON unescaped, and what has no UTF-8."""
    if any(c in '"\\\x7f' or ord(c) < 0x20 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise UnsafeWireValue(f'{key}: must not contain ", \\ or control characters')


def check_json(key: str, value: object) -> Json:
    """A copy of a JSON value that is safe to send: texts as above, integers of 32 bits, no booleans, nulls, fractions.

    The last line of defence: every `additional` passes through it.
    """
    if isinstance(value, str):
        check_text(key, value)
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return _bounded(key, value, -INT32 - 1, INT32)
    if isinstance(value, Mapping):
        copy: dict[str, Json] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                raise UnsafeWireValue(f"{key}: a name that is not text")
            check_text(f"{key}, a name", name)
            copy[name] = check_json(name, item)
        return copy
    if isinstance(value, (list, tuple)):
        return [check_json(key, item) for item in value]
    raise UnsafeWireValue(f"{key}: expected text, an integer, a list or a mapping")


def segment(name: str, value: str) -> str:
    """A path segment. The node decodes no percent signs, so what needs them cannot be named."""
    check_text(name, value)
    if not re.fullmatch(patterns.SEGMENT, value):
        raise UnsafeWireValue(f"{name}: cannot be part of a path")
    return value
