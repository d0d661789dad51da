"""Plans across jobs: made in one, reviewed, signed, applied in another; and what must stop them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from dbc_iac.state.backends.local import LocalBackend
from tests.cli.runs import write
from tests.cli.test_signals import SignalAt
from tests.projects import NODE_ID, PROJECT, Emulated, document, vm
from tests.proof.ends import Interposed, Point

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, directory="one")


def planned(emulated: Emulated, *options: str) -> str:
    file = str(emulated.project.directory.parent / "the.plan")
    result = emulated.run("plan", "-o", file, *options)
    assert result.code == 0, result.err
    return file


def another_job(emulated: Emulated) -> None:
    """The same commit and state, checked out in another directory."""
    other = emulated.project.directory.parent / "two"
    shutil.copytree(emulated.project.directory, other)
    emulated.project.directory = other


def test_the_reviewed_plan_is_applied_by_another_job(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    file = planned(emulated)
    another_job(emulated)
    result = emulated.run("apply", "--yes", "--expect", file)
    assert result.code == 0, result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_plan_file_is_applied_after_an_apply_that_could_not_empty_its_journal(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are in the state: it was not interrupted."""
    emulated = world(vm())
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "clear", Mock(side_effect=OSError(28, "No space left on device")))
        assert emulated.run("apply", "--yes").code == 0
    write(emulated, vm(memory="16Gi"))
    result = emulated.run("apply", planned(emulated))
    assert result.code == 0, result.err


def test_a_reviewed_removal_from_the_state_accepts_an_existing_object(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    write(emulated)
    kept = emulated.project.directory / "dbc-iac.yaml"
    kept.write_text(PROJECT + "  removed: [VirtualMachine/trainer]\n", encoding="utf-8")
    file = planned(emulated, "--allow-empty")
    result = emulated.run("apply", file)
    assert result.code == 0, result.err
    assert (len(emulated.vms), emulated.run("state", "list", "--json").json) == (1, [])


def test_a_reviewed_plan_adopts_existing_objects(world: Callable[..., Emulated]) -> None:
    """An image is looked for where its document fetches it from, though no state knows it."""
    image = document("Image", "torch", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_1"})
    emulated = world(image, imageServers=[{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]}])
    file = planned(emulated)
    result = emulated.run("apply", file)
    assert result.code == 0, result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


IMAGE = {"node": "gpu-a", "file": "base.qcow2", "imageServer": "ID_1"}
CLONE = (
    document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_1"}),
    document("Image", "clone", {"node": "gpu-a", "snapshot": "first", "imageServer": "ID_1"}),
    vm("twin", gpus=0, image="clone"),
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((vm(),), (vm(), *CLONE)),
        ((vm(),), (vm(biosMode="pxe", dataDisk=None, ports={"ssh": "auto", "vnc": "auto"}),)),
        ((document("Image", "base", IMAGE),), (document("Image", "base", {**IMAGE, "retain": False}),)),
    ],
    ids=["values known after apply", "a replacement without a disk", "a change without a call"],
)
def test_a_reviewed_plan_is_applied_from_its_file(
    world: Callable[..., Emulated], before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    emulated = world(*before, imageServers=[{"id": "ID_1", "images": [{"name": "base.qcow2"}]}])
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, *after)
    result = emulated.run("apply", planned(emulated))
    assert result.code == 0, result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_what_is_volatile_may_differ(world: Callable[..., Emulated]) -> None:
    """The serial has changed, but the changes are the same."""
    emulated = world(vm())
    file = planned(emulated)
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, vm(memory="16Gi"))
    file = planned(emulated)
    assert emulated.run("apply", "--yes", "--target", "Node/gpu-a").code in {0, 3}
    assert emulated.run("apply", "--yes", "--expect", file).code == 0


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ([vm(memory="32Gi")], "VirtualMachine/trainer: fields: memory: after: reviewed 16Gi, now 32Gi"),
        ([vm(memory="16Gi"), DISK], "Disk/scratch: reviewed nothing, now create"),
        ([vm(memory="16Gi", os="windows")], "VirtualMachine/trainer: action: reviewed update, now replace"),
        ([vm()], "VirtualMachine/trainer: reviewed update, now nothing"),
    ],
    ids=["field", "resource", "action", "nothing left"],
)
def test_another_plan_than_the_reviewed_one_is_refused_with_the_first_difference(
    world: Callable[..., Emulated], now: list[str], said: str
) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, vm(memory="16Gi"))
    file = planned(emulated)
    write(emulated, *now)
    before = emulated.vms
    result = emulated.run("apply", "--yes", "--json", "--expect", file)
    assert result.code in {3, 5}
    if result.code == 5:
        assert result.codes == ["not-as-reviewed"]
        assert said in result.err
    assert emulated.vms == before


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
@pytest.mark.parametrize("moment", ["creating…", "window opened", "adding 50 GiB", "starting…"])
def test_an_apply_of_a_plan_that_was_ended_is_continued_by_the_same_command(
    world: Callable[..., Emulated], how: tuple[str, ...], moment: str
) -> None:
    emulated = world(vm(), DISK)
    file = planned(emulated)
    left = emulated.run("apply", "--yes", *how, file, err=SignalAt(moment, 2, at_once=2))
    assert left.code == 8
    emulated.settle(60)
    again = emulated.run("apply", "--yes", *how, file)
    assert again.code == 0, again.err
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 50]
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_replacement_that_was_done_is_not_done_again(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), vm("other"))
    assert emulated.run("apply", "--yes").code == 0
    file = planned(emulated, "--replace", "VirtualMachine/trainer", "--replace", "VirtualMachine/other")
    left = emulated.run("apply", file, err=SignalAt("deleting the old VM", 2, at_once=2))
    assert left.code == 8
    emulated.settle(600)
    assert emulated.run("apply", file).code == 0
    assert len(emulated.vms) == 2
    state = emulated.run("show", "--json").json
    assert {b["generation"] for b in state["bindings"].values()} == {2}


