"""Journals in a few documents that can only be written whole: one write for each addition, n log n bytes in all.

Each level holds eight times as many lines as the one below it. Lines are added to the lowest level. If that is full,
they are written to the next one with all lines below it. So each line is written a few times, however many there are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from dbc_iac.state.backends.backend import unreachable
from dbc_iac.state.backends.remote import RemoteBackend

WIDTH = 8
DEPTH = 5
"""Number of levels. The last one is unbounded."""

Numbered = tuple[int, str]


class LogLevels:
    """Numbered lines by level. No I/O.

    A moved line stays in the document of its former level until that is written again. It counts once.
    """

    def __init__(self, found: Iterable[Iterable[Numbered]] = ()) -> None:
        self.levels: list[dict[int, str]] = [dict(level) for level in found]
        self.levels += [{} for _ in range(DEPTH - len(self.levels))]
        self._next = 1 + max((n for level in self.levels for n in level), default=-1)

    @classmethod
    def read(cls, found: Iterable[Any]) -> LogLevels:
        """From lists of pairs, as in JSON. Raises ValueError for anything else."""
        try:
            return cls([[(int(n), str(line)) for n, line in level] for level in found])
        except (TypeError, OverflowError):
            raise ValueError("not lines by level") from None

    @property
    def lines(self) -> list[str]:
        return [line for _, line in sorted(set().union(*(level.items() for level in self.levels)))]

    def add(self, lines: Sequence[str]) -> int:
        """Add lines. Returns the level to write, which has all of them."""
        self.levels[0].update(enumerate(lines, self._next))
        self._next += len(lines)
        level = 0
        while level < DEPTH - 1 and len(self.levels[level]) > WIDTH ** (level + 1):
            self.levels[level + 1].update(self.levels[level])
            self.levels[level] = {}
            level += 1
        return level


class LevelledBackend(RemoteBackend):
    """A remote backend whose journal is kept in levels, each a document of its own."""

    def __init__(self, token: Callable[[], str]) -> None:
        super().__init__(token)
        self._levels: LogLevels | None = None
        """The journal as last read or written; None if it has to be read."""
        self._filled: set[int] = set()
        """Levels whose documents have lines."""

    def _read_lines(self) -> list[bytes]:
        levels = [self._read_level(level) for level in range(DEPTH)]
        try:
            self._levels = LogLevels.read(levels)
        except ValueError:
            raise unreachable("its journal was not written by dbc-iac") from None
        self._filled = {level for level, lines in enumerate(self._levels.levels) if lines}
        return [line.encode() for line in self._levels.lines]

    def _append(self, lines: list[bytes]) -> None:
        if self._levels is None:
            self._read_lines()
        levels = self._levels or LogLevels()
        self._levels = None  # unless it is written
        level = levels.add([line.decode() for line in lines])
        self._write_level(level, sorted(levels.levels[level].items()))
        self._filled.add(level)
        self._levels = levels

    def _clear(self) -> None:
        if self._levels is None:
            with suppress(OSError):
                self._read_lines()
        for level in range(DEPTH):
            if self._levels is None or level in self._filled:
                self._write_level(level, [])
        self._levels, self._filled = LogLevels(), set()

    @abstractmethod
    def _read_level(self, level: int) -> Any:
        """The numbered lines of a level, unchecked. Raises OSError."""

    @abstractmethod
    def _write_level(self, level: int, lines: Sequence[Numbered]) -> None:
        """Replace a level as the holder of the lock. Raises OSError, LeaseLostError."""
