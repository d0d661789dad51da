"""Sizes as the node writes them: from KiB, in steps of 1024, at most two decimals, no trailing zeros."""

from __future__ import annotations

KIB_PER_GIB = 1024 * 1024


def size_text(kib: int, units: str = "KMG") -> str:
    """`8G`, `7.81G`, `512M`. With units up to T or P the remainder is cut to 32 bits, as in the real one."""
    index, divisor = 0, 1
    while kib // divisor >= 1024 and index < len(units) - 1:
        index += 1
        divisor *= 1024
    whole, rest = divmod(kib, divisor)
    rest &= 0xFFFFFFFF
    if rest == 0:
        return f"{whole}{units[index]}"
    return f"{whole + rest / divisor:.2f}".rstrip("0").rstrip(".") + units[index]


def gib(amount: float) -> int:
    return int(amount * KIB_PER_GIB)


def leading_int(text: str) -> int:
    """Like C's atoi: leading digits with a sign, else 0."""
    stripped = text.lstrip(" \t\n")
    end = 1 if stripped[:1] in {"-", "+"} else 0
    while end < len(stripped) and stripped[end].isascii() and stripped[end].isdigit():
        end += 1
    try:
        return int(stripped[:end])
    except ValueError:
        return 0
