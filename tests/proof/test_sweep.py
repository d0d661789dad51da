"""A sample of the crash sweep; `make prove` takes every point."""

from __future__ import annotations

import pytest

from tests.proof.lab import DISKS
from tests.proof.sweep import STAGES, Stage, course_of, sweep

EVERY = 41
"""Of the points of a stage one in so many is in the sample: of every kind of strike, spread over the whole apply."""


@pytest.mark.parametrize("stage", STAGES, ids=" -> ".join)
def test_wherever_a_process_ends_or_an_answer_is_lost_everything_converges(stage: Stage) -> None:
    count, failed = sweep(stage, lambda index: index % EVERY == 7)
    assert count >= 3
    assert failed == {}


def test_the_lab_has_every_kind_and_every_disk() -> None:
    course = course_of(("nothing", "created"))
    assert [sorted(disks) for _, _, disks, *_ in course.truth["vms"]] == sorted(DISKS["created"], key=len, reverse=True)
    kinds = {point.when + point.late for point in course.points()}
    assert kinds == {"before", "after", "sent", "sentstep", "sentend", "lost", "loststep", "lostend"}
