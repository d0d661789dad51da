"""Renames and removals from the state: `state mv`, `moved` and `removed`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.runs import applied, assert_empty, write
from tests.projects import Emulated, document, project, vm

MOVE = "{{from: VirtualMachine/{}, to: VirtualMachine/{}}}"
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


def test_a_renamed_document_keeps_its_vm_by_state_mv(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    [task_id] = emulated.vms
    assert emulated.run("state", "mv", "VirtualMachine/trainer", "VirtualMachine/renamed").code == 0
    write(emulated, vm("renamed"), document("Disk", "scratch", {"vm": "renamed", "size": "50Gi"}))
    assert_empty(emulated)
    assert list(emulated.vms) == [task_id]
    wrong = emulated.run("state", "mv", "VirtualMachine/renamed", "Disk/x", "--json")
    assert (wrong.code, wrong.codes) == (5, ["cannot-move"])


def test_an_address_that_no_document_can_have_is_not_moved_to(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    applied(emulated)
    for source, destination, said in (
        ("VirtualMachine/trainer", "VirtualMachine/BAD name", "Use Kind/name or Kind/name.key"),
        ("VirtualMachine/trainer", "VirtualMachine/-x", "Use Kind/name or Kind/name.key"),
        ("VirtualMachine/trainer", "VirtualMachin/x", "Did you mean VirtualMachine?"),
        ("VirtualMachine/trainer", "VirtualMachine/a.b.c", "is not a valid name"),
        ("VirtualMachine/trainer", "VirtualMachine/trainer", "is already in the state"),
        ("VirtualMachine/trainr", "VirtualMachine/x", "Did you mean VirtualMachine/trainer?"),
    ):
        result = emulated.run("state", "mv", source, destination, "--json")
        assert (result.code, result.codes) == (5, ["cannot-move"])
        assert said in result.err
    assert emulated.run("state", "mv", "VirtualMachine/trainer", "VirtualMachine/x.y").code == 0


def with_project(emulated: Emulated, text: str) -> None:
    file = emulated.project.directory / "dbc-iac.yaml"
    file.write_text(file.read_text() + text)


def test_a_rename_is_suspected_and_moved_keeps_the_vm(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), DISK)
    applied(emulated)
    [task_id] = emulated.vms
    renamed = (vm("renamed"), document("Disk", "scratch", {"vm": "renamed", "size": "50Gi"}))
    write(emulated, *renamed)
    result = emulated.run("plan")
    assert "add `moved: [{from: VirtualMachine/trainer, to: VirtualMachine/renamed}]`" in result.err
    with_project(emulated, "  moved: [{from: VirtualMachine/trainer, to: VirtualMachine/renamed}]\n")
    result = emulated.run("plan", "--detailed-exitcode")
    assert (result.code, result.err) == (2, "")
    assert "Moved: VirtualMachine/trainer to VirtualMachine/renamed" in result.out
    assert emulated.run("apply", "--yes").out.splitlines()[-1].endswith("0 deleted, 1 moved.")
    assert_empty(emulated)
    assert list(emulated.vms) == [task_id]
    assert emulated.run("state", "list", "--json").json == ["Disk/scratch", "VirtualMachine/renamed"]


def test_a_move_onto_something_that_is_bound_is_refused_until_that_is_removed(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("one"), vm("two"))
    applied(emulated)
    [one] = [
        i
        for i, m in emulated.vms.items()
        if emulated.run("state", "show", "VirtualMachine/one", "--json").json["id"] == i
    ]
    write(emulated, vm("two"))
    with_project(emulated, f"  moved: [{MOVE.format('one', 'two')}]\n")
    for command in ("plan", "apply"):
        result = emulated.run(command, "--json", *(["--yes"] if command == "apply" else []))
        assert (result.code, "cannot-move" in result.codes) == (5, True)
    assert len(emulated.vms) == 2
    assert emulated.run("state", "list").code == 0
    assert emulated.run("state", "rm", "VirtualMachine/two", "--yes").code == 0  # as the remedy says
    applied(emulated)
    assert emulated.run("state", "show", "VirtualMachine/two", "--json").json["id"] == one


def test_removed_keeps_the_object(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), vm("other"))
    applied(emulated)
    with_project(emulated, "  removed: [VirtualMachine/trainer]\n")
    assert emulated.run("plan", "--json").codes == ["removed-in-manifests"]
    write(emulated, vm("other"))
    with_project(emulated, "  removed: [VirtualMachine/trainer]\n")
    applied(emulated)
    assert_empty(emulated)
    assert len(emulated.vms) == 2
    assert emulated.run("state", "list", "--json").json == ["VirtualMachine/other"]


def test_children_of_a_removed_vm_are_removed_from_the_state(world: Callable[..., Emulated]) -> None:
    """No call is made, no data loss is reported, and no deletion is shown."""
    emulated = world(vm(), DISK)
    applied(emulated)
    write(emulated)
    with_project(emulated, "  removed: [VirtualMachine/trainer]\n")
    plan = emulated.run("plan", "--json").json
    assert {c["address"]: (c["action"], c["losses"]) for c in plan["changes"]} == {
        "VirtualMachine/trainer": ("forget", []),
        "Disk/scratch": ("forget", []),
    }
    assert "Data loss" not in emulated.run("plan").out
    applied(emulated, "--allow-empty")
    assert [len(m["disks"]) for m in emulated.vms.values()] == [3]
    assert_empty(emulated)


WRONG_LISTS: dict[str, tuple[str, str, int, str]] = {
    "another kind": (
        "moved: [{from: VirtualMachine/a, to: Disk/a}]",
        "cannot-move",
        11,
        "Use two addresses of one kind.",
    ),
    "itself": ("moved: [{from: VirtualMachine/a, to: VirtualMachine/a}]", "cannot-move", 11, "Remove the entry."),
    "one address, two destinations": (
        "moved: [{from: Disk/a, to: Disk/b}, {from: Disk/a, to: Disk/c}]",
        "cannot-move",
        39,
        "Remove one of the two entries.",
    ),
    "two addresses, one destination": (
        "moved: [{from: Disk/a, to: Disk/c}, {from: Disk/b, to: Disk/c}]",
        "cannot-move",
        39,
        "Remove one of the two entries.",
    ),
    "the same entry twice": (
        "moved: [{from: Disk/a, to: Disk/b}, {from: Disk/a, to: Disk/b}]",
        "cannot-move",
        39,
        "Remove one of the two entries.",
    ),
    "an exchange": (
        "moved: [{from: Disk/a, to: Disk/b}, {from: Disk/b, to: Disk/a}]",
        "cannot-move",
        39,
        "Use `dbc-iac state mv` with a third name",
    ),
    "a cycle of three": (
        "moved: [{from: Disk/b, to: Disk/c}, {from: Disk/a, to: Disk/b}, {from: Disk/c, to: Disk/a}]",
        "cannot-move",
        67,
        "Use `dbc-iac state mv` with a third name",
    ),
    "no kind": ("moved: [{from: VirtualMachin/a, to: VirtualMachin/b}]", "invalid-address", 11, "Did you mean"),
    "no name": ("moved: [{from: VirtualMachine/a, to: VirtualMachine/-}]", "invalid-address", 11, "Use Kind/name"),
    "no address": ("moved: [{from: VirtualMachine, to: VirtualMachine/b}]", "invalid-value", 18, ""),
    "removed: no kind": ("removed: [Network/lan, Disc/a]", "invalid-address", 26, "Did you mean Disk?"),
    "removed: no address": ("removed: [Network/lan, Disk]", "invalid-value", 26, ""),
}


@pytest.mark.parametrize(("text", "code", "column", "said"), WRONG_LISTS.values(), ids=WRONG_LISTS)
def test_invalid_entries_of_moved_and_removed_have_their_source_range(
    world: Callable[..., Emulated], text: str, code: str, column: int, said: str
) -> None:
    emulated = world(vm())
    with_project(emulated, f"  {text}\n")
    result = emulated.run("validate", "--json")
    first = json.loads(result.err)["diagnostics"][0]
    assert (result.code, first["code"]) == (3, code)
    assert (first["source"]["line"], first["source"]["column"]) == (14, column)
    assert said in first["remedy"]


def test_the_state_is_shown_although_moves_form_a_cycle(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("one"), vm("two"), vm("three"))
    applied(emulated)
    write(emulated, vm("one"))
    pairs = (("one", "two"), ("two", "one"), ("three", "two"))
    with_project(emulated, f"  moved: [{', '.join(MOVE.format(*pair) for pair in pairs)}]\n")
    assert emulated.run("plan").code == 3
    shown = emulated.run("state", "list", "--json")
    assert (shown.code, len(shown.json)) == (0, 3)


def test_a_cycle_of_moves_names_its_addresses_in_order(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    with_project(
        emulated, "  moved: [{from: Disk/b, to: Disk/c}, {from: Disk/a, to: Disk/b}, {from: Disk/c, to: Disk/a}]\n"
    )
    [told] = json.loads(emulated.run("plan", "--json").err)["diagnostics"]
    assert told["detail"] == "Disk/a -> Disk/b -> Disk/c -> Disk/a"


def test_a_name_is_free_for_another_resource_once_its_own_was_renamed(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("one"))
    applied(emulated)
    [before] = emulated.vms
    with_project(emulated, "  moved: [{from: VirtualMachine/one, to: VirtualMachine/two}]\n")
    kept = (emulated.project.directory / "dbc-iac.yaml").read_text()
    for documents in ([vm("two")], [vm("two"), vm("one")]):
        write(emulated, *documents)
        (emulated.project.directory / "dbc-iac.yaml").write_text(kept)
        applied(emulated)
        assert_empty(emulated)
    assert len(emulated.vms) == 2
    assert emulated.run("state", "show", "VirtualMachine/two", "--json").json["id"] == before


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_renames_is_followed_to_its_end(world: Callable[..., Emulated], *, backwards: bool) -> None:
    emulated = world(vm("one"), vm("other"))
    applied(emulated)
    before = set(emulated.vms)
    write(emulated, vm("three"), vm("another"))
    links = [f"{{from: VirtualMachine/{a}, to: VirtualMachine/{b}}}" for a, b in (("one", "two"), ("two", "three"))]
    moves = [*(reversed(links) if backwards else links), "{from: VirtualMachine/other, to: VirtualMachine/another}"]
    with_project(emulated, f"  moved: [{', '.join(moves)}]\n")
    result = emulated.run("plan", "--detailed-exitcode")
    assert (result.code, result.err) == (2, "")
    assert "Moved: VirtualMachine/one to VirtualMachine/three" in result.out
    assert "Moved: VirtualMachine/other to VirtualMachine/another" in result.out
    applied(emulated)
    assert_empty(emulated)
    assert set(emulated.vms) == before
    assert emulated.run("state", "list", "--json").json == ["VirtualMachine/another", "VirtualMachine/three"]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_name_moves_on_where_another_takes_it(world: Callable[..., Emulated], *, backwards: bool) -> None:
    emulated = world(vm("one"), vm("two"), document("Disk", "scratch", {"vm": "two", "size": "50Gi"}))
    applied(emulated)
    ids = {a: emulated.run("state", "show", f"VirtualMachine/{a}", "--json").json["id"] for a in ("one", "two")}
    write(emulated, vm("two"), vm("three"), document("Disk", "scratch", {"vm": "three", "size": "50Gi"}))
    moves = [MOVE.format("two", "three"), MOVE.format("one", "two")]
    with_project(emulated, f"  moved: [{', '.join(reversed(moves) if backwards else moves)}]\n")
    assert emulated.run("validate").code == 0
    applied(emulated)
    assert_empty(emulated)
    now = {a: emulated.run("state", "show", f"VirtualMachine/{a}", "--json").json["id"] for a in ("two", "three")}
    assert now == {"two": ids["one"], "three": ids["two"]}
    assert set(emulated.vms) == set(ids.values())


def test_a_renamed_lan_or_snapshot_without_name_keeps_its_object(tmp_path: Path) -> None:
    def documents(lan: str, snapshot: str) -> tuple[str, ...]:
        return (
            vm(network=lan),
            document("Network", lan, {"via": "gpu-a", "cidr": "192.168.66.0/24"}),
            document("Snapshot", snapshot, {"vm": "trainer", "imageServer": "ID_1"}),
        )

    world = {"imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]}]}
    emulated = Emulated(project(tmp_path, *documents("training", "first")), world)
    applied(emulated)
    before = emulated.vms
    write(emulated, *documents("research", "second"))
    moves = "{from: Network/training, to: Network/research}, {from: Snapshot/first, to: Snapshot/second}"
    with_project(emulated, f"  moved: [{moves}]\n")
    for offline in ((), ("--refresh=false",)):
        plan = emulated.run("plan", "--json", *offline).json
        assert {c["action"] for c in plan["changes"]} == {"no-op"}
    applied(emulated)
    assert_empty(emulated)
    assert emulated.vms == before
    assert emulated.run("state", "show", "Snapshot/second", "--json").json["id"] == "first"
    assert emulated.run("network", "show", "research", "--json").json["networkName"] == "training"
    # A replacement keeps the name too; the old name is not free for another LAN.
    applied(emulated, "--replace", "Snapshot/second", "--allow-data-loss")
    assert emulated.run("state", "show", "Snapshot/second", "--json").json["id"] == "first"
    write(
        emulated,
        *documents("research", "second"),
        document("Network", "training", {"via": "gpu-a", "cidr": "192.168.67.0/24"}),
    )
    with_project(emulated, f"  moved: [{moves}]\n")
    assert emulated.run("plan", "--json").codes == ["duplicate-identity"]
    emulated.close()


def test_two_vms_of_one_chain_of_renames_are_not_one_resource(world: Callable[..., Emulated]) -> None:
    emulated = world(vm("one"), vm("two"))
    applied(emulated)
    write(emulated, vm("three"))
    with_project(emulated, f"  moved: [{MOVE.format('one', 'two')}, {MOVE.format('two', 'three')}]\n")
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["cannot-move"])


def test_a_mistyped_entry_of_removed_deletes_nothing(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), vm("other"))
    applied(emulated)
    write(emulated, vm("other"))
    with_project(emulated, "  removed: [VirtualMachine/trianer]\n")
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["removed-mistyped"])
    assert "Did you mean VirtualMachine/trainer? This plan would delete it." in result.err
    assert emulated.run("plan", "--json").code == 5
    assert len(emulated.vms) == 2
    write(emulated, vm("other"))
    with_project(emulated, "  removed: [VirtualMachine/trainer]\n")
    applied(emulated)
    write(emulated)
    with_project(emulated, "  removed: [VirtualMachine/trainer, VirtualMachine/unlike-all]\n")
    applied(emulated, "--allow-empty")  # an entry that has done its work stops nothing
    assert len(emulated.vms) == 1


def fleet(name: str, disks: str, *keys: str) -> tuple[str, str]:
    """VMs of a `forEach`, each with a disk of another one."""
    disk = document("Disk", disks, {"vm": name + ".{{ each.key }}", "size": "50Gi"})
    machine, disk = (
        json.dumps({**json.loads(one), "forEach": keys}) + "\n" for one in (vm(name, gpus=0, cpus=1), disk)
    )
    return machine, disk


GROUPS = "{from: VirtualMachine/worker, to: VirtualMachine/wk}, {from: Disk/wd, to: Disk/disk}"


def test_moving_a_for_each_moves_its_instances(world: Callable[..., Emulated]) -> None:
    emulated = world(*fleet("worker", "wd", "a", "b"))
    applied(emulated)
    before = emulated.vms
    write(emulated, *fleet("wk", "disk", "a", "b"))
    with_project(emulated, f"  moved: [{GROUPS}]\n")
    result = emulated.run("plan", "--detailed-exitcode")
    assert (result.code, result.err) == (2, "")
    assert "Plan: 4 to move" in result.out
    applied(emulated)
    assert_empty(emulated)
    assert emulated.vms == before
    shutil.rmtree(emulated.project.directory / "state")  # the entries find the objects
    assert emulated.run("state", "rebuild", "--yes").code == 0
    assert_empty(emulated)


def test_an_entry_for_an_instance_wins_over_that_of_its_for_each(world: Callable[..., Emulated]) -> None:
    emulated = world(*fleet("worker", "wd", "a", "b"))
    applied(emulated)
    before = emulated.vms
    write(emulated, *fleet("wk", "disk", "z", "b"))
    keyed = "{from: VirtualMachine/worker.a, to: VirtualMachine/wk.z}, {from: Disk/wd.a, to: Disk/disk.z}"
    with_project(emulated, f"  moved: [{GROUPS}, {keyed}]\n")
    applied(emulated)
    assert_empty(emulated)
    assert emulated.vms == before


@pytest.mark.parametrize(
    ("first", "now", "remedy"),
    [
        ((vm("worker"),), fleet("wk", "disk", "a", "b")[:1], "Name an instance, such as `to: VirtualMachine/wk.a`."),
        (
            fleet("worker", "wd", "a", "b")[:1], (vm("wk"),),
            "Name an instance, such as `from: VirtualMachine/worker.a`.",
        ),
    ],
    ids=["one to a forEach", "a forEach to one"],
)  # fmt: skip
def test_moving_between_a_for_each_and_one_resource_needs_the_instance(
    world: Callable[..., Emulated], first: tuple[str, ...], now: tuple[str, ...], remedy: str
) -> None:
    emulated = world(*first)
    applied(emulated)
    write(emulated, *now)
    with_project(emulated, "  moved: [{from: VirtualMachine/worker, to: VirtualMachine/wk}]\n")
    result = emulated.run("plan", "--json")
    [problem] = [d for d in json.loads(result.err)["diagnostics"] if d["severity"] == "error"]
    assert (result.code, problem["code"], problem["remedy"]) == (5, "cannot-move", remedy)
    assert (problem["source"]["line"], problem["source"]["column"]) == (14, 11)


def test_removing_a_for_each_keeps_its_objects(world: Callable[..., Emulated]) -> None:
    emulated = world(*fleet("worker", "wd", "a", "b"))
    applied(emulated)
    with_project(emulated, "  removed: [Disk/wd]\n")
    assert set(emulated.run("validate", "--json").codes) == {"removed-in-manifests"}
    write(emulated, *fleet("worker", "wd", "a", "b")[:1])
    with_project(emulated, "  removed: [Disk/wf]\n")
    mistyped = emulated.run("plan", "--json")
    assert (mistyped.code, mistyped.codes) == (5, ["removed-mistyped"])
    assert "Did you mean Disk/wd?" in mistyped.err
    write(emulated, *fleet("worker", "wd", "a", "b")[:1])
    with_project(emulated, "  removed: [Disk/wd]\n")
    before = emulated.vms
    applied(emulated)
    assert_empty(emulated)
    assert emulated.vms == before
    assert emulated.run("state", "list", "--json").json == ["VirtualMachine/worker.a", "VirtualMachine/worker.b"]


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        (MOVE.format("old", "unheard-of"), "Correct `to`, or remove the entry."),
        (MOVE.format("old", "trainr"), "Did you mean VirtualMachine/trainer?"),
        (MOVE.format("old", "worker.z"), ""),
        (MOVE.format("old", "none"), ""),
        (f"{MOVE.format('old', 'older')}, {MOVE.format('older', 'trainer')}", ""),
    ],
    ids=["unknown", "mistyped", "a missing instance", "without instances", "moves on"],
)
def test_a_move_to_an_address_without_a_manifest_gives_a_warning(
    world: Callable[..., Emulated], entry: str, remedy: str
) -> None:
    emulated = world(vm(), fleet("worker", "wd", "a")[0], fleet("none", "nd")[0])
    with_project(emulated, f"  moved: [{entry}]\n")
    result = emulated.run("validate", "--json")
    assert result.code == 0
    told = json.loads(result.err)["diagnostics"] if result.err else []
    assert [(d["code"], d["remedy"]) for d in told] == ([("unknown-resource", remedy)] if remedy else [])
    assert [d["source"]["line"] for d in told] == [14] * len(told)
