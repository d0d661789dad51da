"""Pending operations of an interrupted apply, when the manifests are edited before the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.cli.trials import write
from tests.projects import NODE_ID, Emulated, document, project, vm
from tests.proof.ends import Interposed, Late, Point
from tests.proof.lab import MANAGER, SERVER_ID, WORLD, lab, server

RUN = ("apply", "--yes", "--allow-empty", "--max-removals", "100")
PORTS = {"ssh": 20100, "vnc": 20101}
VM, OTHER = vm(ports=PORTS), vm("other", gpus=0)


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = lab(tmp_path, world=WORLD)
    yield made
    made.close()


def disk(size: int = 50, name: str = "scratch", **changed: Any) -> str:
    return document("Disk", name, {"vm": "trainer", "size": f"{size}Gi", **changed})


def lan(cidr: str) -> str:
    return document("Network", "training", {"via": "gpu-a", "cidr": cidr})


def image(**spec: Any) -> str:
    return document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", **spec})


EXPORT = document("ImageExport", "copy", {"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2"})
SNAPSHOT = {"vm": "trainer", "imageServer": "ID_2"}
BASE = (VM, OTHER)
EDITS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "disk, its document removed": ((disk(),), 2, ()),
    "disk, another size": ((disk(),), 2, (disk(60),)),
    "disk, smaller": ((disk(),), 2, (disk(40),)),
    "disk, renamed": ((disk(),), 2, (disk(name="renamed"),)),
    "disk, on another VM": ((disk(),), 2, (disk(vm="other"),)),
    "snapshot, removed": ((document("Snapshot", "first", SNAPSHOT),), 2, ()),
    "snapshot, another name": ((document("Snapshot", "first", SNAPSHOT),), 2,
                               (document("Snapshot", "first", {**SNAPSHOT, "name": "zwei"}),)),
    "LAN, removed": ((lan("192.168.66.0/24"),), 1, ()),
    "LAN, another range": ((lan("192.168.66.0/24"),), 1, (lan("192.168.77.0/24"),)),
    "image, removed": ((image(retain=False),), 1, ()),
    "export, removed": ((EXPORT,), 1, ()),
    "VM, removed": ((vm("third", gpus=0),), 1, ()),
    "VM, another image": ((vm("third", gpus=0),), 1, (vm("third", gpus=0, image="win10.qcow2"),)),
    "VM, replaced while its disk is pending": ((disk(),), 2, ()),
}  # fmt: skip
"""Interrupted change, number of the interrupted call, and the manifests of the next run."""


@pytest.mark.parametrize(
    ("late", "seconds"), [("", 5), ("", 0), ("end", 5)], ids=["carried out", "still queued", "carried out late"]
)
@pytest.mark.parametrize("case", EDITS)
def test_a_pending_creation_is_neither_duplicated_nor_lost(
    emulated: Emulated, case: str, late: Late, seconds: float
) -> None:
    before, number, edited = EDITS[case]
    base = (vm(ports=PORTS, image="win10.qcow2"), OTHER, disk()) if case.startswith("VM, replaced") else BASE
    write(emulated, BASE)
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, (*BASE, *before))
    ended = Interposed(emulated, Point("call", number, "sent", late))
    assert ended.run(*RUN) is None
    emulated.settle(seconds)
    write(emulated, (*base, *edited))
    ended.run(*RUN)
    ended.release()
    emulated.settle(1200)
    last = emulated.run(*RUN)
    assert last.code == 0, last.out + last.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert "Recovery" not in emulated.run("plan").out
    assert [f for f in emulated.run("orphans", "--json").json if f["whose"] == "ours"] == []
    _is_as_written(emulated, (*base, *edited))


def _is_as_written(emulated: Emulated, documents: tuple[str, ...]) -> None:
    """Every kind of thing is there as often as it is written, and nothing besides."""
    truth = emulated.network.truth()[NODE_ID]
    mine = {i: v for i, v in truth["vms"].items() if v["wallet"] != "another-renter"}
    count = {
        kind: sum(f'"kind": "{kind}"' in d for d in documents)
        for kind in ("VirtualMachine", "Disk", "Network", "Snapshot")
    }
    assert len(mine) == count["VirtualMachine"]
    assert sum(len(v["disks"]) - 2 for v in mine.values()) == count["Disk"]
    assert sum(lan_["wallet"] != "another-renter" for lan_ in truth["lans"].values()) == count["Network"]
    assert sum(len(of) for i, of in truth["snapshots"].items() if i in mine) == count["Snapshot"]
    assert "/data/torch.qcow2" not in truth["files"]


def test_a_pending_server_without_a_manifest_is_reported_and_kept(emulated: Emulated) -> None:
    write(emulated, (MANAGER, server("198.51.100.9")))
    assert Interposed(emulated, Point("call", 1, "sent")).run(*RUN) is None
    emulated.settle(5)
    write(emulated, (MANAGER,))
    left = emulated.run(*RUN)
    assert (left.code, "left-by-interrupted-apply" in left.err) == (0, True), left.err
    assert "--destroy-identity BareMetalServer/new~1" in left.err
    assert emulated.run(*RUN, "--destroy-identity", "BareMetalServer/new~1").code == 0
    assert SERVER_ID in str(emulated.network.truth())
    assert "new-1" not in str(emulated.network.truth())
    assert "left-by-interrupted-apply" not in emulated.run("plan").err


def test_a_hidden_field_of_an_interrupted_apply_is_sent_again(tmp_path: Path) -> None:
    """The API never shows forwarded ports: after a change back nobody knows which of them the node has."""
    made = Emulated(project(tmp_path, vm(ports={**PORTS, "forward": ["tcp,8080:80"]})))
    assert made.run("apply", "--yes").code == 0
    project(tmp_path, vm(ports={**PORTS, "forward": ["tcp,9090:90"]}), environ=made.project.environ)
    assert Interposed(made, Point("call", 1, "sent")).run("apply", "--yes") is None
    made.settle(5)
    project(tmp_path, vm(ports={**PORTS, "forward": ["tcp,8080:80"]}), environ=made.project.environ)
    assert made.run("apply", "--yes").code == 0
    [machine] = made.network.truth()[NODE_ID]["vms"].values()
    assert machine["custom_ports"] == ["tcp,8080:80"]
    assert made.run("plan", "--detailed-exitcode").code == 0
    made.close()


def test_calls_that_can_come_no_more_are_looked_at_no_more(emulated: Emulated) -> None:
    """Their VM runs: what was accepted while it was off has run, and what comes now is refused."""
    write(emulated, BASE)
    emulated.run("apply", "--yes")
    write(emulated, (*BASE, disk()))
    assert Interposed(emulated, Point("call", 2, "before")).run(*RUN) is None
    write(emulated, BASE)
    assert emulated.run(*RUN).code == 0  # starts the VM that the interrupted apply has powered off
    assert emulated.run(*RUN).code == 0
    assert "Recovery" not in emulated.run("plan").out
    assert emulated.run("state", "pull").out.count('"pending":') in {0, 1}
    assert "disk-exists" not in emulated.run("state", "pull").out


def test_a_creation_that_comes_after_its_vm_was_deleted_is_seen_and_taken_away(emulated: Emulated) -> None:
    """Its answer was lost and its repeat made the VM: the first call is under way as long as it likes."""
    write(emulated, (VM,))
    lost = Interposed(emulated, Point("call", 1, "lost", "end"))
    first = lost.run(*RUN)
    assert first is not None and first.code == 0, first
    write(emulated, ())
    assert emulated.run(*RUN).code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert "Recovery" not in emulated.run("plan").out
    lost.release()
    emulated.settle(600)
    late = emulated.run("plan", "--allow-empty", "--json").json["changes"]
    assert [(c["address"], c["action"]) for c in late] == [("VirtualMachine/trainer~1", "delete")]
    assert emulated.run(*RUN).code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert emulated.run("state", "list", "--json").json == []
    _is_as_written(emulated, ())


@pytest.mark.parametrize("when", ["before", "sent", "after"])
def test_a_replacement_that_is_not_asked_for_again_is_not_waited_for(
    emulated: Emulated, when: Literal["before", "sent", "after"]
) -> None:
    write(emulated, (VM,))
    assert emulated.run(*RUN).code == 0
    before = set(emulated.vms)
    interrupted = Interposed(emulated, Point("call", 2, when, "end" if when == "sent" else ""))
    assert interrupted.run(*RUN, "--allow-data-loss", "--replace", "VirtualMachine/trainer") is None
    emulated.settle(600)
    assert emulated.run(*RUN, "--allow-data-loss").code == 0
    assert "Pending" not in emulated.run("state", "list").out
    assert "Recovery" not in emulated.run("plan").out
    interrupted.release()
    emulated.settle(600)
    assert emulated.run("plan", "--detailed-exitcode").code == 0  # the node refuses it: the ports are in use
    assert set(emulated.vms) == before


def test_a_creation_without_a_manifest_is_not_waited_for_and_found_when_it_is_late(emulated: Emulated) -> None:
    write(emulated, BASE)
    assert emulated.run(*RUN).code == 0
    before = set(emulated.vms)
    write(emulated, (*BASE, vm("third", gpus=0)))
    interrupted = Interposed(emulated, Point("call", 1, "sent", "end"))
    assert interrupted.run(*RUN) is None
    write(emulated, BASE)
    assert emulated.run(*RUN).code == 0
    assert "Pending" not in emulated.run("state", "list").out
    interrupted.release()
    emulated.settle(600)
    late = emulated.run("plan", "--json").json["changes"]
    assert [(c["address"], c["action"]) for c in late if c["action"] != "no-op"] == [
        ("VirtualMachine/third~1", "delete")
    ]
    assert emulated.run(*RUN, "--allow-data-loss").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert set(emulated.vms) == before


@pytest.mark.parametrize("when", ["sent", "after"])
def test_a_creation_that_was_edited_to_a_smaller_disk_is_refused_before_it_is_adopted(
    tmp_path: Path, when: Literal["sent", "after"]
) -> None:
    emulated = Emulated(project(tmp_path, vm(dataDisk={"size": "40Gi"}), disk()))
    try:
        assert Interposed(emulated, Point("call", 1, when)).run("apply", "--yes") is None
        emulated.settle(600)
        project(tmp_path, vm(dataDisk={"size": "20Gi"}), disk(), environ=emulated.project.environ)
        result = emulated.run("apply", "--yes", "--json")
        assert (result.code, result.codes) == (5, ["cannot-shrink"])
        replaced = emulated.run("apply", "--yes", "--allow-data-loss", "--replace", "VirtualMachine/trainer")
        assert replaced.code == 0, replaced.err
        assert emulated.run("plan", "--detailed-exitcode").code == 0
        [machine] = emulated.vms.values()
        assert sorted(machine["disks"].values()) == [20, 20, 50]
    finally:
        emulated.close()
