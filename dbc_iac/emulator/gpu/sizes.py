"""Size formatter of the node, with its rounding and its bug. Input in KiB, output as text.

It climbs units while the whole part is at least 1024, prints whole values without and others with at most two decimals.
Whole values are detected by the remainder in bytes *truncated to 32 bits*: 1500 GiB reads `1T`.
"""

from __future__ import annotations

from typing import Literal

_UNITS = "KMGTP"


def format_kib(kib: int, largest: Literal["G", "P"] = "P") -> str:
    """The text of a size: `8G`, `7.81G`, `0K`; no unit beyond `largest`."""
    power = 0
    last = _UNITS.index(largest)
    while power < last and kib >= 1024 ** (power + 1):
        power += 1
    scale = 1024**power
    whole, remainder = divmod(kib, scale)
    if remainder * 1024 % 2**32 == 0:
        return f"{whole}{_UNITS[power]}"
    return trimmed(kib / scale) + _UNITS[power]


def format_bytes(size: int) -> str:
    """Text of a file's size: whole KiB first, then as `format_kib`."""
    return format_kib(size // 1024)


def format_percent(part: float, total: float) -> str:
    """A share as printed by the node; 0 of 0 is `nan%`."""
    return f"{trimmed(100 * part / total)}%" if total else "nan%"


def trimmed(value: float) -> str:
    """At most two decimals, without trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
