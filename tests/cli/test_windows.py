"""Offline windows through the command line: how long, what `beforeOffline` decides, what is left when one fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def applied(*documents: str, **world: Any) -> Emulated:
        emulated = Emulated(project(tmp_path, *documents), world)
        made.append(emulated)
        assert emulated.run("apply", "--yes").code == 0
        return emulated

    yield applied
    for emulated in made:
        emulated.close()


def converges(emulated: Emulated) -> None:
    result = emulated.run("apply", "--yes", "--allow-data-loss")
    assert result.code == 0, result.out + result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_disk_whose_removal_was_not_waited_for_stays_in_the_state(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = make(vm(), DISK)
    project(tmp_path, vm(), environ=emulated.project.environ)
    assert emulated.run("apply", "--yes", "--allow-data-loss", "--wait-timeout", "1").code == 7
    assert "Disk/scratch" in emulated.run("state", "list", "--json").json
    emulated.settle()
    converges(emulated)
    [machine] = emulated.vms.values()
    assert (len(machine["disks"]), machine["domain"]) == (2, "running")


@pytest.mark.parametrize(("changed", "seconds"), [({"cpus": 8}, 15), ({"gpus": 2, "cpus": 8, "memory": "16Gi"}, 20)])
def test_a_short_window_is_short(
    make: Callable[..., Emulated], tmp_path: Path, changed: dict[str, Any], seconds: int
) -> None:
    """The node needs 2 s to power a VM off, and 2 s to start it."""
    emulated = make(vm())
    project(tmp_path, vm(**changed), environ=emulated.project.environ)
    result = emulated.run("apply", "--yes")
    [closed] = re.findall(r"power-off window closed after (\d+) s", result.err)
    assert int(closed) <= seconds


def hook(*command: str, force: bool = False) -> dict[str, Any]:
    return {"lifecycle": {"beforeOffline": {"command": list(command), "timeout": "30s", "force": force}}}


RAN = ("sh", "-c", "echo ran >> hook.log")
OFFLINE: list[dict[str, Any]] = [{"cpus": 8}, {"image": "win10.qcow2"}, {"power": "off"}]
WAYS = ["window", "replacement", "power"]


@pytest.mark.parametrize("changed", OFFLINE, ids=WAYS)
def test_the_hook_is_run_once_in_the_project_before_the_vm_is_powered_off(
    make: Callable[..., Emulated], tmp_path: Path, changed: dict[str, Any]
) -> None:
    emulated = make(vm(**hook(*RAN)))
    assert not (tmp_path / "hook.log").exists()
    project(tmp_path, vm(**hook(*RAN), **changed), environ=emulated.project.environ)
    converges(emulated)
    assert (tmp_path / "hook.log").read_text() == "ran\n"


@pytest.mark.parametrize("changed", OFFLINE, ids=WAYS)
def test_a_hook_that_fails_leaves_the_vm_running_and_the_next_run_tries_again(
    make: Callable[..., Emulated], tmp_path: Path, changed: dict[str, Any]
) -> None:
    emulated = make(vm())
    before = emulated.vms
    project(tmp_path, vm(**hook("false"), **changed), environ=emulated.project.environ)
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes) == (1, ["goal-failed"])
    assert result.json["report"]["failed"] == {"VirtualMachine/trainer": "beforeOffline: exited with 1"}
    assert result.json["report"]["poweredOff"] == {}
    assert emulated.vms == before
    project(tmp_path, vm(**hook(*RAN), **changed), environ=emulated.project.environ)
    converges(emulated)
    assert (tmp_path / "hook.log").read_text() == "ran\n"


def test_a_failing_hook_is_reported_before_a_forced_power_off(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    project(tmp_path, vm(**hook("false", force=True), cpus=8), environ=emulated.project.environ)
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    assert result.err.index("beforeOffline: exited with 1") < result.err.index("window opened")


def test_a_vm_that_is_deleted_is_warned_by_its_hook(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**hook("false")))
    refused = emulated.run("destroy", "--yes")
    assert (refused.code, len(emulated.vms)) == (1, 1), refused.err
    project(tmp_path, vm(**hook(*RAN)), environ=emulated.project.environ)
    assert emulated.run("destroy", "--yes").code == 0
    assert (tmp_path / "hook.log").read_text() == "ran\n"


def test_a_vm_that_is_off_already_needs_no_hook(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(power="off"))
    project(tmp_path, vm(**hook(*RAN), power="off", cpus=8), environ=emulated.project.environ)
    converges(emulated)
    assert not (tmp_path / "hook.log").exists()


@pytest.mark.parametrize("seconds", [31.0, 34.0, 35.0, 36.0, 38.0, 45.0, 80.0])
def test_a_shutdown_that_is_carried_out_late_does_not_leave_the_vm_off(
    make: Callable[..., Emulated], tmp_path: Path, seconds: float
) -> None:
    emulated = make(vm())
    emulated.network.faults.add(FaultSpec(op="tasks.shutdown", kind="late", seconds=seconds))
    project(tmp_path, vm(cpus=8), environ=emulated.project.environ)
    assert emulated.run("apply", "--yes").code == 0
    emulated.settle()
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert [m["domain"] for m in emulated.vms.values()] == ["running"]


def test_a_vm_that_is_to_stay_off_is_booted_for_a_proof_only_with_settle(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
    emulated = make(vm(power="off"))
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.faults.add(FaultSpec(op="disk.add", kind="time-out"))
    project(tmp_path, vm(power="off"), disk, environ=emulated.project.environ)
    for _ in range(2):
        result = emulated.run("apply", "--yes")
        assert result.code == 7, result.out + result.err
        assert "Apply again with --settle" in result.err
        assert "booting once" not in result.err
    result = emulated.run("apply", "--yes", "--settle")
    assert result.code == 0, result.out + result.err
    assert "booting once to prove" in result.err
    [machine] = emulated.vms.values()
    assert (sorted(machine["disks"].values()), machine["domain"]) == ([20, 20, 50], "off")
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_plan_file_is_completed_with_settle(make: Callable[..., Emulated], tmp_path: Path) -> None:
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
    emulated = make(vm(power="off"))
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.faults.add(FaultSpec(op="disk.add", kind="time-out"))
    project(tmp_path, vm(power="off"), disk, environ=emulated.project.environ)
    file = str(tmp_path / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    assert emulated.run("apply", file).code == 7
    assert emulated.run("apply", file).code == 7
    result = emulated.run("apply", file, "--settle")
    assert result.code == 0, result.out + result.err
    [machine] = emulated.vms.values()
    assert (sorted(machine["disks"].values()), machine["domain"]) == ([20, 20, 50], "off")
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_an_effect_that_shows_late_needs_no_proof(make: Callable[..., Emulated], tmp_path: Path) -> None:
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
    emulated = make(vm(power="off"))
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.faults.add(FaultSpec(op="disk.add", kind="late", seconds=300.0))
    project(tmp_path, vm(power="off"), disk, environ=emulated.project.environ)
    assert emulated.run("apply", "--yes").code == 7
    emulated.settle(600)
    assert emulated.run("apply", "--yes").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]


NEVER = vm(lifecycle={"offline": "never"}, power="on")
SNAPSHOT = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"})


@pytest.mark.parametrize(
    ("documents", "place"),
    [
        ([vm(lifecycle={"offline": "never"}, cpus=8), DISK], "VirtualMachine/trainer"),
        ([vm(lifecycle={"offline": "never"}, image="win10.qcow2"), DISK], "VirtualMachine/trainer"),
        ([vm(lifecycle={"offline": "never"}, restartOn="1"), DISK], "VirtualMachine/trainer"),
        ([NEVER, DISK, document("Disk", "more", {"vm": "trainer", "size": "10Gi"})], "Disk/more"),
        ([NEVER, document("Disk", "scratch", {"vm": "trainer", "size": "60Gi"})], "Disk/scratch"),
        ([NEVER], "Disk/scratch"),
        ([NEVER, DISK, SNAPSHOT], "Snapshot/first"),
    ],
    ids=["cpus", "image", "restartOn", "a new disk", "a larger disk", "a disk that goes", "a snapshot"],
)
def test_a_vm_that_is_never_to_be_offline_is_powered_off_for_nothing(
    make: Callable[..., Emulated], tmp_path: Path, documents: list[str], place: str
) -> None:
    emulated = make(NEVER, DISK, imageServers=[{"id": "ID_1"}, {"id": "ID_2"}])
    project(tmp_path, *documents, environ=emulated.project.environ)
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["offline-never"]), result.err
    [problem] = json.loads(result.err)["diagnostics"]
    assert problem["address"] == place
    project(tmp_path, vm(lifecycle={"offline": "never"}, power="off"), DISK, environ=emulated.project.environ)
    converges(emulated)
