"""The one worker of a node: a queue in memory, first in, first out, for the jobs of all its VMs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Job = Callable[[], Awaitable[None]]


class Worker:
    """Runs jobs one after another. It lives only while there is work, so that an idle world is quiet."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._jobs:
            await self._jobs.popleft()()

    def restart(self) -> None:
        """The process ends: everything queued is lost without a trace."""
        self._jobs.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def waiting(self) -> int:
        return len(self._jobs)
