"""Sample of the crash sweep; `make prove` runs every point."""

from __future__ import annotations

import itertools

import pytest

from tests.proof.ends import Point
from tests.proof.lab import DISKS
from tests.proof.sweep import STAGES, Stage, course_of, sweep

EVERY = 83
"""Sampling interval within a stage: every type of strike, spread over the whole apply."""
REGRESSIONS: list[tuple[str, Stage, Point]] = [
    (
        "a disk grew twice, because the call of a crashed run arrived late",
        ("created", "changed"),
        Point("call", 14, "sent", "step"),
    ),
    ("so did a data disk", ("created", "changed"), Point("call", 21, "sent", "step")),
    ("a VM went between list and details", ("changed", "nothing"), Point("call", 3, "sent")),
]
"""Points where the whole sweep has found bugs. Numbers shift when the order of calls changes; neighbouring points are
equally useful then.
"""


@pytest.mark.parametrize("stage", STAGES, ids=" -> ".join)
def test_an_apply_converges_after_a_crash_or_a_lost_answer(stage: Stage) -> None:
    turn, found = itertools.count(), [point for _, where, point in REGRESSIONS if where == stage]
    count, failed = sweep(stage, lambda point: next(turn) % EVERY == 7 or point in found)
    assert count >= 2 + len(found)
    assert failed == {}


def test_the_lab_has_every_kind_and_every_disk() -> None:
    course = course_of(("nothing", "created"))
    assert [sorted(disks) for _, _, disks, *_ in course.truth["vms"]] == sorted(DISKS["created"], key=len, reverse=True)
    kinds = {point.when + point.late for point in course.points()}
    assert kinds == {"before", "after", "sent", "sentstep", "sentend", "lost", "loststep", "lostend"}
