"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): every command ends with exit code 8 and one line.

During an apply the first stops what is not started: calls in flight are finished, waits end, open windows are closed,
the state is written, the lock is let go. The second ends at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dbc_iac.diagnostics import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> tuple[signal.Signals, ...]:
    """All of them; but who was started to outlive its terminal (`nohup`) goes on."""
    return tuple(n for n in SIGNALS if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN)


def end_on_signals() -> None:
    """For the process: each of them does what Ctrl-C does. Outside an apply that is to end what runs, and let go."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C, for which asyncio has a handler of its own while it runs: it ends the task in order."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def end_with(code: ExitCode) -> None:
    """For the end of the process: what it ends with is decided, and a signal only makes it quicker."""
    for number in heeded():
        signal.signal(number, lambda *_: os._exit(int(code)))


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
        # The end of a terminal is told by the kernel and by the shell: nobody asks twice by it.
        elif task is not None and number != signal.SIGHUP and sum(n != signal.SIGHUP for n in came) > 1:
            task.cancel()

    before = {number: signal.getsignal(number) for number in heeded()}
    for number in before:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
