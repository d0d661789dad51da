"""Operations commands on image files, through the command line against the emulated network."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dbc_iac.emulator import FaultSpec
from tests.projects import NODE_ID, Emulated, document, vm

IMAGE_SERVERS = [
    {"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "torch.qcow2", "size": 9_000_000_000}]},
    {"id": "ID_2", "images": [{"name": "old.qcow2"}]},
]
IMAGE = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1"})


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, imageServers=IMAGE_SERVERS)


def files(emulated: Emulated) -> dict[str, int]:
    found: dict[str, int] = emulated.network.nodes[NODE_ID].truth()["files"]
    return found


def image_server(emulated: Emulated, name: str) -> set[str]:
    return set(emulated.network.image_servers.image_servers[name].files)


def test_files_are_listed_by_image_server_and_by_node(world: Callable[..., Emulated]) -> None:
    emulated = world()
    rows = emulated.run("image", "list", "--json").json
    assert {(r["where"], r["name"]) for r in rows} == {
        ("ID_1", "ubuntu.qcow2"),
        ("ID_1", "torch.qcow2"),
        ("ID_2", "old.qcow2"),
    }
    [row] = emulated.run("image", "list", "--image-server", "ID_2", "--json").json
    assert row["name"] == "old.qcow2"
    rows = emulated.run("image", "list", "--node", "gpu-a", "--json").json
    assert {(r["where"], r["name"]) for r in rows} == {("Node/gpu-a", "ubuntu.qcow2"), ("Node/gpu-a", "win10.qcow2")}
    assert "torch.qcow2" in emulated.run("image", "list").out


def test_an_unreadable_image_server_fails_the_list(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.network.image_servers.image_servers["ID_2"].reachable = False
    result = emulated.run("image", "list", "--json")
    assert (result.code, result.codes) == (1, ["unreadable"])
    assert {r["where"] for r in result.json if "name" in r} == {"ID_1"}
    assert [r["where"] for r in result.json if "unreadable" in r] == ["ID_2"]
    alone = emulated.run("image", "list", "--image-server", "ID_2")
    assert (alone.code, alone.out.strip()) == (1, "There is no image file in the image servers that could be read.")


@pytest.mark.parametrize("of_node", [[], ["--node", "gpu-a"]])
def test_files_of_an_unknown_image_server_are_not_listed_as_none(
    world: Callable[..., Emulated], of_node: list[str]
) -> None:
    result = world().run("image", "list", "--image-server", "ID_9", *of_node)
    assert (result.code, result.out) == (3, "")
    assert "Use --image-server with one of: ID_1, ID_2." in result.err


@pytest.mark.parametrize("name", ["torch.qcow2", "torch", "Image/torch"])
def test_a_file_is_fetched_with_its_progress_and_proved(world: Callable[..., Emulated], name: str) -> None:
    emulated = world(IMAGE)
    server = ["--image-server", "ID_1"] if name.endswith("qcow2") else []
    result = emulated.run("image", "download", name, *server, "--yes", "--wait")
    assert result.code == 0, result.err
    assert "download of torch.qcow2: " in result.err
    assert files(emulated)["/data/torch.qcow2"] == 9_000_000_000
    again = emulated.run("image", "download", name, *server, "--yes", "--json")
    assert again.json["status"] == "already on the node, as in the image server"


class Screen(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("terminal", "lines"), [("xterm", False), ("dumb", True)])
def test_a_terminal_gets_a_bar_where_it_can_show_one(
    world: Callable[..., Emulated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: str, lines: bool
) -> None:
    from dbc_iac.cli import CommandRuntime, run_command
    from dbc_iac.cli.commands import dbc_iac

    monkeypatch.setenv("TERM", terminal)
    emulated, out, err = world(), io.StringIO(), Screen()
    run = emulated.loop.run_until_complete
    runtime = CommandRuntime(emulated.project.environ, run, emulated.network.transport, out=out, err=err, terminal=True)
    arguments = ["-C", str(tmp_path), "image", "download", "torch.qcow2", "--image-server", "ID_1", "--yes", "--wait"]
    assert run_command(dbc_iac, arguments, runtime) == 0
    assert ("download of torch.qcow2: " in err.getvalue()) is lines
    assert "download of torch.qcow2" in err.getvalue()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["download", "torch.qcow2", "--image-server", "ID_1"], 3, "needs-yes"),
        (["download", "torch.qcow2", "--yes"], 3, "unknown-image-server"),
        (["download", "torch.qcow2", "--image-server", "ID_9", "--yes"], 3, "unknown-image-server"),
        (["download", "none.qcow2", "--image-server", "ID_1", "--yes"], 1, "not-found"),
        (["download", "torch.img", "--image-server", "ID_1", "--yes"], 3, "unsafe-value"),
        (["download", "torch.qcow2", "--image-server", "ID_1", "--dir", "data", "--yes"], 3, "unsafe-value"),
        (["upload", "none.qcow2", "--image-server", "ID_1", "--yes"], 1, "refused"),
        (["upload", "ubuntu.qcow2", "--image-server", "ID_2"], 3, "needs-yes"),
    ],
)
def test_an_impossible_transfer_is_reported(
    world: Callable[..., Emulated], arguments: list[str], exit_code: int, problem: str
) -> None:
    emulated = world()
    before = files(emulated), image_server(emulated, "ID_2")
    result = emulated.run("image", *arguments, "--json")
    assert (result.code, result.codes[-1]) == (exit_code, problem), result.err
    emulated.settle()
    assert (files(emulated), image_server(emulated, "ID_2")) == before


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        (["download", "torch.img"], "image_filename: expected a *.qcow2 name"),
        (["download", "torch.qcow2", "--dir", "data"], "local_dir: expected an absolute path"),
        (
            ["stop", "torch.img"],
            "image_filename: expected a *.qcow2 name or an absolute path",
        ),
    ],
)
def test_a_file_that_a_node_does_not_accept_gets_the_form(
    world: Callable[..., Emulated], arguments: list[str], form: str
) -> None:
    server = ["--image-server", "ID_1"] if arguments[0] == "download" else []
    assert form in world().run("image", *arguments, *server, "--yes").err


def test_a_missing_file_is_looked_up_in_the_list_of_its_image_server(world: Callable[..., Emulated]) -> None:
    result = world().run("image", "download", "none.qcow2", "--image-server", "ID_1", "--yes")
    assert "error[not-found]: none.qcow2 is not in image server ID_1" in result.err
    assert "`dbc-iac image list --image-server ID_1`" in result.err


def test_a_file_that_is_there_is_overwritten_only_when_that_is_meant(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.network.image_servers.image_servers["ID_1"].files["ubuntu.qcow2"].size = 8_000_000_000
    arguments = ["image", "download", "ubuntu.qcow2", "--image-server", "ID_1", "--yes", "--wait", "--json"]
    result = emulated.run(*arguments)
    assert (result.code, result.codes) == (5, ["would-overwrite"])
    assert emulated.run(*arguments, "--overwrite").code == 0
    assert files(emulated)["/data/ubuntu.qcow2"] == 8_000_000_000


def test_an_image_under_a_running_vm_is_not_overwritten(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.image_servers.image_servers["ID_1"].files["ubuntu.qcow2"].size = 8_000_000_000
    result = emulated.run("image", "download", "ubuntu.qcow2", "--image-server", "ID_1", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["would-overwrite"])
    assert "VirtualMachine/trainer uses it" in result.err


def test_another_directory_is_fetched_into_and_proves_nothing(world: Callable[..., Emulated]) -> None:
    emulated = world()
    arguments = ["torch.qcow2", "--image-server", "ID_1", "--dir", "/data/more", "--yes", "--wait", "--json"]
    result = emulated.run("image", "download", *arguments)
    assert result.code == 0
    assert result.json["status"] == "download ended; the API does not list files outside of /data"


def test_an_upload_warns_that_the_node_may_crash(world: Callable[..., Emulated]) -> None:
    emulated = world()
    result = emulated.run("image", "upload", "ubuntu.qcow2", "--image-server", "ID_2", "--yes", "--wait", "--json")
    assert (result.code, result.codes) == (0, ["node-may-restart"]), result.err
    assert "dbc-iac vm list --node" in result.err
    assert "ubuntu.qcow2" in image_server(emulated, "ID_2")
    again = emulated.run("image", "upload", "ubuntu.qcow2", "--image-server", "ID_2", "--yes", "--json")
    assert again.json["status"] == "already in the image server, as on the node"
    emulated.network.image_servers.image_servers["ID_2"].files["ubuntu.qcow2"].size = 5
    result = emulated.run("image", "upload", "ubuntu.qcow2", "--image-server", "ID_2", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["would-overwrite"])
    result = emulated.run("image", "upload", "ubuntu.qcow2", "--image-server", "ID_2", "--yes", "--wait", "--overwrite")
    assert result.code == 0, result.err


def test_a_stop_is_accepted_and_the_download_goes_on(world: Callable[..., Emulated]) -> None:
    emulated = world()
    started = emulated.run("image", "download", "torch.qcow2", "--image-server", "ID_1", "--yes", "--json")
    assert started.json["status"] == "accepted"
    assert emulated.run("image", "stop", "torch.qcow2", "--json").codes == ["needs-yes"]
    emulated.settle(1)
    stopped = emulated.run("image", "stop", "torch.qcow2", "--yes", "--json")
    assert (stopped.json["status"], stopped.codes) == ("accepted", ["transfer-goes-on"])
    emulated.settle()
    assert files(emulated).get("/data/torch.qcow2") == 9_000_000_000
    assert emulated.run("image", "stop", "torch.qcow2", "--yes", "--json").json["status"] == "no transfer in progress"


def test_an_upload_is_stopped_by_its_path(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.network.image_servers.image_servers["ID_2"].bytes_per_second = 1000.0
    assert emulated.run("image", "upload", "ubuntu.qcow2", "--image-server", "ID_2", "--yes").code == 0
    assert emulated.run("image", "stop", "ubuntu.qcow2", "--upload", "--yes", "--json").json["status"] == "accepted"


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
def test_an_answer_that_does_not_come_is_unknown(world: Callable[..., Emulated], kind: str) -> None:
    emulated = world()
    emulated.network.faults.add(FaultSpec.model_validate({"op": "images.download", "kind": kind, "seconds": 45}))
    result = emulated.run("image", "download", "torch.qcow2", "--image-server", "ID_1", "--yes", "--json")
    assert (result.code, result.codes) == (7, ["outcome-unknown"])


def test_a_wait_that_is_over_leaves_the_transfer_going_on(world: Callable[..., Emulated]) -> None:
    emulated = world()
    arguments = ["torch.qcow2", "--image-server", "ID_1", "--yes", "--wait", "--timeout", "1", "--json"]
    result = emulated.run("image", "download", *arguments)
    assert (result.code, result.codes) == (7, ["still-waiting"])


def test_users_of_a_file_are_reported_before_it_is_overwritten(world: Callable[..., Emulated]) -> None:
    emulated = world(
        vm(), document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_2"}),
        document("Image", "clone", {"node": "gpu-a", "snapshot": "base", "imageServer": "ID_2"}),
        vm("twin", image="clone"),
    )  # fmt: skip
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.image_servers.image_servers["ID_1"].files["ubuntu.qcow2"].size += 10 * 1024**3
    command = ["image", "download", "ubuntu.qcow2", "--image-server", "ID_1"]
    refused = emulated.run(*command, "--yes")
    assert refused.code == 5
    assert "VirtualMachine/trainer, VirtualMachine/twin use" in refused.err
    told = emulated.run(*command, "--overwrite", "--yes", "--json")
    assert (told.code, told.codes) == (0, ["image-in-use"])
    assert "VirtualMachine/twin" in told.err


def test_a_node_lists_files_with_a_base_image_that_the_only_image_server_has(
    world: Callable[..., Emulated],
) -> None:
    emulated = world(
        vm(),
        document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_1"}),
        document("Image", "clone", {"node": "gpu-a", "snapshot": "base", "imageServer": "ID_1"}),
        imageServers=IMAGE_SERVERS[:1],
    )
    assert emulated.run("apply", "--yes").code == 0
    given = emulated.run("image", "list", "--node", "gpu-a", "--image-server", "ID_1", "--json").json
    assert any(row["name"].startswith("snap_") for row in given)
    assert emulated.run("image", "list", "--node", "gpu-a", "--json").json == given


def test_a_small_file_has_a_size(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_2"}))
    assert emulated.run("apply", "--yes").code == 0
    shown = emulated.run("image", "list", "--image-server", "ID_2").out
    assert "0.0Gi" not in shown and "Ki" in shown
    rows = emulated.run("image", "list", "--image-server", "ID_2", "--json").json
    assert all(row["sizeBytes"] > 0 for row in rows)
