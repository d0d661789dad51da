"""Signals during an apply.

The first starts nothing new: calls in flight are finished, waits end, open windows are closed, the state is written,
the lock is released. The second exits at once.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbc_iac.cli.signals import heeded
from dbc_iac.operations.signals import handled


@contextmanager
def stop_on_signal(tell: Callable[[str], None], stop: Callable[[], None]) -> Iterator[None]:
    """Within it, the first signal calls `stop`. Needs a running loop; outside the main thread nothing is handled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    came: list[int] = []

    def handle(number: int) -> None:
        came.append(number)
        if len(came) == 1:
            tell("Interrupted: finishing calls in flight. Press Ctrl-C again to exit now.")
            stop()
        # The kernel and the shell both send SIGHUP at the end of a terminal: two are no second request.
        elif task is not None and number != signal.SIGHUP and sum(n != signal.SIGHUP for n in came) > 1:
            task.cancel()

    with handled(loop, heeded(), handle):
        yield
