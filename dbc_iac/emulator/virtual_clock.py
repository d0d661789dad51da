"""An event loop whose clock jumps to the next moment at which something happens: for the demo and for tests."""

from __future__ import annotations

import asyncio


def virtual_loop() -> asyncio.AbstractEventLoop:
    """A new loop with a virtual clock. It never waits; in-process worlds run as fast as they can be computed."""
    from looptime import new_event_loop

    loop: asyncio.AbstractEventLoop = new_event_loop(start=0.0, idle_step=None, end=None)
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what an emulated world still does by itself, and the loop."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
