"""`--lock-timeout`: a run waits for the lock, in the time of its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.projects import Emulated, vm
from tests.state.places import local_store

HOLDER = {"host": "runner-7", "command": "apply"}


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(vm())


def held(emulated: Emulated) -> ExitStack:
    """The lock, in other hands."""
    stack = ExitStack()
    stack.enter_context(local_store(emulated.project.directory / "state").locked(HOLDER))
    return stack


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("destroy", "--yes")])
def test_a_run_waits_for_the_holder_of_the_lock(command: tuple[str, ...], emulated: Emulated) -> None:
    other, before = held(emulated), emulated.loop.time()
    emulated.loop.call_later(42, other.close)
    result = emulated.run(*command, "--lock-timeout", "600")
    assert result.code == 0, result.err
    assert "Waiting up to 600 s for the state lock. Held by: command apply, host runner-7" in result.err
    assert result.err.count("Waiting up to") == 1
    assert emulated.loop.time() - before >= 42


def test_it_waits_no_longer_than_that(emulated: Emulated) -> None:
    before = emulated.loop.time()
    with held(emulated):
        assert emulated.run("plan", "--lock-timeout", "12", "--json").code == 6
        assert emulated.loop.time() - before == pytest.approx(12)
        at_once = emulated.run("plan", "--json")
    assert (at_once.code, at_once.codes) == (6, ["state-locked"])
    assert emulated.loop.time() - before == pytest.approx(12)
