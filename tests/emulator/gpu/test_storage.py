"""Disks, snapshots and images: additive sizes, names chosen by the node, and results of transfers."""

from __future__ import annotations

from typing import Any

import pytest

from dbc_iac.emulator.gpu.image_servers import ImageServers, image_server_reply
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu.spec import ImageServerSpec, ImageSpec
from dbc_iac.emulator.reply import ProcessDied
from tests.emulator.gpu.harness import Caller, Node, machine_rental, run, spec

OK = "ok"
SLOW = 1_000_000.0
BIG = ImageSpec(name="big.qcow2", size=60_000_000)
CLOSE_FIRST = [1, "please close task first and try again"]


def _node(rate: float = SLOW, **changes: Any) -> Node:
    image_servers = ImageServers(
        [
            ImageServerSpec(id="ID_1", images=(BIG, ImageSpec(name="child.qcow2", size=1000)), bytes_per_second=rate),
            ImageServerSpec(id="DEAD", images=(BIG,), reachable=False),
        ]
    )
    return Node(spec(**changes), machine_rental(), image_servers=image_servers)


async def _sizes(node: Node, task_id: str) -> dict[str, str]:
    return {disk["name"]: disk["size"] for disk in await node.ask("disk.list", task_id)}


# -- disks -----------------------------------------------------------------------------------------


def test_resize_adds_and_the_system_disk_shows_its_real_size_then() -> None:
    async def test() -> None:
        node = _node(images=[{"name": "ubuntu.qcow2", "virtualSize": 64 << 20}])
        task_id = await node.closed()
        for name, gib in [("vdb", 20), ("vdb", 5), ("vda", 400)]:
            assert await node.ask("disk.resize", task_id, disk=name, size=gib) == OK
        await node.idle()
        assert await _sizes(node, task_id) == {"vda": "400.06G", "vdb": "35G"}

    run(test)


def test_new_disks_get_the_letter_after_the_highest() -> None:
    async def test() -> None:
        node = _node(directories=["/data2"])
        task_id = await node.closed()
        for size in (5, "6", 3, 1.5, 99_999_999_999):
            assert await node.ask("disk.add", task_id, size=size) == OK
        assert await node.ask("disk.add", task_id) == OK
        await node.idle()
        garbage = "31.89T"
        assert await _sizes(node, task_id) == {
            "vda": "350G", "vdb": "10G", "vdc": "5G", "vdd": garbage, "vde": "3G", "vdf": garbage, "vdg": garbage,
            "vdh": garbage,
        }  # fmt: skip
        assert await node.ask("disk.delete", task_id, disk="vdc") == OK
        assert await node.ask("disk.delete", task_id, disk="vdh") == OK
        await node.idle()
        assert await node.ask("disk.add", task_id, size=1, mount_dir="/data2/") == OK
        await node.idle()
        disks = {disk["name"]: disk["file"] for disk in await node.ask("disk.list", task_id)}
        assert sorted(disks) == ["vda", "vdb", "vdd", "vde", "vdf", "vdg", "vdh"]
        assert disks["vdh"].startswith("/data2//data_")
        shown = (await node.ask("tasks.details", task_id))["disks"]
        assert shown[2]["size"] == "32654G"

    run(test)


@pytest.mark.parametrize(
    ("op", "keys", "reply"),
    [
        ("resize", {"size": 20}, [-3, "'disk' is empty"]),
        ("resize", {"disk": 1, "size": 20}, [-3, "'disk' is empty"]),
        ("resize", {"disk": "vdb"}, [-3, "'size' is invalid"]),
        ("resize", {"disk": "vdb", "size": "21"}, [-3, "'size' is invalid"]),
        ("resize", {"disk": "vdb", "size": 0}, [-3, "'size' is invalid"]),
        ("resize", {"disk": "vdz", "size": 20}, [1, "task have no disk:vdz"]),
        ("resize", {"disk": "vdb", "size": 20}, CLOSE_FIRST),
        ("add", {"size": 0}, [-3, "'size' is invalid"]),
        ("add", {"size": 3, "mount_dir": "/nosuch"}, [-3, "/nosuch is not exist"]),
        ("add", {"size": "x"}, CLOSE_FIRST),
        ("delete", {}, [-3, "'disk' is empty"]),
        ("delete", {"disk": "vdc"}, [1, "task have no disk:vdc"]),
        ("delete", {"disk": "vda"}, CLOSE_FIRST),
    ],
)
def test_disk_calls_on_a_running_vm(op: str, keys: dict[str, Any], reply: Any) -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.created()
        assert await node.ask(f"disk.{op}", task_id, **keys) == reply
        assert await node.ask(f"disk.{op}", "nosuch", **keys) == [-3, "task not exist"]

    run(test)


