"""Random worlds, manifests, edits, faults, late calls and crashes. A failure is stored as a file in `courses/`, which
`test_a_course_that_once_failed` replays from then on: rename it, fix the bug, and commit both.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.proof.course import Course

COURSES = Path(__file__).with_name("courses")
OPERATIONS = ("tasks.create", "tasks.start", "tasks.shutdown", "tasks.modify", "tasks.delete", "tasks.list", "tasks.details",
              "disk.add", "disk.resize", "disk.delete", "snapshot.create", "snapshot.delete", "lan.create", "lan.delete",
              "images.download", "images.upload", "bare_metal.add", "bare_metal.delete", "bare_metal.power", "*")  # fmt: skip
KINDS = ("time-out", "lost-reply", "late", "slow", "hang", "offline", "reset", "drop", "cut", "freeze")
WORLDS = st.fixed_dictionaries(
    {
        "running": st.booleans(),
        "agent": st.booleans(),
        "durations": st.fixed_dictionaries(
            {},
            optional={
                "start": st.sampled_from([0.1, 20.0]),
                "stop": st.sampled_from([0.1, 15.0]),
                "disk": st.sampled_from([5.0, 90.0]),
                "snapshot": st.sampled_from([30.0, 400.0]),
                "network": st.sampled_from([5.0]),
                "transferMinimum": st.sampled_from([60.0, 600.0]),
            },
        ),
    }
)
RENAMED = st.sampled_from(
    ["VirtualMachine/a", "VirtualMachine/b", "Disk/x", "Disk/y", "Snapshot/first", "Snapshot/second", "Network/training",
     "Image/torch", "Image/clone", "ImageExport/copy", "BareMetalServer/new", "BareMetalInstance/box"]
)  # fmt: skip
VMS, DISKS, SNAPSHOTS = st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["first", "second"])


class RandomCourse(RuleBasedStateMachine):
    """State machine whose rules are steps of a `Course`."""

    def __init__(self) -> None:
        super().__init__()
        self.course: Course | None = None
        self.steps: list[tuple[str, dict[str, Any]]] = []

    @initialize(given=WORLDS)
    def begin(self, given: dict[str, Any]) -> None:
        self.given = given
        self.course = Course(given)

    def _take(self, what: str, /, **values: Any) -> None:
        assert self.course is not None
        self.steps.append((what, values))
        try:
            self.course.take((what, values))
            self.course.check()
        except BaseException:
            self._keep()
            raise

    @rule(name=VMS, gpus=st.integers(0, 2), cpus=st.sampled_from([2, 4, 8]), network=st.booleans(),
          image=st.sampled_from(["ubuntu.qcow2", "ubuntu.qcow2", "debian.qcow2"]))  # fmt: skip
    def want_a_vm(self, **values: Any) -> None:
        self._take("want_vm", **values)

    @rule(name=VMS)
    def drop_a_vm(self, name: str) -> None:
        self._take("drop_vm", name=name)

    @rule(name=DISKS, of=VMS, more=st.integers(1, 40))
    def want_a_disk(self, **values: Any) -> None:
        self._take("want_disk", **values)

    @rule(name=DISKS)
    def drop_a_disk(self, name: str) -> None:
        self._take("drop_disk", name=name)

    @rule(name=SNAPSHOTS, of=VMS)
    def want_a_snapshot(self, **values: Any) -> None:
        self._take("want_snapshot", **values)

    @rule(name=SNAPSHOTS)
    def drop_a_snapshot(self, name: str) -> None:
        self._take("drop_snapshot", name=name)

    @rule(of=st.sampled_from(["first", "first", "second", ""]))
    def want_a_clone(self, of: str) -> None:
        self._take("want_clone", of=of)

    @rule(there=st.booleans())
    def want_a_lan(self, there: bool) -> None:
        self._take("want_lan", there=there)

    @rule(image=st.booleans(), export=st.booleans(), server=st.sampled_from(["", "198.51.100.9", "198.51.100.19"]),
          power=st.sampled_from(["", "on", "off"]))  # fmt: skip
    def want_others(self, **values: Any) -> None:
        self._take("want_others", **values)

    @rule(
        op=st.sampled_from(OPERATIONS), kind=st.sampled_from(KINDS), nth=st.integers(1, 4), seconds=st.integers(1, 90)
    )
    def go_wrong(self, **values: Any) -> None:
        self._take("fault", **values)

    @rule(times=st.sampled_from([1, 6, 99]))
    def refuse_starts(self, times: int) -> None:
        self._take("refuse_starts", times=times)

    @rule(again=st.booleans())
    def renew_the_rental(self, again: bool) -> None:
        self._take("renew_rental", again=again)

    @rule(seconds=st.sampled_from([5, 60, 1000]))
    def wait(self, seconds: int) -> None:
        self._take("wait", seconds=seconds)

    @rule(of=st.sampled_from(["record", "call"]), number=st.integers(1, 40), when=st.sampled_from(["before", "after"]))
    def be_ended(self, **values: Any) -> None:
        self._take("struck", **values)

    @rule(address=RENAMED)
    def rename(self, address: str) -> None:
        kind, _, name = address.partition("/")
        self._take("rename", kind=kind, name=name)

    @rule(renamed=st.lists(RENAMED, max_size=3, unique=True), off=st.sampled_from(["", "a", "b"]),
          how=st.sampled_from(["apply", "rebuild"]), number=st.sampled_from([0, 0, 1, 4, 7, 10, 13, 16]))  # fmt: skip
    def lose_the_state(self, **values: Any) -> None:
        self._take("lose_state", **values)

    @rule(number=st.integers(1, 16), when=st.sampled_from(["sent", "lost"]), late=st.sampled_from(["", "step", "end"]))
    def lose_a_call(self, **values: Any) -> None:
        self._take("struck", of="call", **values)

    @rule(address=RENAMED)
    def remove_from_the_state(self, address: str) -> None:
        kind, _, name = address.partition("/")
        if kind != "Disk":  # nothing proves whose a disk is
            self._take("remove_from_state", kind=kind, name=name)

    @rule(name=VMS, how=st.sampled_from(["apply", "rebuild"]))
    def restore_an_older_state(self, **values: Any) -> None:
        self._take("restore_state", **values)

    @rule(file=st.booleans())
    def apply(self, file: bool) -> None:
        self._take("apply", file=file)

    def teardown(self) -> None:
        if self.course is None:
            return
        try:
            self.course.finish()
        except BaseException:
            self._keep()
            raise
        finally:
            self.course.close()

    def _keep(self) -> None:
        """Hypothesis tries the shortest example last."""
        COURSES.mkdir(exist_ok=True)
        text = ",\n    ".join(json.dumps(step) for step in self.steps)
        (COURSES / "failed.json").write_text(
            f'{{\n  "world": {json.dumps(self.given)},\n  "steps": [\n    {text}\n  ]\n}}\n', encoding="utf-8"
        )


EXAMPLES = int(os.environ.get("PROVE_EXAMPLES", "12"))
"""`make prove` sets more."""

TestRandom = RandomCourse.TestCase
TestRandom.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=18,
    derandomize=EXAMPLES <= 12,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("file", sorted(COURSES.glob("*.json")), ids=lambda file: file.stem)
def test_a_course_that_once_failed(file: Path) -> None:
    kept = json.loads(file.read_text(encoding="utf-8"))
    Course(kept["world"]).play([(name, values) for name, values in kept["steps"]])
