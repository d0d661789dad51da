"""Interrupted image transfers: never counted as complete, reported with sizes, and repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from tests.cli.runs import write
from tests.projects import NODE_ID, Emulated, Result, document, project, vm

SIZE = 700_448_768
"""Of big.qcow2: 668Mi."""
IMAGE_SERVERS = [
    {"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "big.qcow2", "size": SIZE}], "bytesPerSecond": 1e7},
    {"id": "ID_2", "images": [{"name": "old.qcow2"}], "bytesPerSecond": 1e7},
]
IMAGE = {"node": "gpu-a", "file": "big.qcow2", "imageServer": "ID_1"}
BIG = document("Image", "big", IMAGE)
EXPORT = document("ImageExport", "copy", {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"})
SNAPSHOT = document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_2"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str, **node: Any) -> Emulated:
        made.append(
            Emulated(
                project(tmp_path, *documents), {"imageServers": IMAGE_SERVERS, "gpuNodes": [{"id": NODE_ID, **node}]}
            )
        )
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


def breaks(emulated: Emulated, op: str, how: str = "fault", image_server: str = "ID_1") -> None:
    """The next transfer breaks off after a quarter: by a fault, or because the image server dies and comes back."""
    server = emulated.network.image_servers.image_servers[image_server]
    if how == "fault":
        emulated.network.faults.add(FaultSpec.model_validate({"op": op, "kind": "break"}))
        return
    emulated.loop.call_later(18, setattr, server, "reachable", False)
    emulated.loop.call_later(90, setattr, server, "reachable", True)


def stored(emulated: Emulated, place: str, name: str) -> int | None:
    """Bytes of a file on the node (`node`) or in an image server."""
    if place == "node":
        found: dict[str, int] = emulated.network.nodes[NODE_ID].truth()["files"]
        return found.get(f"/data/{name}")
    file = emulated.network.image_servers.image_servers[place].files.get(name)
    return file.size if file is not None else None


def apply(emulated: Emulated, code: int = 0) -> str:
    result = emulated.run("apply", "--yes")
    assert result.code == code, result.out + result.err
    return result.out + result.err


def plan(emulated: Emulated) -> Result:
    return emulated.run("plan", "--detailed-exitcode")


def bound(emulated: Emulated) -> set[str]:
    return set(emulated.run("state", "list", "--json").json)


@pytest.mark.parametrize("how", ["fault", "image server dies"])
def test_a_download_that_broke_off_is_not_managed_and_nothing_is_made_from_it(
    world: Callable[..., Emulated], how: str
) -> None:
    emulated = world(BIG, vm(image="big"))
    breaks(emulated, "images.download", how)
    said = apply(emulated, 1)
    assert "the download was interrupted\n  Cause: 1" in said and "of 668Mi of big.qcow2" in said
    assert "Image/big" not in bound(emulated)
    assert emulated.vms == {}
    shown = plan(emulated)
    assert shown.code == 2
    assert "+ Image/big  create: creation is unfinished: 1" in shown.out
    apply(emulated)
    assert stored(emulated, "node", "big.qcow2") == SIZE
    assert plan(emulated).code == 0
    assert len(emulated.vms) == 1


@pytest.mark.parametrize("how", ["fault", "image server dies"])
@pytest.mark.parametrize("ends", [True, False])
def test_an_upload_that_broke_off_is_not_managed_and_is_sent_again(
    world: Callable[..., Emulated], how: str, ends: bool
) -> None:
    emulated = world(EXPORT, uploadsEndProcess=ends)
    breaks(emulated, "images.upload", how, "ID_2")
    said = apply(emulated, 1)
    assert (
        "the upload was interrupted\n  Cause: " if how == "fault" else "the upload ended, but its copy cannot be read"
    ) in said
    emulated.settle(100)
    assert bound(emulated) == set()
    assert "+ ImageExport/copy  create: creation is unfinished" in plan(emulated).out
    apply(emulated)
    assert stored(emulated, "ID_2", "ubuntu.qcow2") == 2_000_000_000
    assert plan(emulated).code == 0


def test_a_refresh_that_broke_off_is_completed(world: Callable[..., Emulated]) -> None:
    emulated = world(BIG, EXPORT)
    apply(emulated)
    write(emulated, document("Image", "big", {**IMAGE, "refresh": "2"}), EXPORT)
    breaks(emulated, "images.download")
    apply(emulated, 1)
    shown = plan(emulated)
    assert shown.code == 2 and "~ Image/big" in shown.out
    apply(emulated)
    assert stored(emulated, "node", "big.qcow2") == SIZE
    assert plan(emulated).code == 0


@pytest.mark.parametrize("place", ["node", "ID_2"])
def test_a_file_that_was_cut_is_completed(world: Callable[..., Emulated], place: str) -> None:
    emulated = world(BIG, EXPORT)
    apply(emulated)
    if place == "node":
        emulated.admin.put_file("/data/big.qcow2", 163_000_000)
    else:
        emulated.network.image_servers.image_servers[place].files["ubuntu.qcow2"].size = 163_000_000
    shown = plan(emulated)
    assert shown.code == 2
    assert "155.45Mi of " in shown.out
    apply(emulated)
    assert (stored(emulated, "node", "big.qcow2"), stored(emulated, "ID_2", "ubuntu.qcow2")) == (SIZE, 2_000_000_000)
    assert plan(emulated).code == 0


def test_another_version_on_the_image_server_is_a_note(world: Callable[..., Emulated]) -> None:
    emulated = world(BIG, vm(image="big"))
    apply(emulated)
    emulated.network.image_servers.image_servers["ID_1"].files["big.qcow2"].size += 1_000_000
    shown = plan(emulated)
    assert shown.code == 0, shown.out
    assert "ID_1 has another version (668.95Mi, the copy 668Mi)" in shown.out


def test_sizes_that_cannot_be_seen_prove_nothing(world: Callable[..., Emulated]) -> None:
    emulated = world(BIG)
    apply(emulated)
    emulated.admin.put_file("/data/big.qcow2", 163_000_000)
    emulated.network.image_servers.image_servers["ID_1"].reachable = False
    assert plan(emulated).code == 0


def test_an_incomplete_file_in_use_is_reported_and_not_used_again(world: Callable[..., Emulated]) -> None:
    emulated = world(BIG, vm("one", image="big"))
    apply(emulated)
    emulated.admin.put_file("/data/big.qcow2", 163_000_000)
    shown = emulated.run("plan", "--json")
    assert (shown.code, shown.codes) == (0, ["image-incomplete"])
    write(emulated, BIG, vm("one", image="big", cpus=8))
    apply(emulated)  # existing VMs continue
    write(emulated, BIG, vm("one", image="big", cpus=8), vm("two", image="big"))
    shown = emulated.run("plan", "--json")
    assert (shown.code, shown.codes) == (5, ["image-incomplete"])
    write(emulated, BIG, vm("two", image="big"))
    apply(emulated)  # what used it goes first, then it is completed
    assert stored(emulated, "node", "big.qcow2") == SIZE


def test_what_broke_off_goes_with_its_document_where_it_is_not_retained(world: Callable[..., Emulated]) -> None:
    emulated = world(document("Image", "big", {**IMAGE, "retain": False}))
    breaks(emulated, "images.download")
    apply(emulated, 1)
    write(emulated)
    assert emulated.run("apply", "--yes", "--allow-empty").code == 0
    assert stored(emulated, "node", "big.qcow2") is None


def test_a_snapshot_whose_image_server_died_is_sent_again(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    apply(emulated)
    server = emulated.network.image_servers.image_servers["ID_2"]
    server.bytes_per_second = 2e4
    write(emulated, vm(), SNAPSHOT)
    began = emulated.loop.time()
    emulated.loop.call_later(15, setattr, server, "reachable", False)
    emulated.loop.call_later(200, setattr, server, "reachable", True)
    result = emulated.run("apply", "--yes")
    assert result.code != 0, (emulated.loop.time() - began, result.out, result.err)
    assert plan(emulated).code == 2
    apply(emulated)
    [file] = [one for name, one in server.files.items() if name.startswith("snap_")]
    assert file.size == 196_656
    assert plan(emulated).code == 0
