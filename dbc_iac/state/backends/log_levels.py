"""Journals in a few documents that can only be written whole, at a cost that grows with n log n.

Each level holds eight times as many lines as the one below it. A line is added to the lowest level, and a full level is
moved into the next one. So each line is written a few times, however many there are.
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
    """Numbered lines by level. Lines in two levels, by a crash between two writes, count once. No I/O."""

    def __init__(self, found: Iterable[Iterable[Numbered]] = ()) -> None:
        self.levels: list[dict[int, str]] = [dict(level) for level in found]
        self.levels += [{} for _ in range(DEPTH - len(self.levels))]

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

    def add(self, lines: Iterable[str]) -> list[int]:
        """Add lines. Returns the levels to write in this order: moved lines are written before they are removed."""
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


class LevelledBackend(RemoteBackend):
    """A remote backend whose journal is kept in levels, each a document of its own."""

    def __init__(self, token: Callable[[], str]) -> None:
        super().__init__(token)
        self._levels: LogLevels | None = None
        """The journal as last read or written; None if it has to be read."""

    def _read_lines(self) -> list[bytes]:
        levels = [self._read_level(level) for level in range(DEPTH)]
        try:
            self._levels = LogLevels.read(levels)
        except ValueError:
            raise unreachable("its journal is not one of dbc-iac") from None
        return [line.encode() for line in self._levels.lines]

    def _append(self, lines: list[bytes]) -> None:
        if self._levels is None:
            self._read_lines()
        levels = self._levels or LogLevels()
        self._levels = None  # unless all of it is written
        for level in levels.add(line.decode() for line in lines):
            self._write_level(level, sorted(levels.levels[level].items()))
        self._levels = levels

    def _clear(self) -> None:
        if self._levels is None:
            with suppress(OSError):
                self._read_lines()
        known = self._levels
        for level in range(DEPTH):
            if known is None or known.levels[level]:
                self._write_level(level, [])
        self._levels = LogLevels()

    @abstractmethod
    def _read_level(self, level: int) -> Any:
        """The numbered lines of a level, unchecked. Raises OSError."""

    @abstractmethod
    def _write_level(self, level: int, lines: Sequence[Numbered]) -> None:
        """Replace a level as the holder of the lock. Raises OSError, LeaseLostError."""
