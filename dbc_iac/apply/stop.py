"""The wish that an apply ends, as a signal brings it: nothing new is started, and no wait outlasts it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """Asked for once, and never taken back."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        self._asked.set()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of what only looks or waits; None where the end is asked for meanwhile, which cancels it.

        What is begun after that is part of ending in order, and goes on.
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
