"""Conclusions from the looks at an upload."""

from __future__ import annotations

from functools import reduce

import pytest

from dbc_iac.kinds.snapshots.upload_progress import UploadProgress

Looks = list[tuple[float, int]]
STEADY: Looks = [(float(t), 4 * t) for t in range(0, 25, 2)]
"""Four percent a second, up to 96 % after 24 s."""


def seen(looks: Looks, before: float | None = 0.0) -> UploadProgress:
    return reduce(lambda course, look: course.at(*look), looks, UploadProgress(before=before))


@pytest.mark.parametrize(
    ("looks", "end", "whole", "verified"),
    [
        (STEADY, 26.0, True, True),  # nearly all was seen, seconds before the end
        (STEADY, 35.0, True, False),  # the look after it came late
        (STEADY[:-4], 19.0, False, False),  # interrupted at 64 %
        (STEADY[:-4], 30.0, True, False),  # it may have ended or been interrupted
        ([(0.0, 0), (10.0, 60), (20.0, 30)], 21.0, True, True),  # the node shows less again near the end
        ([(0.0, 0), (10.0, 98)], 30.0, True, True),
        ([(0.0, 0), (9800.0, 98), (9802.0, 98)], 9804.0, True, False),  # two percent of a slow upload are missing
        ([(0.0, 0), (9800.0, 98), (9900.0, 99), (9996.0, 99)], 9998.0, True, True),  # the last percent took its time
        ([], 3.0, True, False),  # a small file: nothing was seen
        ([(1.0, 30)], 2.0, True, False),
    ],
)
def test_an_end_is_verified_only_if_it_was_nearly_seen(looks: Looks, end: float, whole: bool, verified: bool) -> None:
    course = seen(looks)
    assert (course.whole(end), course.verified(end)) == (whole, verified)
    assert not course.missed().verified(end)  # the node may have restarted


def test_an_upload_is_watched_closely_at_its_beginning_and_near_its_end() -> None:
    fast, slow = seen(STEADY[:8]), seen([(0.0, 0), (60.0, 1), (120.0, 2)])
    assert seen([]).ends_soon(10.0)
    assert not seen([]).ends_soon(100.0)
    assert fast.ends_soon(14.0)  # 56 %, at 4 to 6 % a second
    assert not slow.ends_soon(121.0)
    assert seen([(0.0, 0), (60.0, 1), (5880.0, 98)]).ends_soon(5881.0)  # when the last percent begins is measured
    assert UploadProgress().ends_soon(5.0)
