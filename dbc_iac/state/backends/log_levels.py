"""A growing list of lines in a few documents that can only be written whole, at a cost that grows with n log n.

Each level holds eight times what the one below it holds. A line goes into the lowest; a level that is full goes into
the next. A line is written a few times, however many there are. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WIDTH = 8
DEPTH = 5
"""Levels. The last one takes whatever comes."""

Numbered = tuple[int, str]


class LogLevels:
    """Lines by level, each with its number. What a crash between two writes left in two levels counts once."""

    def __init__(self, found: Iterable[Iterable[Numbered]] = ()) -> None:
        self.levels: list[dict[int, str]] = [dict(level) for level in found]
        self.levels += [{} for _ in range(DEPTH - len(self.levels))]

    @classmethod
    def read(cls, found: Iterable[Any]) -> LogLevels:
        """Of lists of pairs, as JSON has them. Raises ValueError for anything else."""
        try:
            return cls([[(int(n), str(line)) for n, line in level] for level in found])
        except (TypeError, OverflowError):
            raise ValueError("not lines by level") from None

    @property
    def lines(self) -> list[str]:
        return [line for _, line in sorted(set().union(*(level.items() for level in self.levels)))]

    def add(self, lines: Iterable[str]) -> list[int]:
        """Add lines. Returns the levels to write, in this order: what has moved up is there before it goes."""
        number = max((n for level in self.levels for n in level), default=-1)
        self.levels[0].update(enumerate(lines, number + 1))
        changed = [0]
        for level in range(DEPTH - 1):
            if len(self.levels[level]) <= WIDTH ** (level + 1):
                break
            self.levels[level + 1].update(self.levels[level])
            self.levels[level] = {}
            changed.insert(0, level + 1)
        return changed
