"""Negative control: an emulator with a mistake in it does not pass the replay."""

from __future__ import annotations

import pytest

from tests.conformance.mutations import ALL, Mutation
from tests.conformance.replay import Replay
from tests.conformance.test_recordings import RECORDINGS, needs_recordings


def test_there_are_twenty_of_them() -> None:
    assert len({one.name for one in ALL}) == len(ALL) >= 20


@needs_recordings
@pytest.mark.parametrize("mistake", ALL, ids=lambda one: one.name)
def test_a_mistake_is_reported(mistake: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake.apply(monkeypatch)
    outcomes = [Replay(RECORDINGS / f"{name}.jsonl").run() for name in mistake.files]
    assert all(outcome.differing for outcome in outcomes), [len(outcome.differing) for outcome in outcomes]
