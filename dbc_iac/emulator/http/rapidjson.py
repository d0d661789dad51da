"""JSON as the node's parser reads it: strict, with its own words and byte offsets for what is wrong.

The first of duplicate keys wins, invalid UTF-8 passes, and a number that no double can hold is refused.
"""

from __future__ import annotations

import math
from typing import Any

_SPACE = b" \n\r\t"
_DIGITS = b"0123456789"
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}


class JsonError(ValueError):
    """What is wrong, and at which byte."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text}({offset})")
        self.text = text
        self.offset = offset


def parse(data: bytes) -> Any:
    """A JSON document. Raises JsonError."""
    reader = _Reader(data.split(b"\0", 1)[0])
    reader.space()
    if reader.peek() == b"":
        raise JsonError("The document is empty.", reader.at)
    value = reader.value()
    reader.space()
    if reader.peek() != b"":
        raise JsonError("The document root must not be followed by other values.", reader.at)
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def take(self, wanted: bytes) -> bool:
        if self.peek() == wanted:
            self.at += 1
            return True
        return False

    def space(self) -> None:
        while self.peek() and self.peek() in _SPACE:
            self.at += 1

    def value(self) -> Any:
        match self.peek():
            case b"{":
                return self._object()
            case b"[":
                return self._array()
            case b'"':
                return self._string()
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

    def _object(self) -> dict[str, Any]:
        self.at += 1
        result: dict[str, Any] = {}
        self.space()
        if self.take(b"}"):
            return result
        while True:
            if self.peek() != b'"':
                raise JsonError("Missing a name for object member.", self.at)
            name = self._string()
            self.space()
            if not self.take(b":"):
                raise JsonError("Missing a colon after a name of object member.", self.at)
            self.space()
            result.setdefault(name, self.value())
            self.space()
            if self.take(b"}"):
                return result
            if not self.take(b","):
                raise JsonError("Missing a comma or '}' after an object member.", self.at)
            self.space()

    def _array(self) -> list[Any]:
        self.at += 1
        result: list[Any] = []
        self.space()
        if self.take(b"]"):
            return result
        while True:
            result.append(self.value())
            self.space()
            if self.take(b"]"):
                return result
            if not self.take(b","):
                raise JsonError("Missing a comma or ']' after an array element.", self.at)
            self.space()

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
                parts.append(letter)
                self.at += 1

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
        """Whether there was at least one digit; all are taken."""
        start = self.at
        while self.peek() and self.peek() in _DIGITS:
            self.at += 1
        return self.at > start
