"""A snapshot's upload that is interrupted, or whose end nobody sees: never taken for whole. Through the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from dbc_iac.emulator.gpu.image_servers import ImageServer
from dbc_iac.emulator.world import FaultSpec
from tests.projects import NODE_ID, Emulated, Result, document, project, vm

SNAPSHOT = document("Snapshot", "base", {"vm": "trainer", "imageServer": "ID_1"})
WHOLE = 196_656
IMAGE_SERVERS = [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}], "bytesPerSecond": 1000}]


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, imageServers=IMAGE_SERVERS)


def stored(emulated: Emulated) -> list[int]:
    """The bytes of what snapshots have put into the image server."""
    found = emulated.network.image_servers.get("ID_1")
    assert found is not None
    return [file.size for name, file in found.files.items() if name.startswith("snap_")]


def after(emulated: Emulated, seconds: float, act: Callable[[], None], *command: str) -> Result:
    """Run a command, and do something to the world that many seconds after it began."""
    emulated.loop.call_later(seconds, act)
    return emulated.run(*command)


def uploading(emulated: Emulated) -> Emulated:
    """With a VM and its snapshot, whose upload an apply has started without waiting."""
    result = emulated.run("apply", "--yes", "--wait-timeout", "70")
    assert result.code == 7, result.out + result.err
    return emulated


def converges(emulated: Emulated) -> Result:
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    emulated.settle(60)
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    return result


def restart(emulated: Emulated) -> None:
    emulated.loop.call_soon(emulated.network.nodes[NODE_ID].restart)
    emulated.settle(60)


def test_an_upload_that_is_interrupted_is_a_failure_and_is_made_again(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT)
    result = after(emulated, 150, emulated.network.nodes[NODE_ID].restart, "apply", "--yes")
    assert result.code == 7, result.out + result.err
    assert "was interrupted at" in result.err and "incomplete" in result.err
    assert stored(emulated)[0] < WHOLE
    plan = emulated.run("plan")
    assert "~ Snapshot/base" in plan.out and "its upload was not watched to the end" in plan.out
    assert "may restart the node's process" in plan.out + plan.err
    converges(emulated)
    assert stored(emulated) == [WHOLE]


def test_a_later_run_goes_on_watching(world: Callable[..., Emulated]) -> None:
    emulated = uploading(world(vm(), SNAPSHOT))
    assert "upload in progress" in emulated.run("plan").out
    result = converges(emulated)
    assert "snapshot-sent" not in result.err and "… (" in result.err + result.out
    assert stored(emulated) == [WHOLE]


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_upload_whose_end_nobody_saw_is_made_again(world: Callable[..., Emulated], interrupted: bool) -> None:
    emulated = uploading(world(vm(), SNAPSHOT))
    if interrupted:
        restart(emulated)
    emulated.settle(600)
    converges(emulated)
    assert stored(emulated) == [WHOLE]


def test_an_upload_is_made_again_by_a_reviewed_plan(world: Callable[..., Emulated]) -> None:
    emulated = uploading(world(vm(), SNAPSHOT))
    emulated.settle(600)
    file = str(emulated.project.directory / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    result = emulated.run("apply", file)
    assert (result.code, stored(emulated)) == (0, [WHOLE]), result.err


def test_it_is_made_again_after_a_crash_that_nothing_was_bound_before(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbc_iac.state.journal import Journal

    emulated = world(vm(), SNAPSHOT)
    whole = Journal.append

    class ProcessEndedError(BaseException):
        pass

    def append(self: Journal, records: Sequence[dict[str, Any]]) -> None:
        whole(self, records)
        if "snapshot-taken" in str(records):
            raise ProcessEndedError

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", append)
        with pytest.raises(BaseException):  # noqa: B017 - the process ends
            emulated.run("apply", "--yes")
    emulated.settle(5)
    emulated.settle(600)
    result = converges(emulated)
    assert set(stored(emulated)) == {WHOLE}, result.out


def test_an_interrupted_upload_of_a_deleted_vm_is_reported_and_kept(world: Callable[..., Emulated]) -> None:
    emulated = uploading(world(vm(), SNAPSHOT))
    restart(emulated)
    emulated.settle(60)
    changed = vm(image="win10.qcow2", os="windows", ports={"rdp": "auto", "vnc": "auto"})
    project(emulated.project.directory, changed, SNAPSHOT, environ=emulated.project.environ)
    assert "its upload was not watched to the end" in emulated.run("plan").out
    converges(emulated)


def test_a_file_that_the_node_has_not_any_more_cannot_be_sent_again(world: Callable[..., Emulated]) -> None:
    emulated = uploading(world(vm(), SNAPSHOT))
    restart(emulated)
    [file] = [f for f in emulated.network.nodes[NODE_ID].truth()["files"] if "snap_" in f]
    emulated.admin.remove_file(file)
    result = emulated.run("apply", "--yes")
    assert result.code == 1
    assert "trigger" in result.err


def image_server(emulated: Emulated) -> ImageServer:
    server = emulated.network.image_servers.get("ID_1")
    assert server is not None
    return server


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_upload_that_ends_between_two_looks_is_reported_as_not_verified(
    world: Callable[..., Emulated], interrupted: bool
) -> None:
    """It takes two seconds; no API shows the size of the file."""
    emulated = world(vm(), SNAPSHOT)
    image_server(emulated).bytes_per_second = 100_000
    if interrupted:
        emulated.network.faults.add(FaultSpec(op="snapshot.create", kind="break", part=0.4))
    result = emulated.run("apply", "--yes", "--json")
    assert result.code == 0, result.out + result.err
    assert (stored(emulated)[0] < WHOLE) is interrupted
    assert result.codes == ["upload-unverified"]
    plan = emulated.run("plan", "--detailed-exitcode")
    assert plan.code == 0
    assert "Snapshot/base: the end of its upload was not seen" in plan.out


def test_an_upload_that_was_watched_to_its_end_has_no_warning(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), SNAPSHOT)
    image_server(emulated).bytes_per_second = 5_000
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.err) == (0, ""), result.out
    assert "the end of its upload" not in emulated.run("plan").out
    assert stored(emulated) == [WHOLE]
