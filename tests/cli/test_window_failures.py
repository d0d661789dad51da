"""Failures inside an offline window and their limited consequences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.kinds.virtual_machine.goals import DiskHasSize
from tests.cli.trials import act, converges, write
from tests.projects import NODE_ID, Emulated, document, project, vm

NO_SPACE = "mount directory:/mnt have no enough space"
WORLD: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID, "data": [{"path": "/data"}, {"path": "/mnt"}]}],
    "imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]}, {"id": "ID_2"}],
}
PORTS = {"ssh": 20100, "vnc": 20101}


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(**WORLD)


def disk(size: int = 50, name: str = "scratch", **changed: Any) -> str:
    return document("Disk", name, {"vm": "trainer", "size": f"{size}Gi", **changed})


def applied(emulated: Emulated, *documents: str) -> None:
    write(emulated, documents)
    converges(emulated)


def faults(emulated: Emulated, *given: dict[str, Any]) -> None:
    for fault in given:
        emulated.loop.run_until_complete(act(emulated, ("/faults", fault)))


def mended(emulated: Emulated) -> None:
    emulated.loop.run_until_complete(act(emulated, ("/faults/clear", {})))


def sizes(emulated: Emulated) -> list[list[int]]:
    return [sorted(machine["disks"].values()) for machine in emulated.vms.values()]


@pytest.mark.parametrize("again", [(), ("--settle",)], ids=["at once", "with --settle"])
@pytest.mark.parametrize(("before", "wanted", "op"), [((), 50, "disk.add"), ((disk(50),), 90, "disk.resize")])
def test_a_proof_whose_boot_is_refused_proves_nothing(
    emulated: Emulated, before: tuple[str, ...], wanted: int, op: str, again: tuple[str, ...]
) -> None:
    """The call without an answer is not repeated before a boot has really proved what became of it."""
    applied(emulated, vm(), *before)
    write(emulated, (vm(), disk(wanted)))
    refused = {"op": "tasks.start", "kind": "refuse", "text": "allocate gpu failed", "times": 999}
    faults(emulated, {"op": op, "kind": "late", "seconds": 240}, refused)
    first = emulated.run("apply", "--yes")
    assert (first.code, "Apply again once the VM can be started" in first.err) == (7, True), first.err
    second = emulated.run("apply", "--yes", *again)
    assert second.code == 7, second.err
    mended(emulated)
    emulated.settle()
    converges(emulated)
    assert sizes(emulated) == [[20, 20, wanted]]
    assert [m["domain"] for m in emulated.vms.values()] == ["running"]


@pytest.mark.parametrize("changed", [{"hostDir": "/mnt"}, {"hostDir": "/mnt", "vm": "other"}], ids=["folder", "vm"])
def test_a_disk_is_not_deleted_before_the_one_in_its_place_stands(emulated: Emulated, changed: dict[str, Any]) -> None:
    machines = (vm(), vm("other", gpus=0))
    applied(emulated, *machines, disk())
    write(emulated, (*machines, disk(**changed)))
    faults(emulated, {"op": "disk.add", "kind": "refuse", "text": NO_SPACE, "times": 99})
    failed = emulated.run("apply", "--yes", "--allow-data-loss")
    assert (failed.code, failed.err.count("Disk/scratch, which")) == (1, 0), failed.err
    assert sizes(emulated) == [[20, 20, 50], [20, 20]]
    mended(emulated)
    converges(emulated)
    assert sorted(sizes(emulated)) == [[20, 20], [20, 20, 50]]


def test_two_disks_swap_their_vms(emulated: Emulated) -> None:
    machines = (vm(), vm("other", gpus=0))
    applied(emulated, *machines, disk(50, "one"), disk(60, "two", vm="other"))
    write(emulated, (*machines, disk(50, "one", vm="other"), disk(60, "two")))
    converges(emulated)
    assert sizes(emulated) == [[20, 20, 60], [20, 20, 50]]


def test_an_export_waits_for_the_window_of_a_vm_that_does_not_change_itself(emulated: Emulated) -> None:
    machine = vm(ports=PORTS)
    applied(emulated, machine, disk(50))
    export = document("ImageExport", "copy", {"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2"})
    write(emulated, (machine, disk(60), export))
    steps = {s["address"]: s for s in emulated.run("plan", "--json").json["steps"]}
    assert "VirtualMachine/trainer#window" in steps["ImageExport/copy"]["after"]
    converges(emulated)


def test_a_bug_ends_only_its_branch_and_leaves_no_vm_off(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(emulated, vm(), disk(50))

    async def broken(*given: object) -> None:
        raise RuntimeError("canary")

    write(emulated, (vm(gpus=2), disk(90), vm("other", gpus=0)))
    with monkeypatch.context() as patch:
        patch.setattr(DiskHasSize, "act", broken)
        failed = emulated.run("apply", "--yes")
    assert failed.code == 7, failed.err
    assert "this is a bug in dbc-iac\n  RuntimeError at" in failed.err
    assert "canary" not in failed.out + failed.err
    assert [(m["domain"], len(m["gpus"])) for m in emulated.vms.values()] == [("running", 2), ("running", 0)]
    converges(emulated)


def test_a_creation_can_be_left_to_the_next_apply(emulated: Emulated) -> None:
    write(emulated, (vm(), disk()))
    left = emulated.run("apply", "--yes", "--no-wait")
    assert (left.code, "VirtualMachine/trainer: not finished: still" in left.err) == (7, True), left.err
    assert "Disk/scratch: not started: depends on VirtualMachine/trainer, which is not complete" in left.err
    emulated.settle()
    converges(emulated)
    assert sizes(emulated) == [[20, 20, 50]]


@pytest.mark.parametrize("disks", [(), (disk(),)], ids=["its document gone, too", "kept"])
def test_a_disk_that_goes_with_its_vm_is_gone_only_when_that_is(emulated: Emulated, disks: tuple[str, ...]) -> None:
    applied(emulated, vm(), disk())
    write(emulated, (vm(image="win10.qcow2"), *disks))
    faults(emulated, {"op": "tasks.create", "kind": "refuse", "text": "no enough space", "times": 99})
    failed = emulated.run("apply", "--yes", "--allow-data-loss", "--json")
    assert (failed.code, failed.json["report"]["done"]) == (1, {}), failed.out
    assert "Disk/scratch" in emulated.run("state", "list", "--json").json
    assert "Disk/scratch: all data on the disk is lost (50Gi)" in emulated.run("plan").out
    mended(emulated)
    converges(emulated)
    assert sizes(emulated) == [[20, 20, *[50 for _ in disks]]]


@pytest.mark.parametrize("documents", [(), (vm(image="win10.qcow2"),)], ids=["deleted", "replaced"])
def test_a_snapshot_that_goes_with_its_vm_is_gone_only_when_that_is(
    emulated: Emulated, documents: tuple[str, ...]
) -> None:
    taken = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"})
    applied(emulated, vm(), taken)
    write(emulated, documents)
    refused = {"kind": "refuse", "text": "no", "times": 99}
    faults(emulated, {"op": "tasks.delete", **refused}, {"op": "tasks.create", **refused})
    failed = emulated.run("apply", "--yes", "--allow-empty", "--max-removals", "100", "--json")
    assert failed.json["report"]["done"] == {}, failed.out
    assert "Snapshot/first" in emulated.run("state", "list", "--json").json


def test_a_disk_that_leaves_a_vm_that_is_left_out_is_left_out_too(emulated: Emulated) -> None:
    machines = (vm(), vm("other", gpus=0))
    applied(emulated, *machines, disk())
    write(emulated, (*machines, disk(vm="other")))
    result = emulated.run("apply", "--yes", "--allow-data-loss", "--exclude", "VirtualMachine/trainer")
    assert (result.code, "Disk/scratch is excluded too" in result.err) == (0, True), result.err
    assert sizes(emulated) == [[20, 20, 50], [20, 20]]


def test_a_window_whose_node_is_gone_for_good_ends_within_half_an_hour(tmp_path: Path) -> None:
    """A start is refused several times in a row; a node that cannot be read has refused nothing."""
    emulated = Emulated(project(tmp_path, vm()), {**WORLD, "restartSeconds": 50_000})
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, (vm(), disk()))

    async def strike() -> None:
        await asyncio.sleep(6)  # the VM is off
        await act(emulated, ("/node", {"id": NODE_ID, "do": "die"}))

    emulated.network.keep(emulated.loop.create_task(strike()))
    began = emulated.loop.time()
    left = emulated.run("apply", "--yes")
    assert left.code == 7
    assert "Powered off by this apply:\n  VirtualMachine/trainer" in left.out
    assert emulated.loop.time() - began < 1800
    emulated.close()
