"""Time in the emulated world: the event loop's clock, so that a virtual loop makes everything virtual; or scaled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """Seconds since the world began. `scale`: emulated seconds that pass in one of the loop's."""

    def __init__(self, scale: float = 1.0, start: datetime | None = None) -> None:
        self.scale = scale
        self.start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._began: float | None = None

    def now(self) -> float:
        time = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = time
        return (time - self._began) * self.scale

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds / self.scale)

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.now())

    def stamp(self) -> str:
        """`YYYY-MM-DD hh:mm:ss`, as nodes write it."""
        return self.wall().strftime("%Y-%m-%d %H:%M:%S")
