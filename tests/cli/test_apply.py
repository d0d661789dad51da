"""Plans across commands, faults of the network, secrets in every sink, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.gpu.spec import GuestSpec
from tests.projects import NODE_ID, Emulated, document, project, vm

CANARIES = {"PW": "canary-login-secret", "HEADER": "canary-header-secret"}


@pytest.fixture
def make(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, environ=CANARIES)


LOGIN: dict[str, Any] = {"login": {"password": {"env": "PW"}}}
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


def test_a_plan_file_is_applied_exactly_and_once(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**LOGIN), DISK)
    file = str(tmp_path / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    assert "2 to create" in emulated.run("show", file).out
    assert emulated.run("apply", file, "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    stale = emulated.run("apply", file, "--yes", "--json")
    assert (stale.code, stale.codes) == (5, ["plan-stale"])


def test_an_altered_plan_is_refused(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    file = tmp_path / "the.plan"
    emulated.run("plan", "-o", str(file))
    file.write_text(file.read_text().replace('"gpus": 1', '"gpus": 4'))
    assert emulated.run("apply", str(file), "--yes", "--json").codes == ["plan-altered"]
    assert emulated.vms == {}


def test_a_plan_whose_world_moved_is_refused_and_names_it(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(power="off"))
    emulated.run("apply", "--yes")
    project(tmp_path, vm(power="on"), environ=CANARIES)
    file = str(tmp_path / "the.plan")
    emulated.run("plan", "-o", file)
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, sockets=1, cores=1, threads=2)
    result = emulated.run("apply", file, "--yes", "--json")
    assert result.codes == ["plan-stale"]
    assert "cpus was 4, is 2 now" in result.err


def test_detailed_exit_code_and_yes(make: Callable[..., Emulated]) -> None:
    emulated = make(vm())
    assert emulated.run("plan", "--detailed-exitcode").code == 2
    result = emulated.run("apply", "--json")
    assert (result.code, result.codes) == (3, ["needs-yes"])
    assert emulated.vms == {}


OPERATIONS = [
    "tasks.create",
    "tasks.shutdown",
    "tasks.start",
    "tasks.modify",
    "tasks.passwd",
    "disk.add",
    "disk.resize",
]
KINDS = ["time-out", "lost-reply", "drop", "late", "offline"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPERATIONS)
def test_a_fault_at_any_call_never_doubles_and_the_next_run_converges(
    make: Callable[..., Emulated], tmp_path: Path, op: str, kind: str
) -> None:
    emulated = make(vm(**LOGIN), DISK)
    if op in {"disk.resize", "tasks.modify"}:
        assert emulated.run("apply", "--yes").code == 0
        changed: dict[str, Any] = {**LOGIN, "gpus": 2, "dataDisk": {"size": "30Gi"}}
        grown = document("Disk", "scratch", {"vm": "trainer", "size": "90Gi"})
        project(tmp_path, vm(**changed), grown, environ=emulated.project.environ)
    emulated.network.faults.add(FaultSpec(op=op, kind=kind, seconds=45.0))  # type: ignore[arg-type]
    first = emulated.run("apply", "--yes")
    emulated.settle()
    if first.code != 0:
        again = emulated.run("apply", "--yes")
        assert again.code == 0, again.out + again.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, first.out + first.err + last.out + last.err
    [machine] = emulated.vms.values()
    wanted = [20, 30, 90] if op in {"disk.resize", "tasks.modify"} else [20, 20, 50]
    assert sorted(machine["disks"].values()) == wanted
    assert machine["domain"] == "running"


def test_an_unreadable_node_makes_its_resources_unknown_and_the_rest_goes_on(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    other = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"
    second = document(
        "Node", "gpu-b", {"id": other, "identity": "tenant", "rentOrder": "113", "portRange": "20000-20010"}
    )
    orders = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": other}}
    emulated = make(
        vm("one"), second, vm("two", node="gpu-b"), gpuNodes=[{"id": NODE_ID}, {"id": other}], orders=orders
    )
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.chain.statuses[other] = "online"
    project(
        tmp_path,
        vm("one", firewall=["in,all,all,0.0.0.0/0,drop"]),
        second,
        vm("two", node="gpu-b"),
        environ=emulated.project.environ,
    )
    result = emulated.run("apply", "--yes", "--json")
    assert result.code == 4
    actions = {c["address"]: c["action"] for c in result.json["plan"]["changes"]}
    assert actions == {"VirtualMachine/one": "update", "VirtualMachine/two": "unknown"}
    assert result.json["report"]["done"] == {"VirtualMachine/one": "update"}


@pytest.mark.parametrize(
    ("changed", "parts", "code"),
    [
        ({"gpus": 5}, {}, "node-would-refuse"),
        ({"cpus": 63}, {}, "node-would-refuse"),
        ({"cpus": 33}, {"gpuNodes": [{"id": NODE_ID, "sockets": 2}]}, "node-would-refuse"),
        ({"memory": "999Gi"}, {}, "node-would-refuse"),
        ({"gpus": 2}, {"orders": {"112": {"renter": "tenant", "machine": NODE_ID, "gpus": [0]}}}, "node-would-refuse"),
        ({}, {"orders": {"112": {"renter": "tenant", "machine": NODE_ID, "status": "rentExpired"}}}, "unreadable"),
    ],
    ids=["gpus", "cpus", "topology", "memory", "partial", "expired"],
)
def test_a_predictable_refusal_is_reported_before_any_call(
    make: Callable[..., Emulated], changed: dict[str, Any], parts: dict[str, Any], code: str
) -> None:
    emulated = make(vm(**changed), **parts)
    result = emulated.run("plan", "--json")
    assert code in result.codes
    assert result.code in {4, 5}
    assert emulated.vms == {}


def test_ports_of_stopped_vms_are_in_the_books(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one", ports={"ssh": 20001, "vnc": 20002}, power="off"))
    emulated.run("apply", "--yes")
    documents = (
        vm("one", ports={"ssh": 20001, "vnc": 20002}, power="off"),
        vm("two", ports={"ssh": 20001, "vnc": 20003}),
    )
    project(tmp_path, *documents, environ=emulated.project.environ)
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["port-conflict"])


def test_rails(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(*(vm(f"vm{n}", gpus=0) for n in range(6)), vm("kept", gpus=0, lifecycle={"preventDestroy": True}))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm("vm0", gpus=0), environ=emulated.project.environ)
    result = emulated.run("plan", "--json")
    assert result.code == 5
    assert set(result.codes) == {"too-many-removals", "protected"}
    (tmp_path / "manifests/all.yaml").write_text(
        document("Node", "gpu-a", {"id": NODE_ID, "identity": "tenant", "rentOrder": "112"})
    )
    assert "empty-manifests" in emulated.run("plan", "--json").codes


def test_protection_is_lifted_by_applying_it(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(lifecycle={"preventDestroy": True}))
    emulated.run("apply", "--yes")
    project(tmp_path, vm(lifecycle={"preventDestroy": False}), environ=emulated.project.environ)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("destroy", "--yes").code == 0
    assert emulated.vms == {}


def test_no_secret_is_in_any_sink(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**LOGIN), DISK)
    said: list[str] = []
    file = str(tmp_path / "the.plan")
    for arguments in (
        ["plan", "-o", file], ["plan", "--json"], ["apply", file, "--yes"], ["apply", "--yes", "--json"], ["show"],
        ["show", file], ["state", "list"], ["state", "show", "VirtualMachine/trainer"], ["destroy", "--yes", "--json"],
    ):  # fmt: skip
        result = emulated.run(*arguments)
        said += [result.out, result.err]
    vm_passwords = {m["password"] for m in emulated.vms.values()}
    written = [p.read_text() for p in tmp_path.rglob("*") if p.is_file() and ".cache" not in p.parts]
    secrets = {*CANARIES.values(), emulated.project.environ["SEED"], *vm_passwords}
    for text in (*said, *written):
        assert not any(s in text for s in secrets)
    for session in (tmp_path / ".cache").rglob("*"):
        assert session.is_dir() or session.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("environ", [{}, {"NOT_SET": ""}], ids=["absent", "empty"])
def test_a_missing_secret_stops_before_anything_is_sent(make: Callable[..., Emulated], environ: dict[str, str]) -> None:
    emulated = make(vm(login={"password": {"env": "NOT_SET"}}))
    emulated.project.environ.update(environ)
    result = emulated.run("apply", "--yes", "--json")
    assert result.codes == ["secret-missing"]
    assert emulated.vms == {}


def test_a_guest_without_an_agent_gives_a_warning_and_counts_as_created(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(), gpuNodes=[{"id": NODE_ID, "guest": {"agent": False}}])
    result = emulated.run("apply", "--yes")
    assert result.code == 0
    assert "the guest has no agent" in result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_failed_creation_is_taken_away_and_tried_again_under_a_new_id(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(), gpuNodes=[{"id": NODE_ID, "guest": {"dhcp": False}}])
    result = emulated.run("apply", "--yes")
    assert result.code == 1
    assert "create error" in result.err
    [failed] = emulated.vms
    emulated.admin.set_image_guest("ubuntu.qcow2", GuestSpec())
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    assert failed not in emulated.vms
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_wait_that_is_too_long_ends_with_7_and_the_next_run_adopts(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(), gpuNodes=[{"id": NODE_ID, "guest": {"bootSeconds": 800}}])
    result = emulated.run("apply", "--yes", "--wait-timeout", "60", "--json")
    assert result.code == 7
    [created] = emulated.vms
    emulated.settle()
    result = emulated.run("apply", "--yes", "--json")
    assert result.code == 0, result.err
    assert result.json["plan"]["changes"][0]["action"] == "adopt"
    assert list(emulated.vms) == [created]


def test_the_session_is_obtained_once_and_kept(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    emulated.run("plan")
    emulated.run("plan")
    assert len(emulated.network.nodes[NODE_ID].authority.nonces) == 1


def test_the_json_of_a_plan_is_stable(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(), DISK)
    first, second = emulated.run("plan", "--json").json, emulated.run("plan", "--json").json
    assert json.dumps(first) == json.dumps(second)


def test_a_client_that_cannot_be_reached_is_no_success(make: Callable[..., Emulated]) -> None:
    emulated = make(vm())
    emulated.network.faults.add(FaultSpec(op="*", kind="offline", times=10_000))
    for arguments in (["plan", "--detailed-exitcode"], ["apply", "--yes"]):
        result = emulated.run(*arguments)
        assert result.code == 1
        assert "? VirtualMachine/trainer  not read" in result.out
    assert emulated.vms == {}


def test_state_files_are_for_their_owner_only(make: Callable[..., Emulated], tmp_path: Path) -> None:
    make(vm()).run("apply", "--yes")
    files = [p for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert len(files) >= 3
    assert not any(p.stat().st_mode & 0o077 for p in files)


def test_delete_first_frees_what_the_new_one_needs(make: Callable[..., Emulated], tmp_path: Path) -> None:
    first: dict[str, Any] = {"lifecycle": {"replace": "deleteFirst"}, "gpus": 4}
    emulated = make(vm(**first))
    emulated.run("apply", "--yes")
    project(tmp_path, vm(**first, image="win10.qcow2"), environ=emulated.project.environ)
    goals = [g["goal"] for s in emulated.run("plan", "--json").json["steps"] for g in s["goals"]]
    assert goals == ["vm-absent", "vm-exists", "vm-finished"]
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 1


def test_ignored_changes_are_left_alone(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    emulated.run("apply", "--yes")
    project(
        tmp_path,
        vm(lifecycle={"ignoreChanges": ["cpus", "ports"]}, cpus=8, ports={"ssh": 1, "vnc": 5999}),
        environ=emulated.project.environ,
    )
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_replace_on_follows_a_replacement(make: Callable[..., Emulated], tmp_path: Path) -> None:
    follows = vm("second", lifecycle={"replaceOn": ["VirtualMachine/first"]})
    emulated = make(vm("first"), follows)
    emulated.run("apply", "--yes")
    project(tmp_path, vm("first", image="win10.qcow2"), follows, environ=emulated.project.environ)
    changes = emulated.run("plan", "--json").json["changes"]
    assert [c["action"] for c in changes] == ["replace", "replace"]
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["true"], None),
        (["false"], "exited with 1"),
        (["no-such-program-here"], "could not be started"),
        (["sleep", "60"], "timed out after 0.1 s"),
    ],
)
def test_a_hook_is_run_and_its_failure_told(command: list[str], problem: str | None) -> None:
    import asyncio

    from dbc_iac.apply.hook import Hook, run_hook

    said = asyncio.run(
        run_hook(
            Hook(tuple(command), 0.1 if command[0] == "sleep" else 10.0, False, Path(), {"PATH": os.environ["PATH"]})
        )
    )
    assert (said is None) is (problem is None)
    assert problem is None or problem in (said or "")


def test_targets_take_what_they_need_along_and_leave_the_rest(make: Callable[..., Emulated]) -> None:
    lan = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
    emulated = make(lan, vm("one", network="training"), vm("two"), document("Disk", "d", {"vm": "one", "size": "5Gi"}))
    assert emulated.run("apply", "--yes", "--target", "VirtualMachine/one").code == 0
    assert emulated.run("state", "list", "--json").json == ["Network/training", "VirtualMachine/one"]
    result = emulated.run("destroy", "--yes", "--target", "Network/training")
    assert result.code == 0, result.err
    assert emulated.run("state", "list", "--json").json == []


@pytest.mark.parametrize("command", [["destroy"], ["apply", "--allow-empty"]], ids=["destroy", "documents gone"])
def test_a_disk_alone_can_be_taken_from_its_vm(
    make: Callable[..., Emulated], tmp_path: Path, command: list[str]
) -> None:
    """Also if the VM would go too, were it a target: it stays, and its disk is deleted, not forgotten."""
    emulated = make(vm("one"), *(document("Disk", n, {"vm": "one", "size": "5Gi"}) for n in ("d", "e")))
    assert emulated.run("apply", "--yes").code == 0
    (before,) = emulated.vms.values()
    assert len(before["disks"]) == 4
    if command != ["destroy"]:
        project(tmp_path, environ=emulated.project.environ)
    lossy = [] if command == ["destroy"] else ["--allow-data-loss"]
    result = emulated.run(*command, *lossy, "--yes", "--target", "Disk/d")
    assert result.code == 0, result.err
    assert "deleted with" not in result.out
    emulated.settle()
    (after,) = emulated.vms.values()
    assert (len(after["disks"]), after["status"]) == (3, "running")
    assert emulated.run("state", "list", "--json").json == ["Disk/e", "VirtualMachine/one"]


@pytest.mark.parametrize("documents", [["Disk"], []], ids=["it grows", "no longer in the manifests"])
def test_a_disk_is_not_changed_on_a_vm_that_became_external(
    make: Callable[..., Emulated], tmp_path: Path, documents: list[str]
) -> None:
    """It would have to be powered off."""
    emulated = make(vm("one"), document("Disk", "d", {"vm": "one", "size": "5Gi"}))
    assert emulated.run("apply", "--yes").code == 0
    (task,) = emulated.vms
    disks = [document(kind, "d", {"vm": "one", "size": "6Gi"}) for kind in documents]
    project(tmp_path, vm("one", external=True, id=task), *disks, environ=emulated.project.environ)
    refused = emulated.run("apply", "--yes", "--json")
    assert (refused.code, refused.codes) == (5, ["external-parent"])
    assert emulated.run("state", "list", "--json").json == ["Disk/d", "VirtualMachine/one"]


@pytest.mark.parametrize("options", [["--replace", "Disk/d"], ["--destroy"], []], ids=["replace", "destroy", "gone"])
def test_the_data_of_a_disk_that_goes_is_named(
    make: Callable[..., Emulated], tmp_path: Path, options: list[str]
) -> None:
    emulated = make(vm("one"), document("Disk", "d", {"vm": "one", "size": "5Gi"}))
    assert emulated.run("apply", "--yes").code == 0
    if not options:
        project(tmp_path, vm("one"), environ=emulated.project.environ)
    result = emulated.run("plan", *options)
    assert result.code == 0, result.err
    lost = result.out.partition("Data loss:")[2]
    assert lost.count("Disk/d: all data on the disk is lost") == 1


def test_disks_deleted_with_a_vm_are_named_in_every_output_format(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = make(vm("one", dataDisk={"size": "300Gi"}))
    assert emulated.run("apply", "--yes").code == 0
    loss = "VirtualMachine/one: its system disk and its data disk (300Gi) are deleted"
    for document_ in (vm("one", dataDisk={"size": "300Gi", "file": "mine.qcow2"}), ""):
        project(tmp_path, *([document_] if document_ else []), environ=emulated.project.environ)
        result = emulated.run("plan", "--json", "--allow-empty")
        [change] = result.json["changes"]
        assert change["losses"] == [loss]
        assert loss in emulated.run("plan", "--allow-empty").out


def test_an_external_vm_needs_its_node_and_its_id_only(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one"))
    assert emulated.run("apply", "--yes").code == 0
    [task] = emulated.vms
    other = tmp_path / "other"
    read_only = document("VirtualMachine", "seen", {"node": "gpu-a", "external": True, "id": task})
    other.mkdir()
    emulated.project = project(other, read_only, environ=emulated.project.environ)
    plan = emulated.run("plan", "--json")
    assert plan.code == 0, plan.err
    assert plan.json["changes"] == []
    project(other, read_only.replace(task, "x" * 22), environ=emulated.project.environ)
    assert emulated.run("plan", "--json").codes == ["external-absent"]


@pytest.mark.parametrize("flag", ["--target", "--replace", "--destroy-identity"])
@pytest.mark.parametrize("address", ["VirtualMachine/on", "Node/gpu-a"])
def test_an_unmanaged_address_is_reported(make: Callable[..., Emulated], flag: str, address: str) -> None:
    emulated = make(vm("one"))
    result = emulated.run("plan", "--json", flag, address)
    # What was destroyed is not there any more: that command, repeated, has nothing to do, and says so.
    assert result.code == (0 if flag == "--destroy-identity" else 3)
    assert result.codes == ["unknown-target"]
    assert ("Did you mean VirtualMachine/one?" in result.err) is (address == "VirtualMachine/on")


@pytest.mark.parametrize("document_stays", [True, False], ids=["destroy", "document gone"])
def test_a_creation_that_came_late_is_taken_away_when_nothing_wants_it(
    make: Callable[..., Emulated], tmp_path: Path, document_stays: bool
) -> None:
    emulated = make(vm())
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="late", seconds=600.0))
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="time-out", nth=2, times=10))
    assert emulated.run("apply", "--yes").code != 0
    emulated.settle()
    emulated.network.faults.clear()
    assert len(emulated.vms) == 1
    if not document_stays:
        project(tmp_path, environ=emulated.project.environ)
    result = emulated.run(*(["destroy"] if document_stays else ["apply", "--allow-empty"]), "--yes")
    assert result.code == 0, result.err
    assert emulated.vms == {}


def test_what_is_wrong_elsewhere_does_not_stop_a_target(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one"), vm("two"))
    assert emulated.run("apply", "--yes").code == 0
    documents = (vm("one", gpus=2), vm("two", dataDisk={"size": "1Gi"}))
    project(tmp_path, *documents, environ=emulated.project.environ)
    assert emulated.run("plan", "--json").codes == ["cannot-shrink"]
    for options in (["--target", "VirtualMachine/one"], ["--exclude", "VirtualMachine/two"]):
        assert emulated.run("plan", *options).code == 0
    assert emulated.run("plan", "--json", "--target", "VirtualMachine/two").codes == ["cannot-shrink"]


def test_vms_that_fit_alone_and_not_together_are_refused(make: Callable[..., Emulated]) -> None:
    emulated = make(*(vm(name, memory="200Gi") for name in ("one", "two")))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["node-would-refuse"])
    assert "400 GiB of memory requested in total" in result.err


def test_a_plan_file_is_applied_without_a_question_and_as_it_is(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one"))
    file = str(tmp_path / "reviewed.plan")
    assert emulated.run("plan", "-o", file).code == 0
    changed = emulated.run("apply", file, "--json", "--replace", "VirtualMachine/one")
    assert (changed.code, changed.codes) == (3, ["plan-is-made"])
    assert emulated.run("apply", "--json").codes == ["needs-yes"]
    assert emulated.run("apply", file).code == 0
    assert len(emulated.vms) == 1


def test_a_restart_of_a_vm_that_is_off_is_no_disruption(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one", power="off", restartOn="a"))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm("one", power="off", restartOn="b"), environ=emulated.project.environ)
    told = emulated.run("plan").out
    assert "will be powered off" not in told
    assert "recording the restart (the VM is off)" in told
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_every_problem_of_a_plan_points_into_its_document(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm("one", lifecycle={"preventDestroy": True}, login={"password": {"env": "PW"}}))
    emulated.project.environ["PW"] = "canary-of-one"
    assert emulated.run("apply", "--yes").code == 0
    protected = emulated.run("plan", "--json", "--replace", "VirtualMachine/one")
    [problem] = json.loads(protected.err)["diagnostics"]
    assert (problem["code"], problem["source"]["file"].endswith("manifests/all.yaml")) == ("protected", True)
    del emulated.project.environ["PW"]
    project(tmp_path, vm("two", login={"password": {"env": "PW"}}), environ=emulated.project.environ)
    missing = emulated.run("apply", "--yes", "--json", "--target", "VirtualMachine/two")
    [problem] = json.loads(missing.err)["diagnostics"]
    assert (problem["code"], problem["address"], problem["source"]["line"]) == (
        "secret-missing",
        "VirtualMachine/two",
        6,
    )
