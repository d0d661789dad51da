"""A state lost after renames: objects are found under every name, or asked for; never created
a second time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import applied, assert_empty
from tests.projects import NODE_ID, Emulated, Result, document, project, vm
from tests.proof import lab

OTHER_NODE = "6f" * 32
PORTS = {"ssh": 20100, "vnc": 20101}


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = lab.lab(tmp_path)
    yield made
    made.close()


def write(emulated: Emulated, *documents: str, moved: tuple[tuple[str, str], ...] = ()) -> None:
    """Documents and renames from now on."""
    file = emulated.project.directory / "dbc-iac.yaml"
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("  moved:")]
    project(emulated.project.directory, *documents)
    entries = [{"from": before, "to": now} for before, now in moved]
    file.write_text("\n".join([*kept, f"  moved: {json.dumps(entries)}", ""]), encoding="utf-8")


def lose_state(emulated: Emulated) -> None:
    shutil.rmtree(emulated.project.directory / "state")


def truth(emulated: Emulated) -> dict[str, Any]:
    """Objects with ids and files."""
    [*vms] = emulated.vms.items()
    return {"vms": vms, "ours": lab.ours(emulated)}


def actions(result: Result) -> dict[str, str]:
    assert result.code == 0, result.err
    return {c["address"]: c["action"] for c in result.json["changes"] if c["action"] != "no-op"}


def snapshot(document_name: str, **spec: Any) -> str:
    return document("Snapshot", document_name, {"vm": "trainer", "imageServer": "ID_2", **spec})


def of_node(kind: str, name: str, **spec: Any) -> str:
    return document(kind, name, {"node": "gpu-a", **spec})


KINDS: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "VirtualMachine": ("VirtualMachine", lambda name: [vm(name)]),
    "Disk": ("Disk", lambda name: [vm(), document("Disk", name, {"vm": "trainer", "size": "50Gi"})]),
    "Disk of a renamed VM": ("VirtualMachine", lambda name: [vm(name), document("Disk", "d", {"vm": name, "size": "50Gi"})]),
    "Snapshot": ("Snapshot", lambda name: [vm(), snapshot(name, name="first")]),
    "Snapshot named after its document": ("Snapshot", lambda name: [vm(), snapshot(name)]),
    "Network": (
        "Network",
        lambda name: [
            document("Network", name, {"via": "gpu-a", "cidr": "192.168.66.0/24", "name": "training"}),
            vm(network=name),
        ],
    ),
    "Network named after its document": (
        "Network",
        lambda name: [document("Network", name, {"via": "gpu-a", "cidr": "192.168.66.0/24"}), vm(network=name)],
    ),
    "Image": (
        "Image",
        lambda name: [of_node("Image", name, file="torch.qcow2", imageServer="ID_1"), vm(image=name)],
    ),
    "Image of a Snapshot": (
        "Image",
        lambda name: [
            vm(), snapshot("first"), of_node("Image", name, snapshot="first", imageServer="ID_2"), vm("clone", image=name),
            of_node("ImageExport", "copy", file=name, imageServer="ID_1"),
        ],
    ),
    "ImageExport": (
        "ImageExport",
        lambda name: [of_node("ImageExport", name, file="win10.qcow2", imageServer="ID_2")],
    ),
    "BareMetalServer": (
        "BareMetalServer",
        lambda name: [lab.MANAGER, lab.server("198.51.100.9").replace('"name": "new"', f'"name": "{name}"')],
    ),
    "BareMetalInstance": (
        "BareMetalInstance",
        lambda name: [document("BareMetalInstance", name, {"nodeId": lab.SERVER_ID, "identity": "tenant", "power": "on"})],
    ),
}  # fmt: skip
ALLOWED = ("--allow-data-loss", "--max-removals", "100")


@pytest.mark.parametrize("how", ["apply", "rebuild"])
@pytest.mark.parametrize(("kind", "documents"), KINDS.values(), ids=KINDS)
def test_renamed_objects_are_found_again(
    emulated: Emulated, kind: str, documents: Callable[[str], list[str]], how: str
) -> None:
    write(emulated, *documents("oldname"))
    applied(emulated)
    write(emulated, *documents("newname"), moved=((f"{kind}/oldname", f"{kind}/newname"),))
    applied(emulated)
    known, before = emulated.run("state", "list", "--json").json, truth(emulated)
    lose_state(emulated)
    if how == "apply":
        assert set(actions(emulated.run("plan", "--json")).values()) == {"adopt"}
        applied(emulated)
    else:
        rebuilt = emulated.run("state", "rebuild", "--yes")
        assert rebuilt.code == 0, rebuilt.out + rebuilt.err
    assert_empty(emulated)
    assert emulated.run("state", "list", "--json").json == known
    assert truth(emulated) == before


def renamed(emulated: Emulated, *names: str) -> list[tuple[str, str]]:
    """A VM that has had each of these names, and the renames."""
    moved: list[tuple[str, str]] = []
    for index, name in enumerate(names):
        if index:
            moved.append((f"VirtualMachine/{names[index - 1]}", f"VirtualMachine/{name}"))
        write(emulated, vm(name, ports=PORTS), moved=tuple(moved))
        applied(emulated)
    return moved


def test_a_chain_of_renames_is_followed_though_a_later_vm_has_a_later_name(emulated: Emulated) -> None:
    moved = renamed(emulated, "one", "two", "three")
    applied(emulated, "--replace", "VirtualMachine/three", *ALLOWED)
    before = truth(emulated)
    write(emulated, vm("four", ports=PORTS), moved=(*moved, ("VirtualMachine/three", "VirtualMachine/four")))
    lose_state(emulated)  # before the last rename was applied
    assert actions(emulated.run("plan", "--json")) == {"VirtualMachine/four": "adopt"}
    applied(emulated)
    assert_empty(emulated)
    assert list(emulated.vms) == [i for i, _ in before["vms"]]


def test_a_rename_that_was_taken_back_is_followed_backwards(emulated: Emulated) -> None:
    moved = renamed(emulated, "one", "two")
    applied(emulated, "--replace", "VirtualMachine/two", *ALLOWED)
    write(emulated, vm("one", ports=PORTS), moved=tuple(moved))
    lose_state(emulated)
    assert actions(emulated.run("plan", "--json")) == {"VirtualMachine/one": "adopt"}


def test_two_documents_that_may_be_one_vm_are_asked_for(emulated: Emulated) -> None:
    """The name of a renamed document is another one's by now."""
    moved = tuple(renamed(emulated, "one", "two"))
    [first] = set(emulated.vms) - {lab.FOREIGN}
    write(emulated, vm("two", ports=PORTS), vm("one"), moved=moved)
    lose_state(emulated)
    before = truth(emulated)
    for command in (["plan"], ["apply", "--yes"]):
        asked = emulated.run(*command, "--json")
        assert (asked.code, asked.codes) == (5, ["may-exist", "may-exist"])
    assert f"dbc-iac state rebuild --map VirtualMachine/two={first}" in asked.err
    rebuild = emulated.run("state", "rebuild", "--yes")
    assert (rebuild.code, rebuild.out.count(f"--map VirtualMachine/two={first}")) == (2, 1)
    assert truth(emulated) == before
    answered = emulated.run(
        "state", "rebuild", "--yes", f"--map=VirtualMachine/two={first}", "--new=VirtualMachine/one"
    )
    assert answered.code == 0, answered.out + answered.err
    applied(emulated)
    assert_empty(emulated)
    [(_, second)] = [(i, v) for i, v in emulated.vms.items() if i not in {first, lab.FOREIGN}]
    assert second["domain"] == "running"


