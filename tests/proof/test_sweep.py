"""A sample of the crash sweep; `make prove` takes every point."""

from __future__ import annotations

import itertools

import pytest

from tests.proof.ends import Point
from tests.proof.lab import DISKS
from tests.proof.sweep import STAGES, Stage, course_of, sweep

EVERY = 41
"""Of the points of a stage one in so many is in the sample: of every kind of strike, spread over the whole apply."""


@pytest.mark.parametrize("stage", STAGES, ids=" -> ".join)
def test_wherever_a_process_ends_or_an_answer_is_lost_everything_converges(stage: Stage) -> None:
    turn = itertools.count()
    count, failed = sweep(stage, lambda point: next(turn) % EVERY == 7)
    assert count >= 2
    assert failed == {}


def test_the_lab_has_every_kind_and_every_disk() -> None:
    course = course_of(("nothing", "created"))
    assert [sorted(disks) for _, _, disks, *_ in course.truth["vms"]] == sorted(DISKS["created"], key=len, reverse=True)
    kinds = {point.when + point.late for point in course.points()}
    assert kinds == {"before", "after", "sent", "sentstep", "sentend", "lost", "loststep", "lostend"}


REGRESSIONS: list[tuple[str, Stage, Point]] = [
    (
        "a disk grew twice, for an ended run's growth came late",
        ("created", "changed"),
        Point("call", 14, "sent", "step"),
    ),
    ("so did a data disk", ("created", "changed"), Point("call", 21, "sent", "step")),
    ("a VM went between list and details", ("changed", "nothing"), Point("call", 3, "sent")),
]
"""What the whole sweep has found, and where. A call's number moves when the order of calls does: then the point's
neighbours are as good."""


@pytest.mark.parametrize(("stage", "point"), [r[1:] for r in REGRESSIONS], ids=[r[0] for r in REGRESSIONS])
def test_what_the_sweep_has_found_is_mended(stage: Stage, point: Point) -> None:
    _, failed = sweep(stage, point.__eq__)
    assert failed == {}