def test_a_plan_does_not_go_on_where_another_apply_was_ended(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    file = planned(emulated)
    write(emulated, vm(), DISK, vm("other"))
    assert emulated.run("apply", "--yes", err=SignalAt("adding 50 GiB", 2, at_once=2)).code == 8
    write(emulated, vm(), DISK)
    emulated.settle(60)
    refused = emulated.run("apply", "--json", file)
    assert (refused.code, refused.codes) == (5, ["plan-stale"])
    assert "the state changed: an apply was interrupted after the plan was made" in refused.err


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
@pytest.mark.parametrize("moment", ["creating…", "window opened", "adding 50 GiB", "starting…"])
def test_a_plan_made_after_an_interruption_is_applied(
    world: Callable[..., Emulated], how: tuple[str, ...], moment: str
) -> None:
    emulated = world(vm(), DISK)
    first = planned(emulated)
    assert emulated.run("apply", first, err=SignalAt(moment, 2, at_once=2)).code == 8
    emulated.settle(60)
    write(emulated, vm(), DISK, vm("other"))
    second = planned(emulated)
    result = emulated.run("apply", "--yes", *how, second)
    assert result.code == 0, result.err
    assert sorted(sorted(one["disks"].values()) for one in emulated.vms.values()) == [[20, 20], [20, 20, 50]]
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def hooked(word: str, **more: Any) -> str:
    """A VM whose hook leaves a file of this name in the project."""
    return vm(lifecycle={"beforeOffline": {"command": ["touch", word]}}, **more)


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
def test_no_hook_is_run_that_was_not_reviewed(world: Callable[..., Emulated], how: tuple[str, ...]) -> None:
    emulated = world(hooked("reviewed"))
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, hooked("reviewed", memory="16Gi"))
    file = planned(emulated)
    assert "touch reviewed" in emulated.run("show", file).out
    write(emulated, hooked("evil", memory="16Gi"))
    applied = emulated.run("apply", "--yes", "--json", *how, file)
    directory = emulated.project.directory
    assert not (directory / "evil").exists()
    if how:
        assert (applied.code, applied.codes) == (5, ["not-as-reviewed"])
        assert "beforeOffline of VirtualMachine/trainer" in applied.err
        assert "evil. Nothing was changed" in applied.err
    else:
        assert (applied.code, (directory / "reviewed").exists()) == (0, True)