def test_names_that_moved_on_are_not_proposed_again(emulated: Emulated) -> None:
    """One became two, and two became three: each is asked for, and each answer is the VM that it has."""
    write(emulated, vm("one", ports=PORTS), vm("two"))
    applied(emulated)
    before = {a: emulated.run("state", "show", f"VirtualMachine/{a}", "--json").json["id"] for a in ("one", "two")}
    moved = (("VirtualMachine/one", "VirtualMachine/two"), ("VirtualMachine/two", "VirtualMachine/three"))
    write(emulated, vm("two", ports=PORTS), vm("three"), moved=moved)
    applied(emulated)
    lose_state(emulated)
    asked = emulated.run("plan", "--json")
    assert asked.codes == ["may-exist", "may-exist"]
    answers = [f"--map VirtualMachine/two={before['one']}", f"--map VirtualMachine/three={before['two']}"]
    assert all(answer in asked.err for answer in answers)
    options = [part for answer in answers for part in answer.split(" ")]
    assert emulated.run("state", "rebuild", "--yes", *options).code == 0
    assert_empty(emulated)


def test_documents_that_have_vms_of_their_own_names_are_not_confused(emulated: Emulated) -> None:
    moved = tuple(renamed(emulated, "one", "two"))
    applied(emulated, "--replace", "VirtualMachine/two", *ALLOWED)
    write(emulated, vm("two", ports=PORTS), vm("one"), moved=moved)
    applied(emulated)
    known = {a: emulated.run("state", "show", f"VirtualMachine/{a}", "--json").json["id"] for a in ("one", "two")}
    lose_state(emulated)
    applied(emulated)
    assert_empty(emulated)
    assert known == {a: emulated.run("state", "show", f"VirtualMachine/{a}", "--json").json["id"] for a in known}