def test_pxe_vms_and_system_disks_are_refused() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        assert await node.ask("disk.delete", task_id, disk="vda") == [1, "can not allowed to delete disk:'vda'"]
        pxe = await node.create(bios_mode="pxe", ssh_port="1", vnc_port="6000")
        await node.until(pxe, "running")
        assert await node.ask("disk.list", pxe) == [-3, "pxe not support disk"]
        assert await node.ask("snapshot.create", pxe, server="ID_1", snapshot_name="s") == [1, "task have no disk"]

    run(test)


def test_a_disk_call_queued_after_a_start_runs_on_a_running_vm() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        blocker = await node.create(ssh_port="1", vnc_port="6000")
        assert await node.ask("tasks.start", task_id) == OK
        assert await node.ask("disk.add", task_id, size=1) == OK
        assert await node.ask("disk.resize", task_id, disk="vdb", size=1) == OK
        await node.until(blocker, "running")
        await node.idle()
        assert await _sizes(node, task_id) == {"vda": "350G", "vdb": "10G", "vdc": "1G"}
        live = node.admin.truth()["vms"][task_id]["domain"]["live"]["disks"]
        assert sorted(live) == ["vda", "vdb"]  # the new disk waits for the next boot, the old one did not grow

    run(test)


def test_a_disk_shows_its_requested_size_until_the_daemon_restarts() -> None:
    async def test() -> None:
        node = _node(files=["mine.qcow2"])
        task_id = await node.created(data_file_name="mine.qcow2", disk_size="77")
        assert await _sizes(node, task_id) == {"vda": "350G", "vdb": "77G"}
        node.node.restart()
        assert await _sizes(node, task_id) == {"vda": "20G", "vdb": "10G"}

    run(test)


# -- snapshots -------------------------------------------------------------------------------------


def test_a_snapshot_ends_as_none_and_as_a_file_in_the_image_server() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        assert await node.ask("snapshot.create", task_id, server="ID_1", desc="x") == [-3, "'snapshot_name' is empty"]
        assert await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s", desc="d") == OK
        shown = await node.ask("snapshot.list", task_id, "s")
        assert list(shown) == ["snapshot_name", "description", "snapshot_file", "create_time", "status"]
        assert shown["status"] == "creating"
        await node.clock.sleep(0.1)
        assert (await node.ask("snapshot.list", task_id, "s"))["status"] == "uploading"
        await node.clock.sleep(6)
        assert (await node.ask("snapshot.list", task_id))[0]["status"] == "none"
        assert shown["snapshot_file"].rsplit("/", 1)[-1] in image_server_reply(node.image_servers.image_servers["ID_1"])

    run(test)


def test_snapshot_names_may_repeat_and_the_oldest_is_deleted_first() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        for text in ("first", "again"):
            await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s", desc=text)
        await node.clock.sleep(6)
        assert await node.ask("snapshot.delete", task_id, "s") == OK
        assert [one["description"] for one in await node.ask("snapshot.list", task_id)] == ["again"]
        assert await node.ask("snapshot.delete", task_id, "s") == OK
        assert await node.ask("snapshot.delete", task_id, "s") == [1, "s not exist"]
        assert await node.ask("snapshot.list", task_id, "s") == [1, "snapshot_name not exist"]
        assert await node.ask("snapshot.list", "nosuch") == []

    run(test)


def test_a_snapshot_of_a_running_vm_is_refused() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.created()
        assert await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s") == CLOSE_FIRST

    run(test)


def test_deleting_a_snapshot_during_its_conversion_crashes_the_process() -> None:
    async def test() -> None:
        node = _node(durations={"snapshot": 5})
        task_id = await node.closed()
        await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s")
        assert await node.ask("snapshot.delete", task_id, "s") == OK
        await node.clock.sleep(10)
        assert node.deaths == 1

    run(test)


def test_deleting_a_vm_during_a_snapshot_upload_crashes_the_process() -> None:
    async def test() -> None:
        node = _node(rate=10_000)
        task_id = await node.closed()
        await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s")
        await node.clock.sleep(1)
        await node.ask("tasks.delete", task_id)
        await node.clock.sleep(60)
        assert node.deaths == 1

    run(test)


def test_a_daemon_restart_loses_snapshot_progress() -> None:
    async def test() -> None:
        node = _node(rate=10_000)
        task_id = await node.closed()
        await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s")
        await node.clock.sleep(1)
        node.node.restart()
        assert (await node.ask("snapshot.list", task_id, "s"))["status"] == "none"

    run(test)


def test_the_file_of_an_empty_disk_is_listed_as_192k() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s")
        await node.clock.sleep(60)
        assert '"image_size":"192K"' in image_server_reply(node.image_servers.image_servers["ID_1"])

    run(test)


