"""Operations commands on disks, snapshots and LANs, through the command line against the emulated network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbc_iac.emulator import FaultSpec
from tests.cli.runs import applied
from tests.projects import NODE_ID, Emulated, document, project, vm

IMAGE_SERVERS = [
    {"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}]},
    {"id": "ID_2", "images": [{"name": "old.qcow2"}]},
]
SCRATCH = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
SNAPSHOT = document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_2"})
LAN = document("Network", "lab", {"name": "trainnet", "via": "gpu-a", "cidr": "192.168.66.0/24"})


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    def build(*documents: str) -> Emulated:
        made: Emulated = world(*documents, imageServers=IMAGE_SERVERS, gpuNodes=[{"id": NODE_ID}])
        applied(made)
        return made

    return build


def sizes(emulated: Emulated) -> list[int]:
    [machine] = emulated.vms.values()
    found: list[int] = sorted(machine["disks"].values())
    return found


OFF = vm(power="off")


def test_disks_are_listed_with_the_document_of_each(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SCRATCH)
    rows = emulated.run("disk", "list", "trainer", "--json").json
    assert [(r["device"], r["sizeGib"], r["resource"]) for r in rows] == [
        ("vda", None, ""),  # nodes report 350 for every one
        ("vdb", 20, "VirtualMachine/trainer"),
        ("vdc", 50, "Disk/scratch"),
    ]
    assert "Disk/scratch" in emulated.run("disk", "list", "trainer").out


@pytest.mark.parametrize(
    ("disk", "size", "document", "reads"),
    [
        ("vdb", "+10Gi", "VirtualMachine/trainer", 30),
        ("vdc", "80Gi", "Disk/scratch", 80),
        ("scratch", "80Gi", "Disk/scratch", 80),
        ("Disk/scratch", "+1Ti", "Disk/scratch", 1074),
    ],
)
def test_a_disk_grows_and_its_manifest_is_named(
    world: Callable[..., Emulated], disk: str, size: str, document: str, reads: int
) -> None:
    emulated = world(OFF, SCRATCH)
    result = emulated.run("disk", "grow", "trainer", disk, size, "--yes", "--wait", "--json")
    assert (result.code, result.json["status"], result.codes) == (0, f"{reads} GiB", ["drift"])
    assert document in result.err
    assert reads in sizes(emulated)
    plan = emulated.run("plan", "--json")
    assert plan.code == 5, "a disk that is larger than its manifest says is refused"


def test_the_system_disk_grows_by_an_amount(world: Callable[..., Emulated]) -> None:
    emulated = world(OFF)
    before = sizes(emulated)
    result = emulated.run("disk", "grow", "trainer", "vda", "+10Gi", "--yes", "--wait", "--json")
    assert (result.code, result.err) == (0, "")
    [old], [new] = set(before) - set(sizes(emulated)) or [20], [s for s in sizes(emulated) if s not in before]
    assert new - old == 10
    assert result.json["status"] == f"{new}Gi"


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
@pytest.mark.parametrize("disk", ["vda", "vdb"])
def test_growing_is_never_repeated_by_itself(world: Callable[..., Emulated], disk: str, kind: str) -> None:
    emulated = world(OFF)
    before = sum(sizes(emulated))
    emulated.network.faults.add(FaultSpec.model_validate({"op": "disk.resize", "kind": kind, "seconds": 45}))
    result = emulated.run("disk", "grow", "trainer", disk, "+10Gi", "--yes", "--json")
    assert (result.code, result.codes[-1]) == (7, "outcome-unknown")
    emulated.settle()
    assert sum(sizes(emulated)) - before == (0 if kind == "time-out" else 10)


@pytest.mark.parametrize("kind", ["lost-reply", "late"])
def test_who_waits_sees_whether_it_grew(world: Callable[..., Emulated], kind: str) -> None:
    emulated = world(OFF)
    emulated.network.faults.add(FaultSpec.model_validate({"op": "disk.resize", "kind": kind, "seconds": 45}))
    result = emulated.run("disk", "grow", "trainer", "vdb", "+10Gi", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"]) == (0, "30 GiB")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["vdb", "10Gi", "--yes"], 3, "usage"),
        (["vdb", "20Gi", "--yes"], 3, "usage"),
        (["vdb", "+0Gi", "--yes"], 3, "usage"),
        (["vdb", "500", "--yes"], 3, "usage"),
        (["vda", "500Gi", "--yes"], 3, "usage"),
        (["vda", "+0Gi", "--yes"], 3, "usage"),
        (["vda", "+999999999999999Gi", "--yes"], 3, "usage"),
        (["vdb", "+nanGi", "--yes"], 3, "usage"),
        (["vdb", "+9999999Ti", "--yes"], 3, "usage"),
        (["vdx", "+1Gi", "--yes"], 1, "not-found"),
        (["none", "+1Gi", "--yes"], 3, "unknown-name"),
        (["vdb", "+1Gi"], 3, "needs-yes"),
    ],
)
def test_what_is_no_growth_is_not_sent(
    world: Callable[..., Emulated], arguments: list[str], exit_code: int, problem: str
) -> None:
    emulated = world(OFF)
    before = sizes(emulated)
    result = emulated.run("disk", "grow", "trainer", *arguments, "--json")
    assert (result.code, result.codes[-1]) == (exit_code, problem)
    emulated.settle()
    assert sizes(emulated) == before


def test_a_disk_of_a_running_vm_is_refused_before_anything_is_sent(world: Callable[..., Emulated]) -> None:
    result = world(vm()).run("disk", "grow", "trainer", "vdb", "+1Gi", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["vm-not-off"])


def test_snapshots_are_listed_and_shown_with_the_image_servers_that_have_them(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT)
    [row] = emulated.run("snapshot", "list", "trainer", "--json").json
    assert [*row] == ["name", "description", "file", "createTime", "status"]
    assert (row["name"], row["status"]) == ("base", "none")
    assert "base" in emulated.run("snapshot", "list", "trainer").out
    for name in ("base", "Snapshot/base"):
        shown = emulated.run("snapshot", "show", "trainer", name, "--json").json
        assert (shown["file"], shown["imageServers"]) == (row["file"], ["ID_2"])
    result = emulated.run("snapshot", "show", "trainer", "none", "--json")
    assert (result.code, result.codes) == (1, ["not-found"])


def test_an_unreadable_image_server_fails_the_view_of_a_snapshot(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT)
    emulated.network.image_servers.image_servers["ID_2"].reachable = False
    result = emulated.run("snapshot", "show", "trainer", "base")
    assert result.code == 1
    assert "image servers  unknown" in result.out


def test_an_upload_is_waited_for_with_its_progress_and_proved(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    emulated.network.image_servers.image_servers["ID_2"].bytes_per_second = 1000.0
    project(emulated.project.directory, vm(), SNAPSHOT, environ=emulated.project.environ)
    assert emulated.run("apply", "--yes", "--wait-timeout", "30").code == 7
    short = emulated.run("snapshot", "show", "trainer", "base", "--wait", "--timeout", "1", "--json")
    assert (short.code, short.codes) == (7, ["still-waiting"])
    result = emulated.run("snapshot", "show", "trainer", "base", "--wait")
    assert result.code == 0, result.err
    assert "upload of base: " in result.err
    assert "ID_2" in result.out


def test_an_upload_that_ended_and_delivered_nothing_is_a_failure(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT)
    stored = emulated.network.image_servers.image_servers["ID_2"].files
    for name in stored.keys() - {"old.qcow2"}:
        del stored[name]
    result = emulated.run("snapshot", "show", "trainer", "base", "--wait", "--json")
    assert (result.code, result.codes) == (1, ["failed"])


def test_lans_are_listed_and_shown_by_document_or_name(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN)
    [row] = emulated.run("network", "list", "--json").json
    assert (row["networkName"], row["ipCidr"], row["resource"]) == ("trainnet", "192.168.66.0/24", "Network/lab")
    assert "trainnet" in emulated.run("network", "list").out
    for name in ("lab", "Network/lab", "trainnet"):
        shown = emulated.run("network", "show", name, "--json").json
        assert (shown["networkName"], shown["resource"]) == ("trainnet", "Network/lab")
    result = emulated.run("network", "show", "nonesuch", "--json")
    assert (result.code, result.codes) == (1, ["not-found"])


def test_a_full_list_gives_a_warning_and_has_the_lans_of_the_manifests(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Network", "last", {"name": "zznet1", "via": "gpu-a", "cidr": "192.168.66.0/24"}))
    for number in range(10, 45):
        foreign = {"network_name": f"foreign{number}", "ip_cidr": "10.0.0.0/24"}
        (emulated.project.directory / "body.json").write_text(
            f'{{"additional": {str(foreign).replace(chr(39), chr(34))}}}'
        )
        made = emulated.run("api", "/lan/create", "-f", str(emulated.project.directory / "body.json"), "--yes")
        assert made.code == 0, made.out
    result = emulated.run("network", "list", "--json")
    assert result.codes == ["list-truncated"]
    assert result.json[-1]["resource"] == "Network/last"


def test_listing_needs_no_key(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN)
    emulated.project.environ.pop("SEED")
    assert emulated.run("network", "list").code == 0


def test_an_unreadable_node_is_not_reported_as_without_lans(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), LAN)
    emulated.network.faults.add(FaultSpec.model_validate({"op": "*", "kind": "time-out"}))
    result = emulated.run("network", "list")
    assert result.code == 1
    assert "There is no LAN." not in result.out and "on the nodes that could be read" in result.out


def test_an_unknown_size_of_a_system_disk_is_not_shown(world: Callable[..., Emulated]) -> None:
    emulated = world(OFF)
    assert "350" not in emulated.run("disk", "list", "trainer").out + emulated.run("vm", "show", "trainer").out
    assert emulated.run("vm", "show", "trainer", "--json").json["disks"][0]["sizeGib"] is None
    assert emulated.run("disk", "grow", "trainer", "vda", "+20Gi", "--yes", "--wait").code == 0
    [row] = [r for r in emulated.run("disk", "list", "trainer", "--json").json if r["device"] == "vda"]
    assert row["sizeGib"] > 20


def test_a_negative_size_is_refused_as_such(world: Callable[..., Emulated]) -> None:
    result = world(OFF).run("disk", "grow", "trainer", "vdb", "-5Gi")
    assert result.code == 3
    assert "a disk only grows" in result.err
