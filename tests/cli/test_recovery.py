"""Drift, orphans, import, state mv, rm, rebuild, and the options that leave things alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.gpu.spec import GuestSpec
from dbc_iac.emulator.gpu.states import DomainState
from tests.cli.runs import applied, assert_empty, write
from tests.projects import NODE_ID, Emulated, document, vm

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


def state_files(emulated: Emulated) -> dict[str, str]:
    folder = emulated.project.directory / "state"
    return {str(p): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_no_drift_ends_with_0_and_writes_nothing(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    before = state_files(emulated)
    result = emulated.run("drift")
    assert (result.code, result.out.splitlines()[0]) == (0, "No drift.")
    assert state_files(emulated) == before


def test_drift_is_separate_from_changes_of_the_manifests(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, network_filters=["in,all,all,0.0.0.0/0,accept"])
    write(emulated, vm(gpus=2), DISK, vm("second"))
    result = emulated.run("drift")
    assert result.code == 2
    assert "VirtualMachine/trainer" in result.out
    assert "firewall: was (none), now [in,all,all,0.0.0.0/0,accept]" in result.out
    assert "gpus" not in result.out
    assert "The manifests have changes to 2 resources." in result.out
    report = emulated.run("drift", "--json").json
    assert [d["address"] for d in report["drifts"]] == ["VirtualMachine/trainer"]
    assert report["pending"] == ["VirtualMachine/second", "VirtualMachine/trainer"]


def test_a_vanished_vm_is_drift_and_its_disk_with_it(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.remove_vm(task_id)
    result = emulated.run("drift")
    assert result.code == 2
    assert "VirtualMachine/trainer  deleted" in result.out


def test_many_vms_that_stopped_together_are_one_event(world: Callable[..., Emulated]) -> None:
    emulated = world(*(vm(f"vm{i}") for i in range(4)))
    applied(emulated)
    for task_id in emulated.vms:
        emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
    result = emulated.run("drift")
    assert result.code == 2
    assert result.out.count("powered off") == 1
    assert "4 VMs of Node/gpu-a are powered off: likely one event" in result.out


def test_many_vms_that_vanished_together_are_one_event_and_nothing_besides(world: Callable[..., Emulated]) -> None:
    disk = document("Disk", "scratch", {"vm": "vm0", "size": "50Gi"})
    emulated = world(*(vm(f"vm{i}") for i in range(4)), disk)
    applied(emulated)
    for task_id in emulated.vms:
        emulated.admin.remove_vm(task_id)
    write(emulated, *(vm(f"vm{i}") for i in range(4)), disk, vm("new"))
    result = emulated.run("drift")
    assert result.code == 2
    assert result.out.count("do not exist any more") == 1
    assert "  deleted" not in result.out
    assert "4 VMs of Node/gpu-a do not exist any more: likely one event" in result.out
    assert "The manifests have changes to 1 resource." in result.out
    report = emulated.run("drift", "--json").json
    assert report["pending"] == ["VirtualMachine/new"]
    [event] = report["events"]
    assert event["addresses"] == ["Disk/scratch", *(f"VirtualMachine/vm{i}" for i in range(4))]


def test_what_a_plan_refuses_is_drift_where_it_was_not_asked_for(world: Callable[..., Emulated]) -> None:
    """A disk that was grown behind our back cannot shrink again; one that the manifests want smaller has not moved."""
    emulated = world(vm(), DISK)
    applied(emulated)
    for line in (("vm", "stop", "trainer"), ("disk", "grow", "trainer", "vdc", "+5Gi"), ("vm", "start", "trainer")):
        assert emulated.run(*line, "--yes", "--wait").code == 0
    result = emulated.run("drift")
    assert result.code == 2, result.out
    assert "Disk/scratch\n      size: was 50Gi, now 55Gi  (cannot be reverted)" in result.out
    assert "The manifests have changes" not in result.out
    assert emulated.run("plan").code == 5
    [drift] = emulated.run("drift", "--json").json["drifts"]
    assert drift["fields"] == [{"path": "size", "applied": "50Gi", "observed": "55Gi", "secret": False, "stays": True}]
    write(emulated, vm(), DISK.replace("50Gi", "55Gi"))
    assert emulated.run("drift").out.startswith("No drift.\n")
    write(emulated, vm(), DISK.replace("50Gi", "40Gi"))
    asked = emulated.run("drift")
    assert asked.code == 0
    assert "The manifests have changes to 1 resource." in asked.out


def login(reference: str) -> str:
    return vm(login={"username": "dbc", "password": {"env": reference}})


def test_a_password_that_was_changed_behind_is_drift_and_one_of_another_reference_is_not(
    world: Callable[..., Emulated],
) -> None:
    """State keeps the reference that was applied, and nothing of the value."""
    emulated = world(login("PW"))
    emulated.project.environ |= {"PW": "canaryone", "PW2": "canarytwo"}
    applied(emulated)
    assert_empty(emulated)
    assert emulated.run("drift").code == 0
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, login_password="somebodyelses")
    moved = emulated.run("drift")
    assert moved.code == 2
    assert "login.password: (secret, differs: changed on the node, or behind its reference)" in moved.out
    assert "The manifests have changes" not in moved.out
    assert "drift, or a new value of its secret" in emulated.run("plan").out
    write(emulated, login("PW2"))
    asked = emulated.run("drift")
    assert (asked.code, "The manifests have changes to 1 resource." in asked.out) == (0, True)
    assert "manifest changed" in emulated.run("plan").out
    applied(emulated)
    assert emulated.vms[task_id]["password"] == "canarytwo"
    emulated.admin.change_vm(task_id, login_password="somebodyelses")
    assert emulated.run("drift").code == 2
    kept = "".join(state_files(emulated).values())
    assert not [word for word in ("canaryone", "canarytwo", "somebodyelses") if word in kept]


def test_drift_that_is_ignored_is_no_drift(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(lifecycle={"ignoreChanges": ["firewall"]}))
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, network_filters=["in,all,all,0.0.0.0/0,accept"])
    assert emulated.run("drift").code == 0


def test_what_cannot_be_read_is_no_drift_and_no_success(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    emulated.network.chain.statuses[NODE_ID] = "online"
    result = emulated.run("drift")
    assert result.code == 4
    assert "? VirtualMachine/trainer: not rented" in result.out


def test_orphans_tell_whose_they_are(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK, LAN)
    applied(emulated)
    assert emulated.run("orphans").out == "No unmanaged objects.\n"
    for address in ("Disk/scratch", "VirtualMachine/trainer"):
        assert emulated.run("state", "rm", address, "--yes").code == 0
    found = emulated.run("orphans", "--json").json
    assert [(f["kind"], f["whose"]) for f in found] == [("Disk", "ours"), ("VirtualMachine", "ours")]
    assert "owner: this stack" in emulated.run("orphans").out
    assert found[1]["marker"].startswith("dbc-iac:lab/main/trainer/1/")


def test_one_object_is_imported_and_what_differs_is_a_change(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    [task_id] = emulated.vms
    [file] = [f for f, size in emulated.vms[task_id]["disks"].items() if size == 50]
    assert emulated.run("state", "rm", "Disk/scratch", "VirtualMachine/trainer", "--yes").code == 0
    early = emulated.run("import", "Disk/scratch", file, "--json")
    assert (early.code, early.codes) == (5, ["cannot-import"])
    assert emulated.run("import", "VirtualMachine/trainer", task_id).code == 0
    assert emulated.run("import", "Disk/scratch", file).code == 0
    assert_empty(emulated)
    again = emulated.run("import", "Disk/scratch", file, "--json")
    assert (again.code, again.codes) == (5, ["cannot-import"])
    write(emulated, vm(gpus=2), DISK)
    applied(emulated)
    assert list(emulated.vms) == [task_id]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["VirtualMachine/trainer", "nosuchtask"], "cannot-import"),
        (["VirtualMachine/none", "x"], "cannot-import"),
        (["Node/gpu-a", "x"], "cannot-import"),
    ],
)
def test_an_impossible_import_is_reported(world: Callable[..., Emulated], arguments: list[str], code: str) -> None:
    result = world(vm()).run("import", *arguments, "--json")
    assert (result.code, result.codes) == (5, [code])


def test_everything_is_imported_with_manifests_that_a_plan_finds_equal(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = world(
        LAN, vm(network="training"), DISK, vm("second", power="off", firewall=["in,all,all,0.0.0.0/0,drop"])
    )
    applied(emulated)
    before = set(emulated.vms)
    for folder in ("state", "manifests"):
        shutil.rmtree(tmp_path / folder)
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/imported")
    assert result.code == 0, result.err
    text = (tmp_path / "manifests/imported/gpu-a.yaml").read_text()
    assert "name: trainer" in text
    assert "env: TRAINER_PASSWORD" in text
    assert not any(found["password"] in text for found in emulated.vms.values())
    assert_empty(emulated)
    assert set(emulated.vms) == before
    assert emulated.run("orphans").out == "No unmanaged objects.\n"


def test_an_import_into_a_folder_that_is_not_read_binds_nothing(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm())
    applied(emulated)
    for folder in ("state", "manifests"):
        shutil.rmtree(tmp_path / folder)
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "elsewhere", "--json")
    assert result.codes == ["not-in-globs"]
    assert emulated.run("state", "list", "--json").json == []


def test_a_place_that_cannot_be_read_is_a_row_of_the_orphans(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.network.faults.add(FaultSpec(op="*", kind="offline", times=1000))
    result = emulated.run("orphans", "--json")
    assert result.code == 1
    assert {row["place"] for row in result.json if "unreadable" in row} >= {"Node/gpu-a"}


def test_other_projects_vms_and_those_of_verifiers_are_left(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm())
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, desc="[dbc-iac:other/main/trainer/1/000000000000]")
    assert emulated.run("state", "rm", "VirtualMachine/trainer", "--yes").code == 0
    assert [f["whose"] for f in emulated.run("orphans", "--json").json] == ["another project's"]
    write(emulated)
    result = emulated.run("import", "--all", "--generate", "manifests/imported")
    assert result.out == "There is nothing to import.\n"


def test_a_lost_state_is_rebuilt_from_proofs_and_asks_for_the_rest(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    twins = [document("Disk", f"twin-{n}", {"vm": "trainer", "size": "30Gi"}) for n in "ab"]
    emulated = world(LAN, vm(network="training"), DISK, *twins)
    applied(emulated)
    [task_id] = emulated.vms
    files = [f for f, size in emulated.vms[task_id]["disks"].items() if size == 30]
    shutil.rmtree(tmp_path / "state")
    first = emulated.run("state", "rebuild", "--yes")
    assert first.code == 2
    assert f"VirtualMachine/trainer  {task_id}: id and marker of generation 1" in first.out
    assert "Disk/scratch  /data" in first.out
    assert "? Disk/twin-a  VirtualMachine/trainer has /data/" in first.out
    maps = [f"--map=Disk/twin-{n}={file}" for n, file in zip("ab", files, strict=True)]
    second = emulated.run("state", "rebuild", "--yes", *maps)
    assert second.code == 0, second.out + second.err
    assert_empty(emulated)
    assert list(emulated.vms) == [task_id]


def test_a_vm_cannot_be_forgotten_without_what_lives_on_it(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    result = emulated.run("state", "rm", "VirtualMachine/trainer", "--yes", "--json")
    assert result.codes == ["has-dependents"]
    assert emulated.run("state", "rm", "VirtualMachine/trainer", "--json").codes == ["has-dependents"]
    assert emulated.run("state", "rm", "Disk/scratch", "--json").codes == ["needs-yes"]


def test_what_is_excluded_stays_with_all_that_needs_it(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN, vm("one", network="training"), vm("two"), document("Disk", "d", {"vm": "one", "size": "5Gi"}))
    applied(emulated, "--exclude", "Network/training")
    assert emulated.run("state", "list", "--json").json == ["VirtualMachine/two"]
    applied(emulated)
    result = emulated.run("destroy", "--yes", "--exclude", "VirtualMachine/one")
    assert result.code == 0, result.err
    assert emulated.run("state", "list", "--json").json == ["Disk/d", "Network/training", "VirtualMachine/one"]
    unknown = emulated.run("plan", "--exclude", "VirtualMachine/none", "--json")
    assert (unknown.code, unknown.codes) == (3, ["unknown-target"])


def test_a_plan_without_refresh_asks_nobody(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm())
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, network_filters=["in,all,all,0.0.0.0/0,accept"])
    write(emulated, vm(gpus=2))
    asked = len(emulated.network.nodes[NODE_ID].authority.nonces)
    emulated.network.clients["default"].alive = False
    result = emulated.run("plan", "--refresh=false", "--json")
    assert result.code == 0, result.err
    [change] = result.json["changes"]
    assert [f["path"] for f in change["fields"]] == ["gpus"]
    assert len(emulated.network.nodes[NODE_ID].authority.nonces) == asked
    kept = emulated.run("plan", "--refresh=false", "-o", str(tmp_path / "a.plan"), "--json")
    assert kept.codes == ["plan-not-fresh"]


@pytest.mark.parametrize("ended", ["the machine is free again", "the order has expired"])
def test_what_is_on_a_machine_that_is_not_rented_can_be_forgotten(world: Callable[..., Emulated], ended: str) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    if ended == "the order has expired":
        [order] = emulated.network.chain.orders.values()
        order.status = "rentExpired"
    else:
        emulated.network.chain.statuses[NODE_ID] = "online"
    assert emulated.run("apply", "--yes").code == 4
    write(emulated)
    result = emulated.run("apply", "--yes", "--allow-empty", "--forget-expired")
    assert result.code == 0, result.out + result.err
    assert "the rental has ended (--forget-expired)" in result.out
    assert emulated.run("state", "list", "--json").json == []
    assert len(emulated.vms) == 1


def test_a_wrong_wallet_forgets_nothing(world: Callable[..., Emulated]) -> None:
    """The node says that this wallet does not rent the machine, not that nobody does."""
    emulated = world(vm(), DISK)
    applied(emulated)
    emulated.project.environ["SEED"] = "11" * 32
    result = emulated.run("apply", "--yes", "--forget-expired")
    assert (result.code, "wallet not rented" in result.err) == (4, True), result.err
    assert emulated.run("state", "list", "--json").json == ["Disk/scratch", "VirtualMachine/trainer"]


def test_recovery_needs_no_secret_in_any_sink(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm(login={"password": {"env": "PW"}}))
    emulated.project.environ["PW"] = "canarypw"
    applied(emulated)
    said = "".join(emulated.run(*a).out for a in (["drift", "--json"], ["orphans", "--json"]))
    emulated.run("state", "rm", "VirtualMachine/trainer", "--yes")
    write(emulated)
    emulated.run("import", "--all", "--generate", "manifests/imported")
    written = [p.read_text() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any("canarypw" in text for text in (said, *written))
    assert json.loads(emulated.run("drift", "--json").out)["drifts"] == []


def test_a_vm_whose_start_failed_is_off(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    [task] = emulated.vms
    emulated.admin.power_off(task)
    emulated.admin.set_guest(task, GuestSpec(starts=False))
    assert emulated.run("apply", "--yes").code == 1
    planned = emulated.run("plan", "--detailed-exitcode")
    assert (planned.code, "power: off -> on" in planned.out) == (2, True)
    emulated.admin.set_guest(task, GuestSpec())
    applied(emulated)
    assert_empty(emulated)
