"""Gate of a node: creations, or one offline window, never both at once.

A node works off one queue for all its VMs, and a creation can hold it for an hour: a VM that is powered off behind one
would stay off as long. So windows go first, one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NodeGate:
    """Readers-writer lock of one node, where windows that are announced go before creations."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._creating = 0
        self._open = False
        self._announced = 0

    def announce(self) -> None:
        """Announce a window that waits for no creation: creations wait for it."""
        self._announced += 1

    async def withdraw(self) -> None:
        """Withdraw an announced window: it has ended, or was skipped."""
        async with self._changed:
            self._announced -= 1
            self._changed.notify_all()

    @asynccontextmanager
    async def creation(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open and not self._announced)
            self._creating += 1
        try:
            yield
        finally:
            async with self._changed:
                self._creating -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def window(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open and not self._creating)
            self._open = True
        try:
            yield
        finally:
            async with self._changed:
                self._open = False
                self._changed.notify_all()
