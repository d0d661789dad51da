"""Numbers and durations in words. Pure."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT = 120
"""Longest duration shown in seconds."""


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 step`, `1,200 steps`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: int) -> str:
    """Rounded duration in at most two units: `60 s`, `25 min`, `8 h 20 min`, `2 d 3 h`."""
    if seconds <= _SHORT:
        return f"{seconds} s"
    minutes = -(-seconds // _MINUTE) * _MINUTE
    for size, name, less, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if minutes >= size:
            whole, rest = divmod(minutes, size)
            return f"{whole} {name}" + (f" {rest // less} {small}" if rest // less else "")
    return f"{minutes // _MINUTE} min"