def test_a_secret_of_another_name_is_not_the_reviewed_one(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(login={"username": "dbc", "password": {"env": "PASSWORD"}}))
    emulated.project.environ["PASSWORD"] = "long-enough-1"
    file = planned(emulated)
    for ref in ({"env": "SEED"}, {"exec": ["cat", "secret"]}):
        write(emulated, vm(login={"username": "dbc", "password": ref}))
        refused = emulated.run("apply", "--yes", "--json", "--expect", file)
        assert (refused.code, refused.codes, emulated.vms) == (5, ["not-as-reviewed"], {})
        assert "password" in refused.err


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("127.0.0.1:5050", "127.0.0.1:5051"), ("env: SEED", "env: OTHER"), ("}}\n  identities", ", headers: {x: {env: SEED}}}}\n  identities")],
    ids=["client", "identity", "header"],
)  # fmt: skip
def test_what_was_reviewed_is_sent_to_nobody_else_and_as_nobody_else(
    world: Callable[..., Emulated], how: tuple[str, ...], before: str, after: str
) -> None:
    emulated = world(vm())
    emulated.project.environ["OTHER"] = emulated.project.environ["SEED"]
    file = planned(emulated)
    assert before in PROJECT
    emulated.project.write({"dbc-iac.yaml": PROJECT.replace(before, after, 1)})
    refused = emulated.run("apply", "--yes", "--json", *how, file)
    assert (refused.code, emulated.vms) == (5, {})
    assert "clients" in refused.err or "identities" in refused.err


@pytest.mark.parametrize("how", [(), ("--expect",)], ids=["FILE", "--expect FILE"])
def test_a_vm_that_only_its_disk_s_window_powered_off_is_started_again(
    world: Callable[..., Emulated], how: tuple[str, ...]
) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, vm(), DISK)
    file = planned(emulated)
    left = Interposed(emulated, Point("call", 2, "after")).run("apply", "--yes", *how, file)
    assert left is None
    [machine] = emulated.vms.values()
    assert machine["domain"] == "off"
    again = emulated.run("apply", "--yes", *how, file)
    assert again.code == 0, again.err
    [machine] = emulated.vms.values()
    assert (machine["domain"], sorted(machine["disks"].values())) == ("running", [20, 20, 50])


def test_what_is_left_of_a_plan_is_done_with_what_was_reviewed_only(world: Callable[..., Emulated]) -> None:
    """A power that was meant to stay off, another size, another secret: none of it came with the reviewed plan."""
    secret = {"username": "dbc", "password": {"env": "PASSWORD"}}
    emulated = world(vm(login=secret), vm("quiet", power="off"), DISK)
    emulated.project.environ["PASSWORD"] = "long-enough-1"
    file = planned(emulated)
    assert Interposed(emulated, Point("call", 1, "before")).run("apply", file) is None
    other = {"username": "dbc", "password": {"env": "SEED"}}
    for machine, said in ((vm(login=other), "password"), (vm(login=secret, memory="16Gi"), "memory")):
        write(emulated, machine, vm("quiet", power="off"), DISK)
        refused = emulated.run("apply", "--json", file)
        assert (refused.code, refused.codes, emulated.vms) == (5, ["not-as-reviewed"], {})
        assert said in refused.err
    write(emulated, vm(login=secret), vm("quiet", power="off"), DISK)
    assert emulated.run("apply", file).code == 0