def test_a_vm_renamed_by_hand_is_asked_for_and_can_be_named(emulated: Emulated) -> None:
    """`state mv` leaves no trace in the project file."""
    write(emulated, vm("one", ports=PORTS))
    applied(emulated)
    assert emulated.run("state", "mv", "VirtualMachine/one", "VirtualMachine/two").code == 0
    write(emulated, vm("two", ports=PORTS), document("Disk", "d", {"vm": "two", "size": "10Gi"}))
    applied(emulated)
    [task_id] = set(emulated.vms) - {lab.FOREIGN}
    before = truth(emulated)
    lose_state(emulated)
    asked = emulated.run("apply", "--yes", "--json")
    assert (asked.code, asked.codes) == (5, ["may-exist"])
    assert f"has {task_id}, created as VirtualMachine/one (generation 1)" in asked.err
    rebuilt = emulated.run("state", "rebuild", "--yes", f"--map=VirtualMachine/two={task_id}")
    assert rebuilt.code == 0, rebuilt.out + rebuilt.err
    assert_empty(emulated)
    assert truth(emulated) == before


def test_a_new_document_beside_a_vm_of_a_lost_state_is_created_when_the_user_says_so(emulated: Emulated) -> None:
    write(emulated, vm("one", ports=PORTS))
    applied(emulated)
    lose_state(emulated)
    write(emulated, vm("two"))
    assert emulated.run("plan", "--json").codes == ["may-exist"]
    assert emulated.run("state", "rebuild", "--yes", "--new=VirtualMachine/two").code == 0
    applied(emulated)
    assert_empty(emulated)
    assert len(emulated.vms) == 3


@pytest.mark.parametrize("how", ["state rm", "removed"])
def test_a_vm_removed_from_the_state_blocks_no_other(emulated: Emulated, how: str) -> None:
    write(emulated, vm("one", ports=PORTS))
    applied(emulated)
    if how == "state rm":
        assert emulated.run("state", "rm", "--yes", "VirtualMachine/one").code == 0
    else:
        file = emulated.project.directory / "dbc-iac.yaml"
        file.write_text(file.read_text() + "  removed: [VirtualMachine/one]\n")
        lose_state(emulated)
    write(emulated, vm("two"))
    assert actions(emulated.run("plan", "--json")) == {"VirtualMachine/two": "create"}


def test_a_vm_on_another_machine_than_its_document_names_is_asked_for(tmp_path: Path) -> None:
    other = document("Node", "gpu-b", {"id": OTHER_NODE, "identity": "tenant", "rentOrder": "113"})
    world = {
        "gpuNodes": [{"id": NODE_ID}, {"id": OTHER_NODE}],
        "orders": {i: {"renter": "tenant", "machine": m} for i, m in (("112", NODE_ID), ("113", OTHER_NODE))},
    }
    emulated = Emulated(project(tmp_path, other, vm(ports=PORTS)), world)
    applied(emulated)
    lose_state(emulated)
    project(tmp_path, other, vm(ports=PORTS, node="gpu-b"))
    asked = emulated.run("apply", "--yes", "--json")
    assert (asked.code, asked.codes) == (5, ["may-exist"])
    assert "Set `node: gpu-a`" in asked.err
    project(tmp_path, other, vm(ports=PORTS))
    applied(emulated)
    assert_empty(emulated)
    assert len(emulated.vms) == 1
    emulated.close()


def test_a_vm_made_under_another_uid_of_the_project_is_asked_for(emulated: Emulated) -> None:
    write(emulated, vm(ports=PORTS))
    applied(emulated)
    lose_state(emulated)
    file = emulated.project.directory / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("00112233", "99887766"))
    asked = emulated.run("plan", "--json")
    assert (asked.code, asked.codes) == (5, ["may-exist"])


def test_a_snapshot_under_another_name_is_asked_for(emulated: Emulated) -> None:
    write(emulated, vm(ports=PORTS), snapshot("first"))
    applied(emulated)
    lose_state(emulated)
    write(emulated, vm(ports=PORTS), snapshot("second"))
    before = truth(emulated)
    for _ in range(2):  # that its VM was adopted meanwhile says nothing of it
        asked = emulated.run("plan", "--json")
        assert (asked.code, [c for c in asked.codes if c != "state-empty"]) == (5, ["may-exist"])
        assert "has first (created as first)" in asked.err
        applied(emulated, "--target", "VirtualMachine/trainer")
    assert truth(emulated) == before
    write(emulated, vm(ports=PORTS), snapshot("second", name="first"))
    applied(emulated)
    assert_empty(emulated)
    assert truth(emulated) == before


def test_an_image_is_not_overwritten_under_an_adopted_vm(emulated: Emulated) -> None:
    """The image server has another file of that name by now."""
    image = of_node("Image", "torch", file="torch.qcow2", imageServer="ID_1")
    write(emulated, image, vm(ports=PORTS, image="torch"))
    applied(emulated)
    lose_state(emulated)
    emulated.network.image_servers.image_servers["ID_1"].files["torch.qcow2"].size *= 2
    refused = emulated.run("apply", "--yes", "--json", "--allow-data-loss")
    assert (refused.code, [c for c in refused.codes if c != "state-empty"]) == (5, ["image-in-use"]), refused.err
