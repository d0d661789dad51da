"""Recordings of real nodes, replayed: everything that they say may be compared must match."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.replay import Replay

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
LEFT_OUT = {"03_bare_metal_power_renter": 2, "06b_gpu_vm_many_requests_one_after_another": 15}
"""How many exchanges of a file are not compared, because the recording says so. (09 also has lines without a request.)"""


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside this checkout")
@pytest.mark.parametrize("file", sorted(RECORDINGS.glob("*.jsonl")), ids=lambda f: f.stem)
def test_a_recording_replays(file: Path) -> None:
    outcome = Replay(file).run()
    assert not outcome.differing, "\n".join(str(d) for found in outcome.differing.values() for d in found)
    assert outcome.matched >= 8
    left = {reason: count for reason, count in outcome.left_out.items() if reason != "not a request"}
    assert sum(left.values()) == LEFT_OUT.get(file.stem, 0)
