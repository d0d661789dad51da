"""The life of images, exports and snapshots, through the command line against the emulated network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from tests.cli.runs import write
from tests.projects import NODE_ID, Emulated, document, vm

OTHER = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"
SECOND = document("Node", "gpu-b", {"id": OTHER, "identity": "tenant", "rentOrder": "113", "portRange": "20000-20010"})
ORDERS = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": OTHER}}
IMAGE_SERVERS = [
    {"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "torch.qcow2", "size": 9_000_000_000}]},
    {"id": "ID_2", "images": [{"name": "old.qcow2"}]},
]
IMAGE = {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1"}
SNAPSHOT = {"vm": "trainer", "imageServer": "ID_2"}


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(
        world,
        gpuNodes=[{"id": NODE_ID, "name": "a"}, {"id": OTHER, "name": "b"}],
        orders=ORDERS,
        imageServers=IMAGE_SERVERS,
    )


def converges(emulated: Emulated, *options: str) -> str:
    result = emulated.run("apply", "--yes", *options)
    assert result.code == 0, result.out + result.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    return result.out + result.err


def files(emulated: Emulated, node: str = NODE_ID) -> dict[str, int]:
    found: dict[str, int] = emulated.network.nodes[node].truth()["files"]
    return found


def image_server(emulated: Emulated, name: str) -> set[str]:
    found = emulated.network.image_servers.get(name)
    assert found is not None
    return set(found.files)


def test_an_image_is_fetched_with_its_progress_and_stays_when_its_document_goes(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Image", "torch", IMAGE))
    said = converges(emulated)
    assert re.search(r"downloading torch.qcow2 from image server ID_1… \(\d+ s, \d+%\)", said)
    assert files(emulated)["/data/torch.qcow2"] == 9_000_000_000
    write(emulated)
    plan = emulated.run("plan", "--json").json
    assert [(c["action"], c["reasons"][-1]) for c in plan["changes"]] == [
        ("forget", "the file stays on the node (retain: true)")
    ]
    assert emulated.run("apply", "--yes", "--allow-empty").code == 0
    assert "/data/torch.qcow2" in files(emulated)


def test_an_image_that_is_not_retained_goes_with_its_document(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Image", "torch", IMAGE))
    converges(emulated)
    write(emulated, document("Image", "torch", {**IMAGE, "retain": False}))
    converges(emulated)
    write(emulated)
    assert emulated.run("apply", "--yes", "--allow-empty").code == 0
    assert "/data/torch.qcow2" not in files(emulated)


def test_a_vm_waits_for_its_image_and_goes_before_it(world: Callable[..., Emulated]) -> None:
    image = document("Image", "torch", {**IMAGE, "retain": False})
    emulated = world(image, vm(image="torch"))
    converges(emulated)
    truth = emulated.network.nodes[NODE_ID].truth()["vms"]
    assert {m["image_name"] for m in truth.values()} == {"torch.qcow2"}
    assert emulated.run("destroy", "--yes").code == 0
    assert emulated.left == 0
    assert "/data/torch.qcow2" not in files(emulated)


def test_a_vanished_image_is_fetched_again(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Image", "torch", IMAGE))
    converges(emulated)
    emulated.admin.remove_file("/data/torch.qcow2")
    converges(emulated)
    assert "/data/torch.qcow2" in files(emulated)


def test_refresh_fetches_again_and_is_refused_while_a_vm_uses_the_file(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Image", "torch", IMAGE))
    converges(emulated)
    emulated.network.image_servers.image_servers["ID_1"].files["torch.qcow2"].size = 8_000_000_000
    write(emulated, document("Image", "torch", {**IMAGE, "refresh": "2"}))
    converges(emulated)
    assert files(emulated)["/data/torch.qcow2"] == 8_000_000_000
    write(emulated, document("Image", "torch", {**IMAGE, "refresh": "3"}), vm(image="torch"))
    converges(emulated)  # what is new comes after it
    write(emulated, document("Image", "torch", {**IMAGE, "refresh": "4"}), vm(image="torch"))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["image-in-use"])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"file": "mydata.qcow2"}, "invalid-image"),
        ({"file": "torch.img"}, "invalid-image"),
        ({"file": "vm_1.qcow2"}, "invalid-image"),
        ({"snapshot": "s"}, "unknown-reference"),
        ({"file": None}, "missing-field"),
        ({"imageServer": "ID_9"}, "unknown-image-server"),
    ],
)
def test_an_invalid_image_is_reported_before_any_call(
    world: Callable[..., Emulated], changed: dict[str, Any], code: str
) -> None:
    spec = {k: v for k, v in {**IMAGE, **changed}.items() if v is not None}
    emulated = world(document("Image", "torch", spec))
    result = emulated.run("plan", "--json")
    assert code in result.codes


def test_a_file_that_leaves_the_image_server_before_it_is_fetched_is_a_failure(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = world(document("Image", "torch", IMAGE))
    file = str(tmp_path / "made.plan")
    assert emulated.run("plan", "-o", file).code == 0
    emulated.network.image_servers.image_servers["ID_1"].files.pop("torch.qcow2")
    result = emulated.run("apply", file)
    assert result.code == 1
    assert "torch.qcow2 is not in image server ID_1" in result.err


def test_an_empty_image_server_is_unknown_not_absent(world: Callable[..., Emulated]) -> None:
    export = document("ImageExport", "copy", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"})
    emulated = world(export)
    converges(emulated)
    emulated.network.image_servers.image_servers["ID_2"].reachable = False
    result = emulated.run("plan", "--detailed-exitcode")
    assert result.code == 1
    assert "? ImageExport/copy  not read" in result.out


def test_an_export_outlives_the_nodes_end_and_is_never_deleted(world: Callable[..., Emulated]) -> None:
    export = document("ImageExport", "copy", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"})
    emulated = world(export, vm())
    said = converges(emulated)
    assert "may restart the process of" in said
    assert "ubuntu.qcow2" in image_server(emulated, "ID_2")
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"
    write(emulated, vm())
    plan = emulated.run("plan", "--json").json
    assert [c["reasons"][-1] for c in plan["changes"] if c["action"] == "forget"] == [
        "the file stays in the image server: nothing can delete it there"
    ]


def test_a_clone_is_sent_on_to_another_image_server(world: Callable[..., Emulated]) -> None:
    """The node lists it only with the image server that it came from."""
    emulated = world(vm())
    converges(emulated)
    clone = {"node": "gpu-b", "snapshot": "base", "imageServer": "ID_2"}
    root = {"node": "gpu-b", "file": "ubuntu.qcow2", "imageServer": "ID_1"}
    sent = {"node": "gpu-b", "file": "clone", "imageServer": "ID_1"}
    kinds = (("Image", "root", root), ("Image", "clone", clone), ("ImageExport", "sent", sent))
    write(emulated, SECOND, vm(), document("Snapshot", "base", SNAPSHOT), *(document(*one) for one in kinds))
    converges(emulated)
    assert image_server(emulated, "ID_2") - {"old.qcow2"} <= image_server(emulated, "ID_1")


def test_a_snapshot_is_fetched_from_where_it_is_sent(world: Callable[..., Emulated]) -> None:
    clone = {"node": "gpu-b", "snapshot": "base", "imageServer": "ID_1"}
    emulated = world(SECOND, vm(), document("Snapshot", "base", SNAPSHOT), document("Image", "clone", clone))
    result = emulated.run("validate", "--json")
    assert (result.code, result.codes) == (3, ["other-image-server"])


def test_the_whole_life_of_a_snapshot(world: Callable[..., Emulated]) -> None:
    """Snapshot in the VM's window, upload, clone on another node, archive, and a new snapshot by its trigger."""
    emulated = world(vm())
    converges(emulated)
    clone = {"node": "gpu-b", "snapshot": "base", "imageServer": "ID_2"}
    everything = [
        SECOND,
        document("Snapshot", "base", SNAPSHOT),
        document("Image", "clone", clone),
        vm("second", node="gpu-b", image="clone"),
    ]
    changed = vm(gpus=2)
    write(emulated, changed, *everything)
    plan = emulated.run("plan", "--json").json
    assert [s["address"] for s in plan["steps"] if s["kind"] == "window"] == ["VirtualMachine/trainer"]
    converges(emulated)
    [taken] = image_server(emulated, "ID_2") - {"old.qcow2"}
    assert f"/data/{taken}" in files(emulated, OTHER)
    [cloned] = emulated.network.nodes[OTHER].truth()["vms"].values()
    assert cloned["image_name"] == taken
    # The VM is replaced: its snapshot's record goes, the file stays, nothing else changes.
    write(emulated, vm(gpus=2, image="win10.qcow2", os="windows", ports={"rdp": "auto", "vnc": "auto"}), *everything)
    converges(emulated)
    assert image_server(emulated, "ID_2") == {"old.qcow2", taken}
    # A new trigger: a new snapshot of the new VM, a new clone, and a replacement of the VM made from it.
    everything[1] = document("Snapshot", "base", {**SNAPSHOT, "trigger": "2"})
    write(emulated, vm(gpus=2, image="win10.qcow2", os="windows", ports={"rdp": "auto", "vnc": "auto"}), *everything)
    converges(emulated)
    [again] = image_server(emulated, "ID_2") - {"old.qcow2", taken}
    [cloned] = emulated.network.nodes[OTHER].truth()["vms"].values()
    assert cloned["image_name"] == again
    assert emulated.run("destroy", "--yes").code == 0
    assert emulated.left == 0
    assert image_server(emulated, "ID_2") == {"old.qcow2", taken, again}


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
@pytest.mark.parametrize("op", ["snapshot.create", "images.download"])
def test_faults_neither_double_nor_lose(world: Callable[..., Emulated], op: str, kind: str) -> None:
    emulated = world(vm())
    converges(emulated)
    emulated.network.faults.add(FaultSpec.model_validate({"op": op, "kind": kind, "seconds": 45.0}))
    write(emulated, vm(), document("Snapshot", "base", SNAPSHOT), document("Image", "torch", IMAGE))
    if emulated.run("apply", "--yes").code != 0:
        emulated.settle()
    converges(emulated)
    [taken] = emulated.network.nodes[NODE_ID].truth()["snapshots"].values()
    assert len(taken) == 1
    assert "/data/torch.qcow2" in files(emulated)
    [machine] = emulated.vms.values()
    assert machine["domain"] == "running"


