"""An event loop whose clock jumps to the next moment at which something happens: for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def virtual_loop() -> asyncio.AbstractEventLoop:
    """A new loop with a virtual clock. It never waits; in-process worlds run as fast as they can be computed.

    What is awaited in a thread elsewhere runs in the loop itself: no virtual time passes meanwhile.
    """
    from looptime import new_event_loop

    loop: asyncio.AbstractEventLoop = new_event_loop(start=0.0, noop_cycles=0)

    def run_in_executor(_: object, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        done = loop.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    loop.run_in_executor = run_in_executor  # type: ignore[method-assign,assignment]
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the background tasks of an emulated world, and close the loop."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
