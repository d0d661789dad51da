"""Parsing of request texts as in the node: C integers, a splitter that drops empty parts, strict addresses.

Pure functions. A JSON value of the wrong type counts as absent, a text ends at its first NUL, and numbers are parsed by
`atoi` rules, which explains most of the node's surprises.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

_LEADING_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)
_SATURATED = 10**19


def text_of(values: Mapping[str, object], key: str) -> str:
    """Text of `key`; `""` if missing or not a text."""
    value = values.get(key)
    return value.split("\0", 1)[0] if isinstance(value, str) else ""


def texts_of(values: Mapping[str, object], key: str) -> list[str] | None:
    """Texts of the array of `key`, other items dropped; None without an array."""
    value = values.get(key)
    if not isinstance(value, list):
        return None
    return [item.split("\0", 1)[0] for item in value if isinstance(item, str)]


def int32_of(values: Mapping[str, object], key: str) -> int | None:
    """A JSON integer that fits 32 signed bits; None for anything else, `20.0` and `"20"` included."""
    value = values.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return value
    return None


def atoi(text: str) -> int:
    """The leading integer as glibc's `atoi` gives it: 64 bits read with saturation, the low 32 kept."""
    found = _LEADING_INTEGER.match(text)
    if found is None:
        return 0
    size = digits_value(found[2])
    wide = max(_INT64_MIN, min(_INT64_MAX, -size if found[1] == "-" else size))
    return (wide + 2**31) % 2**32 - 2**31


def digits_value(digits: str) -> int:
    """Value of a digit sequence of any length, saturated far above the node's integers."""
    found = digits.lstrip("0")
    return int(found or "0") if len(found) < 20 else _SATURATED


def port_number(text: str) -> int:
    """A port as stored by the node: modulo 65536."""
    return atoi(text) % 65536


def is_digits(text: str) -> bool:
    """True for a non-empty text of ASCII digits only."""
    return text.isascii() and text.isdigit()


def byte_count(text: str) -> int:
    """Bytes of a text as sent, invalid UTF-8 included."""
    return len(text.encode("utf-8", "surrogateescape"))


def split(text: str, separator: str) -> list[str]:
    """The non-empty parts between separators."""
    return [part for part in text.split(separator) if part]


def is_alphanumeric(text: str) -> bool:
    """True when every character is an ASCII letter or digit."""
    return all(character.isascii() and character.isalnum() for character in text)


def is_ip(text: str) -> bool:
    """True for an IPv4 or IPv6 address in its canonical spelling."""
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def is_ipv6(text: str) -> bool:
    """Whether `boost::asio` accepts a text as an IPv6 address, in any spelling."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_ipv4(text: str) -> bool:
    """Whether `boost::asio` accepts a text as a dotted quad; anything else makes it throw."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_linux(operation_system: str) -> bool:
    """The node's own test for a Linux guest."""
    return "linux" in operation_system or "ubuntu" in operation_system


def is_windows(operation_system: str) -> bool:
    """The node's own test for a Windows guest (true for `darwin` as well)."""
    return "win" in operation_system
