"""The process ends before or after any write to its files; the next run goes on, with nothing twice, nothing forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from tests.examples import examples
from tests.projects import Emulated, document, project, vm
from tests.proof.ends import Interposed, Point

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
LOGIN: dict[str, Any] = {"login": {"password": {"env": "PW"}}, "network": "training"}
BEFORE = (LAN, vm(**LOGIN), DISK)
AFTER = (
    LAN,
    vm(**{**LOGIN, "gpus": 2, "dataDisk": {"size": "30Gi"}, "firewall": ["in,all,all,0.0.0.0/0,drop"]}),
    document("Disk", "scratch", {"vm": "trainer", "size": "90Gi"}),
    document("Disk", "more", {"vm": "trainer", "size": "10Gi"}),
)
TWO = (vm("other", gpus=0), vm(), DISK)
MOVED = (vm("other", gpus=0), vm(), document("Disk", "scratch", {"vm": "other", "size": "50Gi"}))
REPLACED = (LAN, vm(**{**LOGIN, "image": "win10.qcow2"}), DISK)


def build(directory: Path, *documents: str) -> Emulated:
    directory.mkdir()
    return Emulated(project(directory, *documents, environ={"PW": "made-up"}))


def converged(emulated: Emulated, disks: list[int]) -> None:
    emulated.settle(600)
    result = emulated.run("apply", "--yes", "--allow-data-loss")
    assert result.code == 0, result.out + result.err
    emulated.settle(600)
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    machines = list(emulated.vms.values())
    assert sorted(size for m in machines for size in m["disks"].values()) == disks
    assert {m["domain"] for m in machines} == {"running"}


EVERY = examples(suite=13, proof=1)
"""One in so many records is tried here; `make prove` tries each."""
SCENARIOS = {
    "create": (None, BEFORE, [20, 20, 50]),
    "change": (BEFORE, AFTER, [10, 20, 30, 90]),
    "move": (TWO, MOVED, [20, 20, 20, 20, 50]),
    "replace": (BEFORE, REPLACED, [20, 20, 50]),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_next_run_converges_wherever_the_process_ended(
    tmp_path: Path, name: str, when: Literal["before", "after"]
) -> None:
    first, then, disks = SCENARIOS[name]

    def prepared(directory: Path) -> Emulated:
        emulated = build(directory, *(first or then))
        if first is not None:
            assert emulated.run("apply", "--yes", "--allow-data-loss").code == 0
            project(directory, *then, environ=emulated.project.environ)
        return emulated

    whole = Interposed(prepared(tmp_path / "whole"))
    whole.run("apply", "--yes", "--allow-data-loss")
    total = len(whole.records)
    assert total > 10
    for record in range(1 + (EVERY > 1) * (when == "after") * 2, total + 1, EVERY):
        emulated = prepared(tmp_path / f"{record}")
        assert Interposed(emulated, Point("record", record, when)).run("apply", "--yes", "--allow-data-loss") is None
        converged(emulated, disks)
        emulated.close()