def test_a_plan_of_another_stack_says_so(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    file = planned(emulated)
    refused = emulated.run("--stack", "other", "apply", "--json", file)
    assert (refused.code, refused.codes) == (5, ["plan-stale"])
    assert "the plan is for stack main, not other" in refused.err


def test_only_plans_signed_by_a_trusted_key_are_applied(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm())
    keys = {name: str(tmp_path / name) for name in ("ours", "theirs")}
    public = {name: emulated.run("signing-key", "new", "--json", file).json["publicKey"] for name, file in keys.items()}
    assert emulated.run("signing-key", "show", keys["ours"]).out.strip() == public["ours"]
    trusting = PROJECT + f"  trustedPlanKeys: [{public['ours']}]\n"
    emulated.project.write({"dbc-iac.yaml": trusting})
    refusals = {
        (): "plan-unsigned",
        ("--signing-key", keys["theirs"]): "plan-untrusted",
    }
    for options, code in refusals.items():
        file = planned(emulated, *options)
        for command in (["apply", file], ["apply", "--yes", "--expect", file]):
            refused = emulated.run(*command, "--json")
            assert (refused.code, refused.codes) == (5, [code])
    file = planned(emulated, "--signing-key", keys["ours"])
    whole = Path(file).read_bytes()
    for altered in (whole.replace(b'"cpus": 4', b'"cpus": 8'), whole.replace(b'"signature": "', b'"signature": "00')):
        Path(file).write_bytes(altered)
        assert emulated.run("apply", file, "--json").codes == ["plan-altered"]
    Path(file).write_bytes(whole)
    assert emulated.run("show", file).code == 0
    assert emulated.run("apply", file).code == 0


def test_a_signing_key_of_the_environment_is_used_and_never_shown(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = world(vm())
    made = emulated.run("signing-key", "new", str(tmp_path / "key"))
    secret = (tmp_path / "key").read_text().strip()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert emulated.run("signing-key", "new", "--json", str(tmp_path / "key")).codes == ["unwritable-file"]
    emulated.project.environ["DBC_IAC_SIGNING_KEY"] = secret
    file = planned(emulated)
    assert made.out.strip() in Path(file).read_text()
    applied = emulated.run("apply", file)
    assert applied.code == 0
    everything = made.out + applied.out + applied.err + Path(file).read_text()
    everything += "".join(p.read_text() for p in (emulated.project.directory / "state").rglob("*") if p.is_file())
    assert secret not in everything
    emulated.project.environ["DBC_IAC_SIGNING_KEY"] = "canary-not-a-key"
    wrong = emulated.run("plan", "--json", "-o", file)
    assert (wrong.code, wrong.codes) == (3, ["signing-key"])
    assert "canary" not in wrong.err


def test_a_plan_that_a_wrong_key_stopped_is_applied_with_the_right_one(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"}))
    file = str(emulated.project.directory / "p.json")
    assert emulated.run("plan", "-o", file).code == 0
    right = emulated.project.environ["SEED"]
    emulated.project.environ["SEED"] = "11" * 32
    assert emulated.run("apply", file).code == 4
    assert not emulated.vms
    emulated.project.environ["SEED"] = right
    result = emulated.run("apply", file)
    assert result.code == 0, result.err
    assert [sorted(m["disks"].values()) for m in emulated.vms.values()] == [[20, 20, 50]]
    assert emulated.run("apply", file, "--json").codes == ["plan-stale"]  # it is finished now


IMAGE_SERVERS = [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]}]
SNAPSHOT = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_1"})


def test_a_plan_file_moves_a_vm_that_has_a_snapshot(world: Callable[..., Emulated]) -> None:
    other = "e" * 64
    orders = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": other}}
    nodes = [{"id": NODE_ID}, {"id": other}]
    emulated = world(vm(), SNAPSHOT, gpuNodes=nodes, orders=orders, imageServers=IMAGE_SERVERS)
    assert emulated.run("apply", "--yes").code == 0
    node = {"id": other, "identity": "tenant", "rentOrder": "113", "portRange": "20000-29999"}
    write(emulated, document("Node", "gpu-b", node), vm(node="gpu-b"), SNAPSHOT)
    result = emulated.run("apply", "--yes", "--allow-data-loss", planned(emulated))
    assert result.code == 0, result.err


def test_a_plan_file_deletes_a_vm_whose_disk_has_another_size_than_was_applied(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("state", "rm", "--yes", "VirtualMachine/trainer").code == 0
    write(emulated, vm(dataDisk={"size": "30Gi"}))
    assert emulated.run("apply", planned(emulated)).code == 0
    result = emulated.run("apply", "--allow-data-loss", planned(emulated, "--destroy"))
    assert result.code == 0, result.err
    assert "its data disk (20Gi)" in emulated.run("show", str(emulated.project.directory.parent / "the.plan")).out
    assert emulated.vms == {}


def test_a_plan_file_replaces_a_vm_whose_snapshot_the_state_lost(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT, imageServers=IMAGE_SERVERS)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("state", "rm", "--yes", "Snapshot/first").code == 0
    file = planned(emulated, "--replace", "VirtualMachine/trainer")
    result = emulated.run("apply", "--yes", "--allow-data-loss", file)
    assert result.code == 0, result.err
