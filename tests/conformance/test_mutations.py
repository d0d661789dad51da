"""Negative control: a mutated emulator fails the replay."""

from __future__ import annotations

import pytest

from tests.conformance.mutations import ALL, Mutation, noticed
from tests.recordings import RECORDINGS, needs_recordings


def test_there_are_twenty_mutations() -> None:
    assert len({one.name for one in ALL}) == len(ALL) >= 20


@needs_recordings
@pytest.mark.parametrize("mistake", ALL, ids=lambda one: one.name)
def test_a_mutation_is_reported(mistake: Mutation) -> None:
    assert noticed(mistake, {name: RECORDINGS / f"{name}.jsonl" for name in mistake.files})
