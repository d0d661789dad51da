"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): every command exits with code 8 and one line.

During an apply the first signal starts nothing new: calls in flight are finished, waits end, open windows are closed,
the state is written, the lock is released. The second signal exits at once.
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
    """All of them, except SIGHUP in a process that was started with `nohup`."""
    return tuple(n for n in SIGNALS if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN)


def end_on_signals() -> None:
    """Make each signal act as Ctrl-C: outside an apply it ends the command, which releases its lock."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Act as Ctrl-C, for which a running asyncio loop has a handler that cancels the task in order."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def end_with(code: ExitCode) -> None:
    """Fix the exit code of the process: a signal from now on only ends it sooner."""
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
        # The kernel and the shell both send SIGHUP at the end of a terminal: two are no second request.
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