def test_a_vm_whose_snapshot_is_uploading_is_deleted_only_after_it(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    converges(emulated)
    emulated.network.image_servers.image_servers["ID_2"].bytes_per_second = 1000.0
    write(emulated, vm(), document("Snapshot", "base", SNAPSHOT))
    first = emulated.run("apply", "--yes", "--wait-timeout", "60")
    assert first.code == 7, first.out + first.err
    result = emulated.run("destroy", "--yes")
    assert result.code == 0, result.out + result.err
    assert "snapshot base is uploading" in result.err
    assert emulated.left == 0
    assert emulated.network.nodes[NODE_ID].node.alive


def test_a_snapshot_of_that_name_that_is_not_ours_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(power="off"))
    converges(emulated)
    write(emulated, vm(power="off"), document("Snapshot", "base", SNAPSHOT))
    converges(emulated)
    [task_id] = emulated.vms
    [taken] = emulated.network.nodes[NODE_ID].node.machine.snapshots.snapshots[task_id]
    taken.name, taken.description = "other", "somebody's"
    write(emulated, vm(power="off"), document("Snapshot", "other", SNAPSHOT))
    result = emulated.run("plan", "--json")
    assert "foreign-owner" in result.codes


def test_two_snapshots_of_one_name_are_refused(world: Callable[..., Emulated]) -> None:
    one = document("Snapshot", "one", {**SNAPSHOT, "name": "same"})
    two = document("Snapshot", "two", {**SNAPSHOT, "name": "same"})
    result = world(vm(), one, two).run("validate", "--json")
    assert (result.code, result.codes) == (3, ["duplicate-identity"])


