"""Request to end an apply, by a signal: nothing new is started, and waits end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """A request to end that is never withdrawn."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        self._asked.set()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await a look or a wait; None if the end is requested meanwhile, which cancels it.

        Calls that start after that are part of the orderly end, and go on.
        """
        if self.asked:
            return await work
        running, asked = asyncio.ensure_future(work), asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else None
        finally:
            asked.cancel()
            running.cancel()
