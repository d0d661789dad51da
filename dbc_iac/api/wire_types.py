"""Wire types: the encoding of one value in a request, and the last check before it is sent. Pure.

The node parses most wrong input into something, and some of it kills a process: so a value that cannot be encoded
exactly is refused with `UnsafeWireValue`. Every scalar of VM create and modify is a JSON *string*, and a number is
silently ignored; `/disk/*` and `ipmi_port` want JSON *integers*, where a string once made a disk of 31.89 TiB.

    class SetPassword(Body, frozen=True, kw_only=True):
        username: Annotated[str, Text(r"[a-z]+")]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from msgspec import Struct
from msgspec.structs import fields

from dbc_iac.api import patterns
from dbc_iac.json import Json
from dbc_iac.secret import SecretText

INT32 = 2**31 - 1


class UnsafeWireValue(ValueError):  # noqa: N818 - names the value, not the accident
    """A value that must not be sent. The text names the key and the rule, never the value: it may be a secret."""


class JsonInt(Struct, frozen=True):
    """An integer as a JSON number of 32 bits."""

    low: int
    high: int = INT32

    def encode(self, key: str, value: object) -> Json:
        # bool is an int in Python, and `true` is nothing at all to the node
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnsafeWireValue(f"{key}: expected an integer")
        if not self.low <= value <= self.high:
            raise UnsafeWireValue(f"{key}: must be {self.low} to {self.high}")
        return value


class StringInt(JsonInt, frozen=True):
    """An integer as decimal text: 8 is `"8"`. The node parses like C's atoi, so nothing else may get there."""

    def encode(self, key: str, value: object) -> Json:
        return str(super().encode(key, value))


class Text(Struct, frozen=True):
    """Text that matches `pattern` in full, at most `most` bytes. `form`: the pattern for people who type the text."""

    pattern: str = r".*"
    most: int = 1000
    form: str = ""

    def encode(self, key: str, value: object) -> Json:
        if not isinstance(value, str):
            raise UnsafeWireValue(f"{key}: expected text")
        check_text(key, value)
        if len(value.encode()) > self.most:
            raise UnsafeWireValue(f"{key}: longer than {self.most} bytes")
        if not re.fullmatch(self.pattern, value):
            expected = f"expected {self.form}" if self.form else "the node does not accept this form"
            raise UnsafeWireValue(f"{key}: {expected}")
        return value


class HiddenText(Text, frozen=True):
    """A `SecretText`, revealed here and only here."""

    def encode(self, key: str, value: object) -> Json:
        if not isinstance(value, SecretText):
            raise UnsafeWireValue(f"{key}: expected a secret")
        return super().encode(key, value.reveal())


class TextList(Text, frozen=True):
    """A whole list of texts; an empty one clears. `most` bytes each."""

    most: int = 200

    def encode(self, key: str, value: object) -> Json:
        if not isinstance(value, tuple):
            raise UnsafeWireValue(f"{key}: expected a list")
        return [Text.encode(self, key, item) for item in value]


class Body(Struct, frozen=True):
    """The `additional` object of a request: its fields are annotated with their wire types.

    A field that is None is left out. A body that cannot be encoded cannot be made.
    """

    def __post_init__(self) -> None:
        self.check()
        self.additional()

    def check(self) -> None:
        """Refuse values that do not fit together. Raises UnsafeWireValue."""

    def additional(self) -> dict[str, Json]:
        values = ((key, getattr(self, name), wire) for name, key, wire in _wire_types(type(self)))
        return {key: wire.encode(key, value) for key, value, wire in values if value is not None}


@cache
def _wire_types(body: type[Body]) -> list[tuple[str, str, JsonInt | Text]]:
    """Of each field: its name, its name on the wire, and its wire type."""
    return [(one.name, one.encode_name, one.type.__metadata__[0]) for one in fields(body)]


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
        return JsonInt(-INT32 - 1).encode(key, value)
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
    if not re.fullmatch(patterns.SEGMENT, value):
        raise UnsafeWireValue(f"{name}: cannot be part of a path")
    return value
