"""Files that something is made from: not deleted or overwritten under it, and there before it. Through the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.projects import NODE_ID, Emulated, Result, document, project, vm

OTHER = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"
SECOND = document("Node", "gpu-b", {"id": OTHER, "identity": "tenant", "rentOrder": "113", "portRange": "20000-20010"})
ORDERS = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": OTHER}}
IMAGE_SERVERS = [
    {"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "base2.qcow2"}]},
    {"id": "ID_2", "images": []},
]
BASE = {"node": "gpu-b", "file": "base2.qcow2", "imageServer": "ID_1", "retain": False}
SNAPSHOT = document("Snapshot", "snap", {"vm": "direct", "imageServer": "ID_1"})
CLONE = document("Image", "clone", {"node": "gpu-b", "snapshot": "snap", "imageServer": "ID_1"})
DIRECT = vm("direct", node="gpu-b", image="base2.qcow2")
TWIN = vm("twin", node="gpu-b", image="clone")


def base(**changed: Any) -> str:
    return document("Image", "base2", {**BASE, **changed})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str) -> Emulated:
        nodes = [{"id": NODE_ID, "name": "a"}, {"id": OTHER, "name": "b", "gpus": 8}]
        worlds: dict[str, Any] = {"gpuNodes": nodes, "orders": ORDERS, "imageServers": IMAGE_SERVERS}
        made.append(Emulated(project(tmp_path, SECOND, *documents), worlds))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


def write(emulated: Emulated, *documents: str) -> None:
    project(emulated.project.directory, SECOND, *documents, environ=emulated.project.environ)


def converges(emulated: Emulated, *options: str) -> None:
    result = emulated.run("apply", "--yes", *options)
    assert result.code == 0, result.out + result.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err


def has_base(emulated: Emulated) -> bool:
    return "/data/base2.qcow2" in emulated.network.nodes[OTHER].truth()["files"]


def refused(result: Result, *users: str) -> dict[str, Any]:
    """The one refusal, which names all of the users and points into a document."""
    assert (result.code, result.codes) == (5, ["image-in-use"])
    import json

    [told] = json.loads(result.err)["diagnostics"]
    assert all(user in told["detail"] and user in told["remedy"] for user in users)
    assert told["source"]["line"]
    found: dict[str, Any] = told
    return found


def test_an_image_is_not_deleted_under_a_vm_that_stays(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT)
    converges(emulated)
    write(emulated, DIRECT)
    refused(emulated.run("plan", "--json"), "VirtualMachine/direct")
    refused(emulated.run("apply", "--yes", "--json"), "VirtualMachine/direct")
    write(emulated, base(), DIRECT)
    refused(emulated.run("destroy", "--target", "Image/base2", "--yes", "--json"), "VirtualMachine/direct")
    refused(emulated.run("destroy", "--exclude", "VirtualMachine/direct", "--yes", "--json"), "VirtualMachine/direct")
    refused(emulated.run("plan", "--replace", "Image/base2", "--json"), "VirtualMachine/direct")
    assert has_base(emulated)
    assert emulated.run("destroy", "--yes").code == 0
    assert not has_base(emulated)


def test_an_image_is_not_deleted_under_what_was_made_from_a_snapshot(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT, SNAPSHOT, CLONE, TWIN)
    converges(emulated)
    write(emulated, DIRECT, SNAPSHOT, CLONE, TWIN)
    refused(emulated.run("plan", "--json"), "VirtualMachine/direct", "VirtualMachine/twin", "Image/clone")
    # The VM of the snapshot is replaced from another image: existing clones are still of the old one.
    moved = vm("direct", node="gpu-b", image="ubuntu.qcow2")
    write(emulated, base(), moved, SNAPSHOT, CLONE, TWIN)
    converges(emulated)
    write(emulated, moved, SNAPSHOT, CLONE, TWIN)
    refused(emulated.run("plan", "--json"), "VirtualMachine/twin", "Image/clone")
    # Nor does it help that the documents of snapshot and clone are gone.
    [file] = {m["image_name"] for m in emulated.network.nodes[OTHER].truth()["vms"].values()} - {"ubuntu.qcow2"}
    write(emulated, base(), moved, vm("twin", node="gpu-b", image=file))
    assert emulated.run("apply", "--yes", "--max-removals", "100").code == 0
    write(emulated, moved, vm("twin", node="gpu-b", image=file))
    refused(emulated.run("plan", "--json"), "VirtualMachine/twin")
    write(emulated, base(refresh="2"), moved, vm("twin", node="gpu-b", image=file))
    refused(emulated.run("plan", "--json"), "VirtualMachine/twin")


def test_an_image_goes_after_all_that_is_made_from_it(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT, SNAPSHOT, CLONE, TWIN)
    converges(emulated)
    write(emulated, vm("direct", node="gpu-b", image="ubuntu.qcow2"))
    plan = emulated.run("plan", "--max-removals", "100", "--json").json
    [step] = [s for s in plan["steps"] if s["key"] == "Image/base2#old"]
    assert {"VirtualMachine/direct", "VirtualMachine/twin#old"} <= set(step["after"])
    converges(emulated, "--max-removals", "100")
    assert not has_base(emulated)


def test_a_clone_is_replaced_with_the_vm_made_from_it(world: Callable[..., Emulated]) -> None:
    clone = {"node": "gpu-b", "snapshot": "snap", "imageServer": "ID_1", "retain": False}
    image = document("Image", "clone", clone)
    emulated = world(base(), DIRECT, SNAPSHOT, image, TWIN)
    converges(emulated)
    again = document("Snapshot", "snap", {"vm": "direct", "imageServer": "ID_1", "trigger": "2"})
    write(emulated, base(), DIRECT, again, image, TWIN)
    converges(emulated, "--max-removals", "100")
    snapshots = [f for f in emulated.network.nodes[OTHER].truth()["files"] if f.startswith("/data/snap_")]
    assert len(snapshots) == 1


def test_a_new_vm_cannot_use_an_image_that_goes(world: Callable[..., Emulated]) -> None:
    emulated = world(base())
    converges(emulated)
    write(emulated, DIRECT)
    refused(emulated.run("plan", "--json"), "VirtualMachine/direct")


def test_what_was_to_go_first_is_looked_for_right_before_the_file_is_deleted(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    from dbc_iac.kinds.images.image import ImageAbsent

    emulated = world(base(), DIRECT)
    converges(emulated)
    [task_id] = emulated.network.nodes[OTHER].truth()["vms"]
    seen: list[str] = []

    def look(goal: ImageAbsent) -> None:
        seen.append(dict(goal.users)["VirtualMachine/direct"])

    before = ImageAbsent.look

    async def watched(goal: ImageAbsent, reader: Any) -> Any:
        look(goal)
        return await before(goal, reader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageAbsent, "look", watched)
        assert emulated.run("destroy", "--yes").code == 0
    assert set(seen) == {task_id}


def test_an_image_that_is_fetched_again_is_not_in_use_by_what_goes(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT)
    converges(emulated)
    write(emulated, base(refresh="2"))
    plan = emulated.run("plan", "--json").json
    [step] = [s for s in plan["steps"] if s["key"] == "Image/base2"]
    assert step["after"] == ["VirtualMachine/direct#old"]
    converges(emulated)


def test_an_image_is_there_before_the_vm_that_names_its_file(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT)
    plan = emulated.run("plan", "--json")
    assert plan.err == ""
    [step] = [s for s in plan.json["steps"] if s["key"] == "VirtualMachine/direct"]
    assert "Image/base2" in step["after"]
    result = emulated.run("apply", "--yes", "--target", "VirtualMachine/direct")
    assert result.code == 0, result.out + result.err
    assert has_base(emulated)


def test_what_a_snapshot_was_made_from_is_there_before_its_clone(world: Callable[..., Emulated]) -> None:
    source = document("Image", "source", {**BASE, "node": "gpu-a"})
    direct = vm("direct", image="base2.qcow2")
    emulated = world(source, direct, SNAPSHOT, CLONE, TWIN)
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["node-would-refuse"])
    assert "base2.qcow2" in result.err
    write(emulated, source, direct, SNAPSHOT, CLONE, TWIN, base())
    steps = {s["key"]: s["after"] for s in emulated.run("plan", "--json").json["steps"]}
    assert "Image/base2" in steps["Image/clone"]
    assert "Image/base2" in steps["VirtualMachine/twin"]
    converges(emulated)
    assert emulated.run("destroy", "--yes").code == 0


def test_a_file_is_sent_before_it_is_fetched_and_fetched_before_it_is_sent(world: Callable[..., Emulated]) -> None:
    export = document("ImageExport", "out", {"node": "gpu-b", "file": "base2.qcow2", "imageServer": "ID_2"})
    further = document("Image", "further", {"node": "gpu-a", "file": "base2.qcow2", "imageServer": "ID_2"})
    emulated = world(further, export, base())
    converges(emulated)
    assert "/data/base2.qcow2" in emulated.network.nodes[NODE_ID].truth()["files"]


def test_cyclic_file_dependencies_follow_the_written_order(world: Callable[..., Emulated]) -> None:
    export = document("ImageExport", "back", {"node": "gpu-b", "file": "base2.qcow2", "imageServer": "ID_1"})
    converges(world(export, base()))


def test_another_file_of_that_name_is_not_overwritten_under_a_vm(world: Callable[..., Emulated]) -> None:
    emulated = world(base(), DIRECT)
    converges(emulated)
    write(emulated, base(retain=True), DIRECT)
    converges(emulated)
    assert emulated.run("state", "rm", "Image/base2", "--yes").code == 0
    image_server = emulated.network.image_servers.get("ID_1")
    assert image_server is not None
    image_server.files["base2.qcow2"].size += 5 * 1024**3
    refused(emulated.run("plan", "--json"), "VirtualMachine/direct")
    write(emulated, base(retain=True))
    result = emulated.run("plan", "--json")
    assert "will be overwritten" in result.out


def test_an_image_that_moves_to_another_node_leaves_first_things_first(world: Callable[..., Emulated]) -> None:
    image = document("Image", "torch", {**BASE, "node": "gpu-a"})
    emulated = world(image, vm("one", image="torch"))
    converges(emulated)
    write(emulated, document("Image", "torch", BASE), vm("one", node="gpu-b", image="torch"))
    steps = {s["key"]: s for s in emulated.run("plan", "--json").json["steps"]}
    assert "VirtualMachine/one#old" not in steps  # parked: the old VM is deleted when the new one runs
    assert "VirtualMachine/one" in steps["Image/torch#old"]["after"]
    converges(emulated)
    assert "/data/base2.qcow2" not in emulated.network.nodes[NODE_ID].truth()["files"]
    assert has_base(emulated)


def test_a_saved_plan_with_the_image_of_a_snapshot_that_is_not_taken_yet_is_applied(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    file, clone = str(tmp_path / "the.plan"), (base(), DIRECT, SNAPSHOT, CLONE, TWIN)
    emulated = world(base(), DIRECT)
    converges(emulated)
    write(emulated, *clone)
    for options, how in (([], ["--yes", "--expect"]), (["--replace", "Snapshot/snap"], [])):
        assert emulated.run("plan", *options, "-o", file).code == 0
        for command in (["show"], ["graph"], ["apply", *how]):
            result = emulated.run(*command, file)
            assert result.code == 0, result.err
        vms = emulated.network.nodes[OTHER].truth()["vms"].values()
        assert len({v["image_name"] for v in vms}) == 2
    assert emulated.run("plan", "--detailed-exitcode").code == 0
