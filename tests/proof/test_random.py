"""Random manifests, edits, faults, late calls and ends of the process; then everything is as the documents say.

What is ours is compared with the documents, and what is another's with what it was, after each course.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dbc_iac.emulator import FaultSpec
from tests.projects import document, project, vm
from tests.proof.ends import Interposed, Point
from tests.proof.lab import SECRETS, lab, ours, theirs

RUN = ("apply", "--yes", "--allow-empty", "--max-removals", "100")
OPERATIONS = ("tasks.create", "tasks.start", "tasks.shutdown", "tasks.modify", "tasks.delete", "tasks.list", "tasks.details",
              "disk.add", "disk.resize", "disk.delete", "snapshot.create", "lan.create", "lan.delete", "images.download", "*")  # fmt: skip
KINDS = ("time-out", "lost-reply", "late", "slow", "hang", "offline", "reset", "drop", "cut")
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
IMAGE = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False})

points = st.builds(
    Point,
    st.sampled_from(["record", "call"]),
    st.integers(1, 30),
    st.sampled_from(["before", "after"]),
) | st.builds(
    Point,
    st.just("call"),
    st.integers(1, 12),
    st.sampled_from(["sent", "lost"]),
    st.sampled_from(["", "step", "end"]),
)  # fmt: skip


class Course(RuleBasedStateMachine):
    """One world and one project; the largest sizes that were ever asked for are kept, for disks only grow."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.emulated = lab(Path(self._folder.name))
        self.foreign = theirs(self.emulated)
        self.machines: dict[str, dict[str, Any]] = {}
        self.disks: dict[str, tuple[str, int]] = {}
        self.others: set[str] = set()
        self.held: list[Interposed] = []
        self.said = ""

    # -- edits -------------------------------------------------------------------------------------

    @rule(name=st.sampled_from("ab"), gpus=st.integers(0, 2), cpus=st.sampled_from([2, 4, 8]))
    def want_a_vm(self, name: str, gpus: int, cpus: int) -> None:
        self.machines[name] = {"gpus": gpus, "cpus": cpus}

    @rule(name=st.sampled_from("ab"))
    def drop_a_vm(self, name: str) -> None:
        self.machines.pop(name, None)
        self.disks = {d: (of, size) for d, (of, size) in self.disks.items() if of != name}

    @rule(name=st.sampled_from("xy"), of=st.sampled_from("ab"), more=st.integers(1, 40))
    def want_a_disk(self, name: str, of: str, more: int) -> None:
        if of in self.machines:
            of, size = self.disks.get(name, (of, 10))
            self.disks[name] = (of, size + more)

    @rule(name=st.sampled_from("xy"))
    def drop_a_disk(self, name: str) -> None:
        self.disks.pop(name, None)

    @rule(one=st.sampled_from([LAN, IMAGE]))
    def want_or_drop_another(self, one: str) -> None:
        self.others ^= {one}

    # -- runs --------------------------------------------------------------------------------------

    @rule(
        op=st.sampled_from(OPERATIONS), kind=st.sampled_from(KINDS), nth=st.integers(1, 4), seconds=st.integers(1, 90)
    )
    def go_wrong(self, op: str, kind: Any, nth: int, seconds: int) -> None:
        self.emulated.network.faults.add(FaultSpec(op=op, kind=kind, nth=nth, seconds=seconds))

    @rule(point=points)
    def apply_and_be_struck(self, point: Point) -> None:
        self._write()
        interposed = Interposed(self.emulated, point)
        self._run(interposed)
        self.held.append(interposed)

    @rule()
    def apply(self) -> None:
        self._write()
        self._run(Interposed(self.emulated))
        for one in self.held:
            one.release()
        self.held.clear()

    @invariant()
    def the_other_tenant_is_not_touched(self) -> None:
        assert theirs(self.emulated) == self.foreign

    @invariant()
    def no_disk_is_larger_than_asked(self) -> None:
        sizes = [size for _, _, disks, *_ in ours(self.emulated)["vms"] for size in disks]
        assert max(sizes, default=0) <= 10 + 40 * 30
        names = [name for name, *_ in ours(self.emulated)["vms"]]
        assert len(names) <= 2 * len({*names})  # a replaced one and its successor at most

    def teardown(self) -> None:
        try:
            self._converges()
        finally:
            self.emulated.close()
            self._folder.cleanup()

    def _converges(self) -> None:
        """Late calls land, faults end, and within two applies everything is as the documents say."""
        self.emulated.network.faults.clear()
        for one in self.held:
            one.release()
        self.emulated.settle(1200)
        self._write()
        self._run(Interposed(self.emulated))
        self.emulated.settle(1200)
        result = self._run(Interposed(self.emulated))
        assert result is not None and result.code == 0, result
        plan = self.emulated.run("plan", "--detailed-exitcode")
        assert plan.code == 0, plan
        truth = ours(self.emulated)
        assert truth["vms"] == sorted(
            (name, "running", sorted([20, 20, *(size for of, size in self.disks.values() if of == name)]), m["gpus"], m["cpus"])
            for name, m in self.machines.items()
        )  # fmt: skip
        assert truth["lans"] == (["training"] if LAN in self.others else [])
        assert truth["images"] == (IMAGE in self.others)
        orphans = self.emulated.run("orphans", "--json").json["found"]
        assert [one for one in orphans if one["whose"] == "ours"] == []
        assert not [secret for secret in SECRETS.values() if secret in self.said]

    def _run(self, interposed: Interposed) -> Any:
        result = interposed.run(*RUN)
        if result is not None:
            self.said += result.out + result.err
            assert result.code in {0, 1, 5, 7}, result.out + result.err
        return result

    def _write(self) -> None:
        ports = {"a": {"ssh": 20100, "vnc": 20101}, "b": {"ssh": 20200, "vnc": 20201}}
        machines = [vm(name, ports=ports[name], **fields) for name, fields in self.machines.items()]
        disks = [document("Disk", d, {"vm": of, "size": f"{size}Gi"}) for d, (of, size) in self.disks.items()]
        folder = self.emulated.project.directory
        kept = (folder / "dbc-iac.yaml").read_text(encoding="utf-8")
        project(folder, *machines, *disks, *sorted(self.others))
        (folder / "dbc-iac.yaml").write_text(kept, encoding="utf-8")


EXAMPLES = int(os.environ.get("PROVE_EXAMPLES", "12"))
"""`make prove` sets more."""

TestCourse = Course.TestCase
TestCourse.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    derandomize=EXAMPLES <= 12,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
