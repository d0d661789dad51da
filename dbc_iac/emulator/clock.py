"""Emulated time: the clock of the event loop, virtual or scaled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

TIMER = 0.001
"""Seconds of the shortest timer of a real event loop. A shorter wait lets other tasks run until it is over."""


class Clock:
    """Seconds since the start of the world. `scale`: emulated seconds per loop second; `passed`: seconds of earlier
    runs of a saved world.
    """

    def __init__(self, scale: float = 1.0, start: datetime | None = None, passed: float = 0.0) -> None:
        self.scale = scale
        self.start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self.passed = passed
        self._began: float | None = None
        self._last = passed

    def now(self) -> float:
        """Current time; outside of a running loop, the last known one."""
        try:
            time = asyncio.get_running_loop().time()
        except RuntimeError:
            return self._last
        if self._began is None:
            self._began = time
        self._last = (time - self._began) * self.scale + self.passed
        return self._last

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        delay = seconds / self.scale
        if delay < TIMER:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(0)
            while (passed := loop.time() - began) > 0:  # a virtual clock stands still
                if passed >= delay:
                    return
                await asyncio.sleep(0)
        await asyncio.sleep(delay)

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.now())
