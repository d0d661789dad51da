"""Worker of the node: an in-memory FIFO queue for jobs of all its VMs.

It runs only while there is work. When the daemon ends, queued jobs are lost without a trace.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct

from dbc_iac.emulator.reply import ProcessDied


class Job(Struct, frozen=True):
    """A job; `kind` and `task_id` are informational."""

    kind: str
    task_id: str
    run: Callable[[], Awaitable[None]]


class Worker:
    """`on_death` is called when a job crashes the process."""

    def __init__(self, on_death: Callable[[], None]) -> None:
        self.current: Job | None = None
        self._queue: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._on_death = on_death

    @property
    def queued(self) -> tuple[Job, ...]:
        """Accepted jobs that have not started."""
        return tuple(self._queue)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs that have not ended."""
        return (*([] if self.current is None else [self.current]), *self._queue)

    def push(self, job: Job) -> None:
        self._queue.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def stop(self) -> None:
        """Drop the queue: the process ends."""
        self._queue.clear()
        self.current = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _work(self) -> None:
        try:
            while self._queue:
                self.current = self._queue.popleft()
                await self.current.run()
                self.current = None
        except ProcessDied:
            self._on_death()
