"""The recordings of a real GPU node, replayed against the node without HTTP and credentials around it."""

from __future__ import annotations

import pytest

from tests.emulator.gpu.harness import run
from tests.emulator.gpu.recorded import RECORDINGS, Replay

FILES = {"05": 57, "06_": 84, "06a": 11, "06b": 106, "07_": 31, "07b": 17, "08": 42}


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not part of this repository")
@pytest.mark.parametrize("prefix", FILES)
def test_a_recording_is_answered_as_it_was(prefix: str) -> None:
    replay = Replay(next(RECORDINGS.glob(f"{prefix}*.jsonl")))
    run(replay.run)
    assert replay.differing == []
    assert replay.matched == FILES[prefix]
