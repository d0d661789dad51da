"""Ctrl-C and SIGTERM during an apply: the first stops what is not started, the second ends at once.

After the first, what is in flight is finished, open windows are closed, the state is written, the lock is let go.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signal(tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within it, gives whether a signal has come. Needs a running loop; outside the main thread nothing is handled."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    came: list[int] = []

    def handle(number: int) -> None:
        came.append(number)
        if len(came) == 1:
            tell("stopping: nothing new is started, what is in flight is finished; once more to leave at once")
        elif task is not None:
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield lambda: bool(came)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