def test_a_snapshot_that_was_taken_again_is_found_when_state_is_lost(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), document("Snapshot", "golden", {**SNAPSHOT, "trigger": "one"}))
    converges(emulated)
    write(emulated, vm(), document("Snapshot", "golden", {**SNAPSHOT, "trigger": "two"}))
    converges(emulated)
    shutil.rmtree(emulated.project.directory / "state")
    plan = emulated.run("plan", "--json").json
    assert [(c["address"], c["action"]) for c in plan["changes"]] == [
        ("Snapshot/golden", "adopt"),
        ("VirtualMachine/trainer", "adopt"),
    ]
    assert [s for s in plan["steps"] if s["kind"] == "window"] == []
    converges(emulated)
    assert len(image_server(emulated, "ID_2")) == 3


def test_an_export_waits_for_all_else_on_its_machine_since_the_node_ends_with_it(
    world: Callable[..., Emulated],
) -> None:
    export = document("ImageExport", "copy", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"})
    emulated = world(export, vm("one"), vm("two"))
    steps = [s["key"] for s in emulated.run("plan", "--json").json["steps"]]
    assert steps[-1] == "ImageExport/copy"
    started = emulated.loop.time()
    converges(emulated)
    assert emulated.loop.time() - started < 900


LOST = [
    (),
    ("Image/clone",),
    ("Image/clone", "Snapshot/base"),
    ("VirtualMachine/second", "Image/clone", "Snapshot/base"),
]


@pytest.mark.parametrize("image", [{}, {"retain": False, "refresh": "one"}], ids=["kept", "fetched again"])
@pytest.mark.parametrize("lost", LOST, ids=["all", "image", "snapshot", "clone"])
@pytest.mark.parametrize("node", ["gpu-a", "gpu-b"])
def test_a_rebuild_finds_the_image_of_a_snapshot(
    world: Callable[..., Emulated], image: dict[str, Any], lost: tuple[str, ...], node: str
) -> None:
    root = document("Image", "root", {"node": "gpu-b", "file": "ubuntu.qcow2", "imageServer": "ID_1"})
    clone = document("Image", "clone", {"snapshot": "base", "imageServer": "ID_2", "node": node, **image})
    second = vm("second", node=node, gpus=0, image="clone")
    emulated = world(SECOND, vm(), document("Snapshot", "base", SNAPSHOT), root, clone, second)
    converges(emulated)
    known = emulated.run("state", "list", "--json").json
    if lost:
        assert emulated.run("state", "rm", "--yes", *lost).code == 0
    else:
        shutil.rmtree(emulated.project.directory / "state")
    rebuilt = emulated.run("state", "rebuild", "--yes")
    assert rebuilt.code == 0, rebuilt.out + rebuilt.err
    assert emulated.run("state", "list", "--json").json == known
    assert emulated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("lost", [("Snapshot/base",), *LOST[1:]], ids=",".join)
def test_what_is_adopted_is_known_to_what_is_made_from_it(
    world: Callable[..., Emulated], lost: tuple[str, ...], retain: bool
) -> None:
    root = document("Image", "root", {"node": "gpu-b", "file": "ubuntu.qcow2", "imageServer": "ID_1"})
    clone = document("Image", "clone", {"snapshot": "base", "imageServer": "ID_2", "node": "gpu-b", "retain": retain})
    second = vm("second", node="gpu-b", gpus=0, image="clone")
    emulated = world(SECOND, vm(), document("Snapshot", "base", SNAPSHOT), root, clone, second)
    converges(emulated)
    assert emulated.run("state", "rm", "--yes", "Snapshot/base", "--json").codes == ["has-dependents"]
    there = files(emulated, OTHER)
    state = emulated.project.directory / "state/main.json"
    kept = json.loads(state.read_text())
    bindings = {a: b for a, b in kept["bindings"].items() if a not in lost}
    state.write_text(json.dumps({**kept, "bindings": bindings}))
    assert emulated.run("drift").code == 0
    plan = emulated.run("plan", "--json").json
    assert {c["address"]: c["action"] for c in plan["changes"] if c["action"] != "no-op"} == dict.fromkeys(
        lost, "adopt"
    )
    converges(emulated)
    assert files(emulated, OTHER) == there
    assert json.loads(state.read_text())["bindings"].keys() == kept["bindings"].keys()
