"""Decoders of replies: each returns a value of the right type or raises `ShapeError`. Pure.

`text`, `members` and `rows` read required values. The `maybe_...` of the same name read optional ones, and return None
for a value of another type too: one odd field must not make a whole list unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from dbc_iac.api.outcome import ShapeError
from dbc_iac.api.patterns import SEGMENT
from dbc_iac.api.secret import SecretText

_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,6}))?([KMGTP])")
_UNITS = {"K": (1, 1024**2), "M": (1, 1024), "G": (1, 1), "T": (1024, 1), "P": (1024**2, 1)}
"""Numerator and denominator of a unit in GiB."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")

Members = Mapping[str, object]


def members(value: object, what: str = "reply") -> Members:
    """An object. Its keys are text: it comes from JSON."""
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is not an object")
    return value


def rows(value: object, what: str = "reply") -> list[Members]:
    """An array of objects."""
    if not isinstance(value, list):
        raise ShapeError(f"{what} is not an array")
    return [members(item, f"an item of {what}") for item in value]


def text(source: Members, key: str) -> str:
    value = maybe_text(source, key)
    if value is None:
        raise ShapeError(f"{key} is missing or not text")
    return value


def identifier(source: Members, key: str) -> str:
    """An id for the paths of later calls. Any other text is refused here, not at a later call."""
    value = text(source, key)
    if not re.fullmatch(SEGMENT, value):
        raise ShapeError(f"{key} is not an id")
    return value


def maybe_text(source: Members, key: str) -> str | None:
    value = source.get(key)
    if not isinstance(value, str):
        return None
    # A stray surrogate from a \u escape has no UTF-8 and would fail wherever it is written.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def maybe_secret(source: Members, key: str) -> SecretText | None:
    value = maybe_text(source, key)
    return None if value is None else SecretText(value)


def texts(source: Members, key: str) -> tuple[str, ...]:
    """The texts of an array."""
    value = source.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ShapeError(f"{key} is not an array of texts")
    return tuple(item.encode("utf-8", "replace").decode() for item in value)


def texts_if_any(source: Members, key: str) -> tuple[str, ...]:
    """The texts of an array that the node leaves out when it is empty."""
    return texts(source, key) if key in source else ()


def maybe_number(source: Members, key: str) -> int | None:
    """An integer, given as a number or, as most of the API does, as text."""
    value = source.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def number(source: Members, key: str) -> int:
    value = maybe_number(source, key)
    if value is None:
        raise ShapeError(f"{key} is missing or not an integer")
    return value


def maybe_size(source: Members, key: str) -> Fraction | None:
    """GiB from text such as `7.81G`, `812.5M`, `1T`; exact up to the precision that the node prints."""
    value = source.get(key)
    try:
        return parse_size(value) if isinstance(value, str) else None
    except ShapeError:
        return None


def size(source: Members, key: str) -> Fraction:
    value = maybe_size(source, key)
    if value is None:
        raise ShapeError(f"{key} is missing or not a size")
    return value


def parse_size(value: str) -> Fraction:
    """GiB. Units are binary: K, M, G, T, P. Raises ShapeError."""
    match = _SIZE.fullmatch(value)
    if not match:
        raise ShapeError("not a size")
    decimals = match[2] or ""
    times, parts = _UNITS[match[3]]
    return Fraction(int(match[1] + decimals) * times, 10 ** len(decimals) * parts)
