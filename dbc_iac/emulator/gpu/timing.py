"""Clock interface of the GPU node, and an interruptible sleep."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Emulated time: seconds since the start, and the corresponding date (UTC)."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    def wall(self) -> datetime: ...


def stamp(clock: Clock) -> str:
    """`YYYY-MM-DD hh:mm:ss`, as the node writes it."""
    return clock.wall().strftime("%Y-%m-%d %H:%M:%S")


def file_stamp(clock: Clock) -> str:
    """`YYYYMMDDhhmmss`, as in file names."""
    return clock.wall().strftime("%Y%m%d%H%M%S")


async def sleep_or(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Sleep, at most until the event is set."""
    if event.is_set() or seconds <= 0:
        return
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({sleeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        waiting.cancel()
