"""Recordings of real nodes, replayed: everything matches except for named excuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.__main__ import main
from tests.conformance.excuses import listed
from tests.conformance.recording import recordings_in
from tests.conformance.replay import Replay
from tests.recordings import RECORDINGS, needs_recordings

MAX_EXCUSES = 1
SKIPPED = {"09_requests_that_kill_the_node": 8}
"""Lines of a file that are not requests."""


@needs_recordings
@pytest.mark.parametrize("file", recordings_in(RECORDINGS), ids=lambda file: file.stem)
def test_a_recording_replays(file: Path) -> None:
    outcome = Replay(file).run()
    assert not outcome.differing, "\n".join(str(d) for found in outcome.differing.values() for d in found)
    assert outcome.matched >= 8
    assert len(outcome.skipped) == SKIPPED.get(file.stem, 0)
    excused = {number: one.reason for number, one in outcome.excused.items()}
    assert excused == {one.exchange: one.reason for one in listed() if one.recording == file.stem}


def test_excuses_do_not_grow() -> None:
    """Excuses must not hide each other."""
    assert len(listed()) <= MAX_EXCUSES
    assert len({(one.recording, one.exchange) for one in listed()}) == len(listed())


def test_without_recordings_the_usage_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "make conformance RECORDINGS=" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "there are no recordings" in capsys.readouterr().err


@needs_recordings
def test_the_summary_has_matches_and_excuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDINGS / "02_bare_metal_owner.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "93 excused (status and errcode only): the client node lists" in printed
    assert "1 files: matched 181, differing 0, excused 1 (1 excuses are listed)" in printed
