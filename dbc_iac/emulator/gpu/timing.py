"""What the GPU node needs of the world's clock, and a wait that something may cut short."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Emulated time: seconds since the beginning, and the date that goes with it (UTC)."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    def wall(self) -> datetime: ...


def stamp(clock: Clock) -> str:
    """`YYYY-MM-DD hh:mm:ss`, as the node writes it."""
    return clock.wall().strftime("%Y-%m-%d %H:%M:%S")


def file_stamp(clock: Clock) -> str:
    """`YYYYMMDDhhmmss`, as it stands in file names."""
    return clock.wall().strftime("%Y%m%d%H%M%S")


async def sleep_or(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Sleeps, but no longer than until the event is set."""
    if event.is_set() or seconds <= 0:
        return
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({sleeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        waiting.cancel()
