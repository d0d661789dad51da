"""Waits of an apply: polls, and the request to end, which ends them.

A target has one poll for all goals that wait there, every 10 s to 60 s. While a VM is powered off, the first polls come
sooner: the awaited effects take seconds, and the VM is down meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from msgspec import Struct, field

from dbc_iac.kinds.framework.cached_reader import CachedReader

T = TypeVar("T")

FLOOR, CEILING, GROWTH = 10.0, 60.0, 1.5
"""Seconds between two polls of one target: first, longest, and growth factor."""
SOON = 2.0
"""Seconds until the first poll while a VM is off at the target."""
PAUSE = 120.0
"""Seconds between two failed looks at a target from which on it may have answered in between."""


class Poller(Struct, eq=False):
    """Coalesced polling over a reader."""

    reader: CachedReader
    _ticks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _pauses: dict[str, float] = field(default_factory=dict)
    _close: set[str] = field(default_factory=set)
    _silent: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Times of the first and the last of the looks that failed in a row, by target."""

    @contextmanager
    def closely(self, target: str) -> Iterator[None]:
        """Poll the target sooner while a VM is off there."""
        self._close.add(target)
        self._ticks.pop(target, None)
        self.hurry(target)
        try:
            yield
        finally:
            self._close.discard(target)

    def silent(self, target: str, now: float) -> float:
        """Record a failed read. Returns the time of the first failed read in a row, of any goal."""
        since, last = self._silent.get(target, (now, now))
        since = now if now - last > PAUSE else since
        self._silent[target] = (since, now)
        return since

    def heard(self, target: str) -> None:
        """Record a look that was answered."""
        self._silent.pop(target, None)

    def hurry(self, target: str) -> None:
        """Poll the target soon, and forget its readings."""
        self._pauses.pop(target, None)
        self.reader.forget(target=target)

    async def tick(self, target: str, most: float = math.inf) -> None:
        """Wait for the next poll of the target, at most so many seconds, and forget its readings."""
        waiting = self._ticks.get(target)
        if waiting is None or waiting.done():
            waiting = asyncio.ensure_future(self._after_pause(target))
            self._ticks[target] = waiting
        _, late = await asyncio.wait({waiting}, timeout=None if math.isinf(most) else most)
        if late:
            self.reader.forget(target=target)

    async def soon(self, target: str) -> None:
        """Wait for an early poll of its own, apart from the shared one."""
        await asyncio.sleep(SOON)
        self.reader.forget(target=target)

    async def _after_pause(self, target: str) -> None:
        pause = self._pauses.get(target, SOON if target in self._close else FLOOR)
        self._pauses[target] = min(pause * GROWTH, CEILING)
        await asyncio.sleep(pause)
        self.reader.forget(target=target)


class Stop(asyncio.Event):
    """Request to end an apply, by a signal: nothing new is started, and waits end. It is never withdrawn."""

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await a look or a wait; None if the end is requested meanwhile, which cancels it.

        Calls that start after that are part of the orderly end, and go on.
        """
        if self.is_set():
            return await work
        running, asked = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else None
        finally:
            asked.cancel()
            running.cancel()
