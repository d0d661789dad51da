"""The emulated clock: accelerated waits on a real loop, exact ones on a virtual loop."""

from __future__ import annotations

import asyncio

import pytest

from dbc_iac.emulator.clock import Clock
from tests.emulator.front import run


def test_an_accelerated_wait_below_a_millisecond_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer would take a whole millisecond: a request of 10 ms, at 100 times the speed, 100 ms."""

    async def test() -> None:
        clock, loop = Clock(100), asyncio.get_running_loop()
        began, timers = clock.now(), []
        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_at", lambda when, *_, **__: timers.append(when))
            await clock.sleep(0.01)
        assert clock.now() - began >= 0.01
        assert not timers

    asyncio.run(test())


@pytest.mark.parametrize("scale", [1, 100])
def test_a_virtual_clock_passes_exactly_the_wait(scale: float) -> None:
    async def test() -> None:
        clock = Clock(scale)
        began = clock.now()
        await clock.sleep(0.0005)
        assert clock.now() - began == pytest.approx(0.0005)

    run(test)
