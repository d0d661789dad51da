"""JSON as parsed by the node: strict, with its error texts and byte offsets.

The first of duplicate keys wins, invalid UTF-8 passes, and a number beyond a double is refused. A text is a C string:
it ends at its first NUL. Nesting is limited only by the body's length.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any, NoReturn

_SPACE = b" \n\r\t"
_DIGITS = b"0123456789"
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]+')
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}


class JsonError(ValueError):
    """Syntax error and its byte offset."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text}({offset})")
        self.text = text
        self.offset = offset


def parse(data: bytes) -> Any:
    """Parse a JSON document. Raises JsonError."""
    data = data.split(b"\0", 1)[0]
    if b"\\" not in data:
        with suppress(ValueError, RecursionError):
            return _COMMON.decode(data.decode())
    return parse_slowly(data)


def parse_slowly(data: bytes) -> Any:
    """Parse a JSON document of any kind: the reader takes ten times as long as Python's parser."""
    reader = _Reader(data)
    reader.space()
    if reader.peek() == b"":
        raise JsonError("The document is empty.", reader.at)
    value = reader.value()
    reader.space()
    if reader.peek() != b"":
        raise JsonError("The document root must not be followed by other values.", reader.at)
    return value


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ValueError for duplicate keys, of which Python takes the last."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError
    return found


def _uncommon(text: str) -> NoReturn:
    raise ValueError(text)


_COMMON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_uncommon, parse_int=_uncommon, parse_constant=_uncommon
)
"""Decodes documents without numbers and escapes, which both parsers read alike. Raises ValueError for others."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def take(self, expected: bytes) -> bool:
        if self.peek() == expected:
            self.at += 1
            return True
        return False

    def space(self) -> None:
        while self.peek() and self.peek() in _SPACE:
            self.at += 1

    def value(self) -> Any:
        """Parser with an explicit stack of open containers."""
        open_: list[tuple[dict[str, Any] | list[Any], str]] = []
        while True:
            value = self._open()
            if isinstance(value, dict | list) and not self._closes(value):
                open_.append((value, self._name() if isinstance(value, dict) else ""))
                continue
            while open_:
                owner, name = open_.pop()
                _put(owner, name, value)
                if not self._goes_on(owner):
                    value = owner
                    continue
                open_.append((owner, self._name() if isinstance(owner, dict) else ""))
                break
            else:
                return value

    def _open(self) -> Any:
        """Parse a plain value, or open a container."""
        match self.peek():
            case b"{":
                self.at += 1
                return {}
            case b"[":
                self.at += 1
                return []
            case b'"':
                return self._string().split("\0", 1)[0]
            case b"n":
                return self._word(b"null", None)
            case b"t":
                return self._word(b"true", True)
            case b"f":
                return self._word(b"false", False)
        return self._number()

    def _word(self, word: bytes, value: bool | None) -> bool | None:
        for index in range(len(word)):
            if not self.take(word[index : index + 1]):
                raise JsonError("Invalid value.", self.at)
        return value

    def _closes(self, owner: dict[str, Any] | list[Any]) -> bool:
        """Whether an opened container is empty."""
        self.space()
        return self.take(b"}" if isinstance(owner, dict) else b"]")

    def _goes_on(self, owner: dict[str, Any] | list[Any]) -> bool:
        """Whether another item follows; otherwise the container is closed."""
        self.space()
        if self.take(b"}" if isinstance(owner, dict) else b"]"):
            return False
        if not self.take(b","):
            which = "'}' after an object member" if isinstance(owner, dict) else "']' after an array element"
            raise JsonError(f"Missing a comma or {which}.", self.at)
        self.space()
        return True

    def _name(self) -> str:
        if self.peek() != b'"':
            raise JsonError("Missing a name for object member.", self.at)
        name = self._string()
        self.space()
        if not self.take(b":"):
            raise JsonError("Missing a colon after a name of object member.", self.at)
        self.space()
        return name

    def _string(self) -> str:
        self.at += 1
        parts: list[bytes] = []
        while True:
            letter = self.peek()
            if letter == b'"':
                self.at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if letter == b"":
                raise JsonError("Missing a closing quotation mark in string.", self.at)
            if letter < b" ":
                raise JsonError("Invalid encoding in string.", self.at)
            if letter == b"\\":
                parts.append(self._escape().encode("utf-8", "surrogatepass"))
            else:
                plain = _PLAIN.match(self.data, self.at)
                parts.append(plain[0] if plain is not None else b"")
                self.at += len(parts[-1])

    def _escape(self) -> str:
        start = self.at
        self.at += 1
        letter = self.peek()
        if letter in _ESCAPES and letter:
            self.at += 1
            return _ESCAPES[letter]
        if letter != b"u":
            raise JsonError("Invalid escape character in string.", start)
        self.at += 1
        code = self._hex(start)
        if 0xDC00 <= code <= 0xDFFF:
            raise JsonError("The surrogate pair in string is invalid.", start)
        if 0xD800 <= code <= 0xDBFF:
            if self.data[self.at : self.at + 2] != b"\\u":
                raise JsonError("The surrogate pair in string is invalid.", start)
            self.at += 2
            low = self._hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise JsonError("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def _hex(self, start: int) -> int:
        digits = self.data[self.at : self.at + 4]
        if len(digits) < 4 or any(d not in b"0123456789abcdefABCDEF" for d in digits):
            raise JsonError("Incorrect hex digit after \\u escape in string.", start)
        self.at += 4
        return int(digits, 16)

    def _number(self) -> int | float:
        """An integer out of range becomes a double."""
        start = self.at
        self.take(b"-")
        if not self.take(b"0") and not self._run():
            raise JsonError("Invalid value.", self.at)
        whole = True
        if self.take(b"."):
            whole = False
            if not self._run():
                raise JsonError("Miss fraction part in number.", self.at)
        if self.peek() in {b"e", b"E"}:
            whole = False
            self.at += 1
            if self.peek() in {b"+", b"-"}:
                self.at += 1
            if not self._run():
                raise JsonError("Miss exponent in number.", self.at)
        text = self.data[start : self.at].decode()
        if not whole or len(text) > 300:
            number = float(text)
            if math.isinf(number):
                raise JsonError("Number too big to be stored in double.", start)
            return number
        return int(text)

    def _run(self) -> bool:
        """Consume digits; whether there was at least one."""
        start = self.at
        while self.peek() and self.peek() in _DIGITS:
            self.at += 1
        return self.at > start


def _put(owner: dict[str, Any] | list[Any], name: str, value: Any) -> None:
    if isinstance(owner, dict):
        owner.setdefault(name, value)
    else:
        owner.append(value)