def test_disk_jobs_without_libvirt_fail_silently_except_in_the_log() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        assert await node.ask("disk.add", task_id, size=5) == OK
        assert await node.ask("disk.delete", task_id, disk="vdb") == OK
        assert await node.ask("disk.resize", task_id, disk="vdb", size=5) == OK
        node.node.machine.libvirt.lose(60)
        await node.idle()
        assert await node.ask("tasks.logs", task_id) == [1, "task not exist"]
        assert await node.ask("tasks.start", task_id) == [1, "task not exist"]
        assert await node.status(task_id) == "closed"
        await node.clock.sleep(60)
        assert await _sizes(node, task_id) == {"vda": "350G", "vdb": "0K"}  # it has grown: only its size is not read
        notes = (await node.ask("tasks.logs", task_id))["log_content"]
        assert any("vm attach disk failed:task not exist" in line for line in notes)
        assert any("detach disk failed:task not exist" in line for line in notes)

    run(test)


# -- images ----------------------------------------------------------------------------------------


async def _download(node: Node, name: str = "big.qcow2", directory: str = "/data", server: str = "ID_1") -> Any:
    return await node.ask("images.download", server=server, image_filename=name, local_dir=directory)


async def _progress(node: Node, op: str, name: str) -> Any:
    return await node.ask(f"images.{op}progress", image_filename=name)


def test_a_download_shows_its_progress() -> None:
    async def test() -> None:
        node = _node()
        assert await _download(node) == OK
        assert await _download(node) == [1, "image:big.qcow2 in downloading"]
        await node.clock.sleep(30)
        shown = await _progress(node, "download", "big.qcow2")
        assert shown["status"] == "downloading"
        assert 45 < int(shown["progress"].rstrip("%")) < 55
        create = await node.ask("tasks.create", image_name="big.qcow2")
        assert create == [1, "'image_name' is not exist (path:/data/big.qcow2)"]  # not: busy
        await node.clock.sleep(40)
        assert await _progress(node, "download", "big.qcow2") == {"status": "done", "progress": "100%"}
        assert "big.qcow2" in [image["image_name:"] for image in await node.ask("images.list")]
        assert node.deaths == 0

    run(test)


def test_done_precedes_the_end_of_a_transfer() -> None:
    async def test() -> None:
        node = _node(rate=1e9)
        await _download(node)
        await node.clock.sleep(0.3)
        assert (await _progress(node, "download", "big.qcow2"))["status"] == "done"
        assert await _download(node) == [1, "image:big.qcow2 in downloading"]
        await node.clock.sleep(3)
        assert await _download(node) == OK

    run(test)


@pytest.mark.parametrize(
    ("server", "name", "directory", "reply"),
    [
        ("ID_1", "", "/data", [1, "additional no image_filename"]),
        ("ID_1", "a.img", "", [1, "additional no local_dir"]),
        ("ID_1", "nosuch.qcow2", "/data", [1, "image:nosuch.qcow2 not exist"]),
        ("DEAD", "big.qcow2", "/data", [1, "image:big.qcow2 not exist"]),
        ("ID_1", "big.qcow2", "/nosuch", OK),
    ],
)
def test_downloads_without_effect(server: str, name: str, directory: str, reply: Any) -> None:
    async def test() -> None:
        node = _node()
        assert await _download(node, name, directory, server) == reply
        await node.clock.sleep(100)
        assert "big.qcow2" not in [image["image_name:"] for image in await node.ask("images.list")]

    run(test)


def test_a_stopped_transfer_is_unknown_and_completes() -> None:
    async def test() -> None:
        node = _node()
        await _download(node)
        await node.ask("images.upload", server="ID_1", image_filename="ubuntu.qcow2")
        await node.clock.sleep(1)
        assert await node.ask("images.download_stop", image_filename="big.qcow2") == OK
        assert await node.ask("images.download_stop", image_filename="nosuch") == OK
        assert (await _progress(node, "download", "big.qcow2"))["status"] == "done"
        assert await node.ask("images.upload_stop", image_filename="/data/ubuntu.qcow2") == OK
        await node.clock.sleep(3000)
        assert node.node.machine.files.files["/data/big.qcow2"].size == BIG.size
        assert node.image_servers.image_servers["ID_1"].files["ubuntu.qcow2"].size == 2_000_000_000
        assert node.deaths == 0  # nothing is called back for what was forgotten

    run(test)


def test_a_transfer_stopped_before_its_start_leaves_no_file() -> None:
    async def test() -> None:
        node = _node()
        await _download(node)
        assert await node.ask("images.download_stop", image_filename="big.qcow2") == OK
        await node.clock.sleep(100)
        assert await node.ask("images.delete", image_filename="big.qcow2") == [1, "image file:big.qcow2 is not exist"]

    run(test)


