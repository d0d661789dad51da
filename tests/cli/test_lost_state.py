"""A lost state: objects are found again or asked for, and nothing is created twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dbc_iac.emulator.gpu.states import DomainState
from tests.cli.runs import applied, write
from tests.cli.test_faults import fault
from tests.cli.trials import act
from tests.projects import NODE_ID, Emulated, document, vm
from tests.proof.ends import Interposed, Point

AUTO: dict[str, Any] = {"ports": {"ssh": "auto", "vnc": "auto", "rdp": "auto"}}


def disk(name: str = "scratch", **changed: Any) -> str:
    return document("Disk", name, {"vm": "trainer", "size": "50Gi", **changed})


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, directory="lab")


def lose_state(emulated: Emulated) -> None:
    shutil.rmtree(emulated.project.directory / "state")


def remove_from_state(emulated: Emulated, address: str) -> None:
    """Remove an address from the state; its object remains."""
    assert emulated.run("state", "rm", "--yes", address).code == 0


def assert_nothing_is_made(emulated: Emulated) -> None:
    """One apply adopts all objects without a change, and the next plan is empty."""
    before = emulated.vms
    planned = emulated.run("plan", "--json")
    assert planned.code == 0, planned.err
    plan = planned.json
    assert {c["action"] for c in plan["changes"] if c["action"] != "no-op"} == {"adopt"}
    assert [s for s in plan["steps"] if s["kind"] == "window"] == []
    applied(emulated)
    assert emulated.vms == before
    result = emulated.run("plan", "--detailed-exitcode")
    assert result.code == 0, result.out + result.err


def test_a_vm_is_found_in_any_generation(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    applied(emulated, "--replace", "VirtualMachine/trainer")
    lose_state(emulated)
    assert_nothing_is_made(emulated)


def test_a_vm_that_is_off_is_found_too(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    applied(emulated, "--replace", "VirtualMachine/trainer")
    [task_id] = emulated.vms
    emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
    lose_state(emulated)
    applied(emulated)
    assert list(emulated.vms) == [task_id]


def test_disks_are_identified_by_size_and_directory(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk(), disk("large", size="60Gi"))
    applied(emulated)
    lose_state(emulated)
    assert_nothing_is_made(emulated)


def test_indistinguishable_disks_are_asked_for(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk(), disk("twin"))
    applied(emulated)
    lose_state(emulated)
    before = emulated.vms
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["may-exist", "may-exist"])
    assert "state rebuild --map Disk/scratch=/data/" in result.err
    assert emulated.vms == before


def test_a_disk_that_may_be_an_old_one_is_not_made_beside_it(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk())
    applied(emulated)
    lose_state(emulated)
    write(emulated, vm(), disk(size="70Gi"))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["may-exist"])
    applied(emulated, "--target", "VirtualMachine/trainer")  # adopting the VM does not identify the disk
    asked = emulated.run("plan", "--json")
    assert (asked.code, asked.codes) == (5, ["may-exist"])
    assert "state rebuild --new Disk/scratch" in asked.err
    assert emulated.run("state", "rebuild", "--yes", "--new", "Disk/scratch").code == 0
    applied(emulated)
    [found] = emulated.vms.values()
    assert list(found["disks"].values())[1:] == [20, 50, 70]


@pytest.mark.parametrize("edited", [{}, {"size": "60Gi"}, {"hostDir": "/data/more"}], ids=str)
def test_a_rebuild_with_open_questions_makes_nothing_a_second_time(
    world: Callable[..., Emulated], edited: dict[str, Any]
) -> None:
    emulated = world(vm(), disk(), disk("twin"), gpuNodes=[{"id": NODE_ID, "directories": ["/data/more"]}])
    applied(emulated)
    lose_state(emulated)
    write(emulated, vm(), disk(**edited), disk("twin"))
    [before] = emulated.vms.values()
    assert emulated.run("state", "rebuild", "--yes").code == 2
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, set(result.codes)) == (5, {"may-exist"})
    assert emulated.vms == {next(iter(emulated.vms)): before}
    scratch, twin = list(before["disks"])[2:]
    answers = [f"--map=Disk/scratch={scratch}", f"--map=Disk/twin={twin}"]
    rebuilt = emulated.run("state", "rebuild", "--yes", *answers)
    assert rebuilt.code == 0, rebuilt.out + rebuilt.err
    if not edited:
        assert_nothing_is_pending(emulated)
    applied(emulated, "--allow-data-loss")  # another folder is another disk
    assert_nothing_is_pending(emulated)
    assert len(next(iter(emulated.vms.values()))["disks"]) == 4


def test_a_disk_added_by_hand_blocks_a_new_one_until_it_is_identified(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(vm(), disk("by-hand", size="30Gi"))
    applied(emulated)
    assert emulated.run("state", "rm", "Disk/by-hand", "--yes").code == 0
    write(emulated, vm(), disk())
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["may-exist"])
    assert emulated.run("state", "rebuild", "--yes", "--new", "Disk/scratch", "--json").json["new"] == ["Disk/scratch"]
    applied(emulated)
    assert_nothing_is_pending(emulated)
    [found] = emulated.vms.values()
    assert list(found["disks"].values())[1:] == [20, 30, 50]


def test_a_creation_that_was_refused_is_tried_again_beside_a_stranger(world: Callable[..., Emulated]) -> None:
    """The state knows that it made none: nobody is asked."""
    emulated = world(vm(), disk())
    refusal = fault("disk.add", "refuse", text="mount directory:/data have no enough space", times=1)
    emulated.loop.run_until_complete(act(emulated, refusal))
    assert emulated.run("apply", "--yes").code == 7
    write(emulated, vm(), disk("by-hand", size="30Gi"))
    applied(emulated)
    assert emulated.run("state", "rm", "Disk/by-hand", "--yes").code == 0
    write(emulated, vm(), disk())
    applied(emulated)
    assert_nothing_is_pending(emulated)


def assert_nothing_is_pending(emulated: Emulated) -> None:
    result = emulated.run("plan", "--detailed-exitcode")
    assert result.code == 0, result.out + result.err


def test_a_vm_is_adopted_with_its_disks(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk())
    applied(emulated)
    before = emulated.vms
    lose_state(emulated)
    applied(emulated, "--target", "VirtualMachine/trainer")
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert emulated.vms == before


def test_a_file_that_matches_a_new_disk_is_reported(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk())
    applied(emulated)
    assert emulated.run("state", "rm", "--yes", "Disk/scratch").code == 0
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (0, ["unmanaged-match"])
    assert "dbc-iac import Disk/scratch /data/" in result.err


def test_a_lost_state_leads_to_its_rebuilding(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk())
    applied(emulated)
    (emulated.project.directory / "state/main.json").unlink()
    for command in (["plan"], ["state", "rebuild", "--yes"]):
        refused = emulated.run(*command, "--json")
        assert (refused.code, refused.codes) == (1, ["state-lost"])
        assert "`dbc-iac state rebuild`" in refused.err
    lose_state(emulated)
    planned = emulated.run("plan", "--json")
    assert (planned.code, planned.codes) == (0, ["state-empty"])
    assert "`dbc-iac state rebuild`" in planned.err
    assert emulated.run("state", "rebuild", "--yes").code == 0
    assert_nothing_is_pending(emulated)


def test_auto_ports_stay_what_they_are(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("first", **AUTO), vm(**AUTO))
    applied(emulated)
    write(emulated, vm(**AUTO))
    applied(emulated)  # the second has the higher ports, and the lower ones are free now
    lose_state(emulated)
    assert_nothing_is_made(emulated)


def test_hidden_fields_that_changed_meanwhile_are_not_taken_for_those_that_were_applied(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(vm())
    applied(emulated)
    lose_state(emulated)
    write(emulated, vm(multicast=["230.0.0.1:5558"]))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["created-differently", "state-empty"])
    assert "dbc-iac import VirtualMachine/trainer" in result.err


def test_an_auto_port_is_none_that_another_vm_of_the_wallet_has(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("other"))
    applied(emulated)
    remove_from_state(emulated, "VirtualMachine/other")
    write(emulated, vm())
    applied(emulated)
    assert len(emulated.vms) == 2


def test_a_port_that_another_vm_of_the_wallet_has_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("other", ports={"ssh": 25900, "vnc": 25901}))
    applied(emulated)
    remove_from_state(emulated, "VirtualMachine/other")
    write(emulated, vm(ports={"ssh": 25900, "vnc": 25902}))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["port-conflict"])
    assert "unmanaged VM" in result.err


def test_auto_goes_on_from_a_port_that_is_held_out_of_sight(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("other", **AUTO))
    applied(emulated)  # the API does not show the rdp port of a Linux VM
    remove_from_state(emulated, "VirtualMachine/other")
    write(emulated, vm(**AUTO))
    refused = emulated.run("apply", "--yes")
    assert refused.code == 1
    assert "port conflict" in refused.err
    applied(emulated)
    assert len(emulated.vms) == 2


def login(**changed: Any) -> str:
    return vm(login={"username": "dbc", "password": {"env": "PW"}}, **changed)


def switched_off(world: Callable[..., Emulated], *documents: str) -> Emulated:
    """An applied project with a VM that was powered off outside, and a lost state."""
    emulated = world(*documents)
    emulated.project.environ["PW"] = "canarylogin"
    applied(emulated)
    [task_id] = emulated.vms
    emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
    lose_state(emulated)
    return emulated


def test_a_vm_that_is_off_is_adopted_with_its_disks_and_its_password(world: Callable[..., Emulated]) -> None:
    snapshot = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_1"})
    emulated = switched_off(world, login(), disk(), snapshot)
    [before] = emulated.vms.values()
    applied(emulated)
    assert_nothing_is_pending(emulated)
    [after] = emulated.vms.values()
    assert (after["domain"], after["disks"]) == ("running", before["disks"])
    assert emulated.run("state", "list", "--json").json == ["Disk/scratch", "Snapshot/first", "VirtualMachine/trainer"]


@pytest.mark.parametrize("power", ["off", "unmanaged"])
def test_a_vm_that_is_to_stay_off_is_adopted_without_a_boot(world: Callable[..., Emulated], power: str) -> None:
    emulated = switched_off(world, login(), disk())
    write(emulated, login(power=power), disk())
    applied(emulated)
    assert_nothing_is_pending(emulated)
    [found] = emulated.vms.values()
    assert (found["domain"], len(found["disks"])) == ("off", 3)


def test_an_adoption_that_could_not_start_its_vm_is_finished_by_the_next_apply(world: Callable[..., Emulated]) -> None:
    emulated = switched_off(world, login(), disk(), disk("large", size="60Gi"))
    emulated.loop.run_until_complete(
        act(emulated, fault("tasks.start", "refuse", text="allocate gpu failed", times=99))
    )
    assert emulated.run("apply", "--yes").code != 0
    emulated.loop.run_until_complete(act(emulated, ("/faults/clear", {})))
    applied(emulated)
    assert_nothing_is_pending(emulated)
    [found] = emulated.vms.values()
    assert (found["domain"], len(found["disks"])) == ("running", 4)


@pytest.mark.parametrize("number", range(1, 12))
def test_an_adoption_that_was_killed_is_finished_by_the_next_apply(world: Callable[..., Emulated], number: int) -> None:
    emulated = switched_off(world, login(), disk(), disk("large", size="60Gi"))
    Interposed(emulated, Point("record", number, "after")).run("apply", "--yes")
    emulated.settle(60)
    applied(emulated)
    assert_nothing_is_pending(emulated)
    [found] = emulated.vms.values()
    assert (found["domain"], len(found["disks"])) == ("running", 4)


@pytest.mark.parametrize("how", ["apply", "file", "rebuild"])
def test_an_older_state_finds_a_vm_that_was_replaced_since_with_its_disks(
    world: Callable[..., Emulated], how: str
) -> None:
    emulated = world(vm(**AUTO), disk())
    applied(emulated)
    folder = emulated.project.directory
    state, older, file = folder / "state", folder / "older", str(folder / "the.plan")
    shutil.copytree(state, older)
    applied(emulated, "--allow-data-loss", "--replace", "VirtualMachine/trainer")
    bound = json.loads((state / "main.json").read_text())["bindings"]
    shutil.rmtree(state)
    older.rename(state)
    before = emulated.vms
    drift = emulated.run("drift")
    assert (drift.code, "warning[state-outdated]" in drift.err) == (0, True), drift.err
    planned = emulated.run("plan", "-o", file, "--json")
    assert (planned.code, [d["code"] for d in planned.json["diagnostics"]]) == (0, ["state-outdated"])
    assert {c["action"] for c in planned.json["changes"]} == {"adopt"}
    command = {"apply": ["apply", "--yes"], "file": ["apply", file], "rebuild": ["state", "rebuild", "--yes"]}
    result = emulated.run(*command[how])
    assert result.code == 0, result.out + result.err
    assert emulated.vms == before
    found = json.loads((state / "main.json").read_text())["bindings"]
    assert {a: (b["id"], b["generation"]) for a, b in found.items()} == {
        a: (b["id"], b["generation"]) for a, b in bound.items()
    }
    assert_nothing_is_pending(emulated)


def test_a_destroy_with_an_older_state_says_what_it_leaves(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), disk())
    applied(emulated)
    state, older = emulated.project.directory / "state", emulated.project.directory / "older"
    shutil.copytree(state, older)
    applied(emulated, "--allow-data-loss", "--replace", "VirtualMachine/trainer")
    shutil.rmtree(state)
    older.rename(state)
    planned = emulated.run("plan", "--destroy")
    assert "warning[state-outdated]" in planned.err
    assert "state rebuild` first: this destroy leaves the new objects" in planned.err
    assert emulated.run("state", "rebuild", "--yes").code == 0
    assert emulated.run("destroy", "--yes").code == 0
    assert emulated.left == 0
