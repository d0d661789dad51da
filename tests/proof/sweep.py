"""Crash sweep: a stage of the lab is applied with a strike at one point, and again until it converges.

Each trial is a child process, forked from one that has applied the previous stage, so that it starts from exactly that
world. `python -m tests.proof.sweep` runs all points and prints their number.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.projects import Emulated
from tests.proof.ends import Interposed, Point
from tests.proof.lab import SECRETS, apply_command, lab, ours, theirs, write

STAGES = (*pairwise(("nothing", "created", "changed")), ("changed", "nothing"))
Stage = tuple[str, str]


@dataclass(frozen=True)
class Course:
    """Apply without a strike of a stage: its records, its mutating calls and the resulting objects."""

    records: int
    calls: tuple[str, ...]
    truth: dict[str, Any]

    def points(self) -> Iterator[Point]:
        for number in range(1, self.records + 1):
            yield Point("record", number, "before")
            yield Point("record", number, "after")
        for number in range(1, len(self.calls) + 1):
            yield Point("call", number, "before")
            yield Point("call", number, "after")
            for late in ("", "step", "end"):
                yield Point("call", number, "sent", late)
                yield Point("call", number, "lost", late)


class Prepared:
    """Apply the previous stage and write the next."""

    def __init__(self, directory: Path, stage: Stage) -> None:
        self.emulated = lab(directory, stage[0])
        way = ("created", "changed") if stage[0] == "changed" else (stage[0],)
        for step in way:
            write(self.emulated, step)
            result = self.emulated.run(*apply_command(self.emulated))
            assert result.code == 0, result.out + result.err
        write(self.emulated, stage[1])
        self.foreign = theirs(self.emulated)

    def course(self) -> Course:
        """Apply without a strike; the object cannot be used again."""
        interposed = Interposed(self.emulated)
        result = interposed.run(*apply_command(self.emulated))
        assert result is not None and result.code == 0, result
        records, calls = len(interposed.records), tuple(interposed.calls)
        converged(interposed, self.foreign)
        return Course(records, calls, ours(self.emulated))

    def trial(self, point: Point, course: Course) -> None:
        """Strike at the point, then apply until convergence. Raises AssertionError otherwise."""
        interposed = Interposed(self.emulated, point)
        results = [interposed.run(*apply_command(self.emulated))]
        if point.late:
            results.append(interposed.run(*apply_command(self.emulated)))
            interposed.release()
            self.emulated.settle(120)
        for result in results:
            assert result is None or result.code in {0, 1, 7}, result.out + result.err
            assert result is None or "Traceback" not in result.err
        again = interposed.run(*apply_command(self.emulated))
        assert again is not None and again.code == 0, (again, results)
        assert interposed.point is None, "the point was never reached"
        converged(interposed, self.foreign)
        there = ours(self.emulated)
        assert there == course.truth, {k: (v, course.truth[k]) for k, v in there.items() if v != course.truth[k]}
        printed = "".join(r.out + r.err for r in (*results, again) if r is not None)
        kept = "".join(p.read_text() for p in (self.emulated.project.directory / "state").rglob("*") if p.is_file())
        assert not [secret for secret in SECRETS.values() if secret in printed + kept]


def converged(interposed: Interposed, foreign: dict[str, Any]) -> None:
    interposed.emulated.settle(60)  # a plain upload ends the node's process, also after an apply
    plan = interposed.run("plan", "--detailed-exitcode")
    assert plan is not None and plan.code == 0, plan
    orphans = interposed.run("orphans", "--json")
    assert orphans is not None and [f for f in orphans.json if f.get("whose") == "ours"] == [], orphans
    now = theirs(interposed.emulated)
    assert now == foreign, (now, foreign)


def forked(emulated: Emulated, task: Callable[[], None]) -> str:
    """Run a trial in a child process with its own project directory: its problem, or nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, _done(emulated, task).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        problem = stream.read()
    os.waitpid(child, 0)
    return problem


def _done(emulated: Emulated, task: Callable[[], None]) -> str:
    directory = Path(tempfile.mkdtemp(prefix="sweep-"))
    try:
        shutil.copytree(emulated.project.directory, directory / "lab")
        emulated.project.directory = directory / "lab"
        emulated.project.environ["XDG_CACHE_HOME"] = str(directory / "lab" / ".cache")
        task()
    except BaseException:  # a child tells everything, and never goes on where its parent stood
        return traceback.format_exc()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ""


def course_of(stage: Stage) -> Course:
    with tempfile.TemporaryDirectory() as directory:
        prepared = Prepared(Path(directory), stage)
        try:
            return prepared.course()
        finally:
            prepared.emulated.close()


def sweep(stage: Stage, chosen: Callable[[Point], bool] = lambda point: True) -> tuple[int, dict[Point, str]]:
    """Number of points tried in a stage, and the failed ones."""
    course, failed, count = course_of(stage), {}, 0
    with tempfile.TemporaryDirectory() as directory:
        prepared = Prepared(Path(directory), stage)
        try:
            for point in filter(chosen, course.points()):
                count += 1
                problem = forked(prepared.emulated, partial(prepared.trial, point, course))
                if problem:
                    failed[point] = problem
        finally:
            prepared.emulated.close()
    return count, failed


def main(stages: tuple[Stage, ...] = STAGES) -> int:
    """Run all points of all stages."""
    began, total, bad = time.monotonic(), Counter[str](), 0
    for stage in stages:
        name = " -> ".join(stage)
        total[name], failed = sweep(stage)
        bad += len(failed)
        print(f"{name}: {total[name]} points, {len(failed)} failed, {time.monotonic() - began:.0f} s", flush=True)
        for point, problem in failed.items():
            print(f"--- {name}: {point}\n{problem}", flush=True)
    print(f"{total.total()} crash points swept, {bad} failed, in {time.monotonic() - began:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(tuple(s for s in STAGES if not sys.argv[1:] or s[1] in sys.argv[1:])))
