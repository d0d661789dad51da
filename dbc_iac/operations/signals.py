"""Signal handlers of the command line and of the processes of runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # commands without an event loop start faster
    from asyncio import AbstractEventLoop


def act_as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Act as Ctrl-C, for which a running event loop has a handler that cancels the task in order."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


@contextmanager
def handled(
    loop: AbstractEventLoop, numbers: Iterable[signal.Signals], handle: Callable[[signal.Signals], None]
) -> Iterator[None]:
    """Within it, the loop calls `handle` with each of these signals; after it, they have their former handlers."""
    before = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