@pytest.mark.parametrize("how", ["image server", "fault"])
def test_an_interrupted_transfer_leaves_a_part_under_the_final_name(how: str) -> None:
    async def test() -> None:
        node = _node(uploadsEndProcess=False)
        image_server = node.image_servers.image_servers["ID_1"]
        breaks = 0.5 if how == "fault" else 1.0
        body = {"image_filename": "big.qcow2", "local_dir": "/data"}
        await node.node.handle("images.download", Caller(), NodeRequest((), {}, body, "ID_1", breaks))
        await node.node.handle(
            "images.upload", Caller(), NodeRequest((), {}, {"image_filename": "win10.qcow2"}, "ID_1")
        )
        await node.clock.sleep(30)
        image_server.reachable = how != "image server"
        await node.clock.sleep(3)
        assert await _progress(node, "download", "big.qcow2") == {"status": "done", "progress": "100%"}
        assert node.node.machine.files.files["/data/big.qcow2"].size == pytest.approx(BIG.size / 2, rel=0.02)
        if how == "image server":
            assert image_server.files["win10.qcow2"].size == pytest.approx(30 * SLOW, rel=0.02)
        image_server.reachable = True
        assert await _download(node) == OK
        await node.clock.sleep(70)
        assert node.node.machine.files.files["/data/big.qcow2"].size == BIG.size

    run(test)


def test_a_plain_upload_succeeds_and_crashes_the_process() -> None:
    async def test() -> None:
        node = _node(rate=1e9)
        assert await node.ask("images.upload", server="ID_1", image_filename="ubuntu.qcow2") == OK
        assert await node.ask("images.upload", server="ID_1", image_filename="/data/ubuntu.qcow2") == [
            1,
            "image:/data/ubuntu.qcow2 in uploading",
        ]
        assert (await _progress(node, "upload", "ubuntu.qcow2"))["status"] == "done"  # the relative name is not known
        assert (await _progress(node, "upload", "/data/ubuntu.qcow2"))["status"] == "uploading"
        busy = "image file is in downloading or uploading, please try again later"
        assert await node.ask("images.delete", image_filename="ubuntu.qcow2") == [1, busy]
        await node.clock.sleep(6)
        assert node.deaths == 1
        assert "ubuntu.qcow2" in node.image_servers.image_servers["ID_1"].files

    run(test)


def test_an_interrupted_upload_leaves_part_of_a_file_under_its_name() -> None:
    async def test() -> None:
        node = _node()
        await node.ask("images.upload", server="ID_1", image_filename="ubuntu.qcow2")
        await node.clock.sleep(1000)
        node.node.restart()
        await node.clock.sleep(2000)
        assert node.image_servers.image_servers["ID_1"].files["ubuntu.qcow2"].size == pytest.approx(
            1_000_000_000, rel=0.01
        )
        assert node.deaths == 0

    run(test)


def test_directories_are_not_images() -> None:
    async def test() -> None:
        for op in ("upload", "delete"):
            node = _node(directories=["/data/scratch"])
            with pytest.raises(ProcessDied):
                await node.ask(f"images.{op}", server="ID_1", image_filename="scratch")
            assert node.deaths == 1

    run(test)


def test_the_lists_of_a_node() -> None:
    async def test() -> None:
        images = [
            {"name": "ubuntu.qcow2", "size": 1024},
            {"name": "my_data.qcow2"},
            {"name": "child.qcow2", "base": "/data/ubuntu.qcow2"},
        ]
        node = _node(images=images, files=["notes.txt"])
        task_id = await node.created()
        plain = [{"image_name:": "ubuntu.qcow2", "image_size": "1K"}]
        assert await node.ask("images.list") == plain
        assert await node.ask("images.list", server="ID_1") == [
            *plain,
            {"image_name:": "child.qcow2", "image_size": "0K"},
        ]
        await node.ask("tasks.shutdown", task_id)
        await node.until(task_id, "closed")
        own = (await node.ask("tasks.details", task_id))["disks"][0]["source_file"].rsplit("/", 1)[-1]
        assert [image["image_name:"] for image in await node.ask("images.list")] == ["ubuntu.qcow2", own]
        assert await node.ask("images.list", caller=Caller("5Other")) == plain

    run(test)


def test_without_its_base_image_a_vm_does_not_start() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.closed()
        assert await node.ask("images.delete", image_filename="ubuntu.qcow2") == OK
        assert await node.ask("tasks.start", task_id) == OK
        assert await node.until(task_id, "start error") == "start error"

    run(test)
