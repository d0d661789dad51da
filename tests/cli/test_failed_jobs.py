"""Calls that a node accepts and does not carry out: the VM is not kept off for them, and the next apply converges."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator.gpu.worker import Job
from dbc_iac.json import Json
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.virtual_machine.goals import VmModified
from tests.cli.trials import act, converges, write
from tests.projects import NODE_ID, Emulated, document, project, vm

FROZEN = {"kind": "freeze", "seconds": 33}


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str, **node: Any) -> Emulated:
        """A world in which the documents are applied; `node` are fields of its GPU node."""
        emulated = Emulated(project(tmp_path), {"gpuNodes": [{"id": NODE_ID, **node}]})
        made.append(emulated)
        write(emulated, documents)
        converges(emulated)
        return emulated

    yield build
    for one in made:
        one.close()


def disk(size: int = 50) -> str:
    return document("Disk", "scratch", {"vm": "trainer", "size": f"{size}Gi"})


def inject(emulated: Emulated, path: str, **values: Any) -> None:
    emulated.loop.run_until_complete(act(emulated, (path, values)))


def sizes(emulated: Emulated) -> list[int]:
    [machine] = emulated.vms.values()
    return sorted(machine["disks"].values())


def running(emulated: Emulated) -> bool:
    return [machine["domain"] for machine in emulated.vms.values()] == ["running"]


def restart_during(emulated: Emulated, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restart the node right after it has accepted its first job of this kind."""
    node = emulated.network.nodes[NODE_ID]
    push = node.node.machine.worker.push

    def push_and_restart(job: Job) -> None:
        push(job)
        if job.kind == kind:
            monkeypatch.undo()
            emulated.loop.call_later(0.1, node.restart)

    monkeypatch.setattr(node.node.machine.worker, "push", push_and_restart)


@pytest.mark.parametrize(
    ("before", "after", "op"),
    [((vm(),), (vm(), disk()), "disk.add"), ((vm(), disk()), (vm(),), "disk.delete")],
    ids=["add", "delete"],
)
def test_a_disk_job_that_fails_closes_the_window_at_once(
    build: Callable[..., Emulated], before: tuple[str, ...], after: tuple[str, ...], op: str
) -> None:
    emulated = build(*before)
    had = sizes(emulated)
    write(emulated, after)
    inject(emulated, "/faults", op=op, **FROZEN)
    failed = emulated.run("apply", "--yes", "--allow-data-loss", "--json")
    assert failed.code == 1, failed.out
    report = failed.json["report"]
    assert report["failed"] == {"Disk/scratch": "failed after the node accepted it: task not exist"}
    assert report["seconds"] < 300
    [problem] = [d for d in json.loads(failed.err)["diagnostics"] if d["code"] == "goal-failed"]
    assert "disk failed:task not exist" in problem["detail"]
    assert problem["remedy"].startswith("Apply again in two minutes.")
    assert running(emulated)
    assert sizes(emulated) == had
    converges(emulated)
    assert sizes(emulated) == [20, 20, *([50] if disk() in after else [])]


def test_after_a_failed_job_the_other_changes_of_the_window_wait_for_the_next_apply(
    build: Callable[..., Emulated],
) -> None:
    emulated = build(vm())
    other = document("Disk", "zz", {"vm": "trainer", "size": "70Gi"})
    write(emulated, (vm(), disk(), other))
    inject(emulated, "/faults", op="disk.add", **FROZEN)
    failed = emulated.run("apply", "--yes", "--json")
    assert failed.json["report"]["notStarted"] == {
        "Disk/zz": "the power-off window was closed after Disk/scratch: failed after the node accepted it: task not exist"
    }
    assert running(emulated)
    converges(emulated)
    assert sizes(emulated) == [20, 20, 50, 70]


def test_a_slow_disk_job_is_proved_by_the_start_after_it(build: Callable[..., Emulated]) -> None:
    emulated = build(vm(), durations={"disk": 1200})
    write(emulated, (vm(), disk()))
    applied = emulated.run("apply", "--yes", "--json")
    assert applied.code == 0, applied.out
    assert running(emulated)
    assert sizes(emulated) == [20, 20, 50]
    converges(emulated)


@pytest.mark.parametrize(
    ("before", "after", "kind", "wanted"),
    [
        ((vm(),), (vm(), disk()), "add disk", [20, 20, 50]),
        ((vm(), disk()), (vm(),), "delete disk", [20, 20]),
        ((vm(), disk()), (vm(), disk(90)), "resize disk", [20, 20, 90]),
    ],
    ids=["add", "delete", "resize"],
)
def test_a_disk_job_lost_with_the_queue_keeps_the_vm_off_for_minutes(
    build: Callable[..., Emulated],
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    after: tuple[str, ...],
    kind: str,
    wanted: list[int],
) -> None:
    emulated = build(*before)
    write(emulated, after)
    restart_during(emulated, kind, monkeypatch)
    failed = emulated.run("apply", "--yes", "--allow-data-loss", "--json")
    assert failed.code == 1, failed.out
    report = failed.json["report"]
    assert report["failed"] == {"Disk/scratch": "accepted, but not carried out before the VM was started"}
    assert report["seconds"] < 480
    assert running(emulated)
    converges(emulated)
    assert sizes(emulated) == wanted


def test_a_disk_without_a_size_is_neither_resized_nor_replaced(build: Callable[..., Emulated]) -> None:
    emulated = build(vm(), disk())
    write(emulated, (vm(), disk(90)))
    inject(emulated, "/faults", op="disk.resize", **FROZEN)
    failed = emulated.run("apply", "--yes")
    assert "the node reports no size of disk /data/" in failed.err
    assert running(emulated)
    assert sizes(emulated) == [20, 20, 90]
    unread = emulated.run("plan")
    assert "the node reports no size of disk /data/" in unread.out + unread.err
    assert emulated.run("apply", "--yes").code == 1
    assert sizes(emulated) == [20, 20, 90]
    inject(emulated, "/node", id=NODE_ID, do="restart")
    emulated.settle(60)
    converges(emulated)
    assert sizes(emulated) == [20, 20, 90]


@pytest.mark.parametrize("limit", [5, 60, 61.5])
def test_a_wait_ends_when_its_limit_is_reached(build: Callable[..., Emulated], limit: float) -> None:
    emulated = build(vm(), guest={"bootSeconds": 900})
    write(emulated, (vm(), vm("other", gpus=0)))
    left = emulated.run("apply", "--yes", "--json", "--wait-timeout", str(limit))
    assert left.code == 7, left.out
    assert left.json["report"]["waiting"] == {"VirtualMachine/other": "still creating"}
    assert abs(left.json["report"]["seconds"] - limit) < 2
    emulated.settle()
    converges(emulated)


def test_a_limit_also_ends_a_read_without_an_answer(build: Callable[..., Emulated]) -> None:
    emulated = build(vm(), guest={"bootSeconds": 900})
    write(emulated, (vm(), vm("other", gpus=0)))

    async def strike() -> None:
        await asyncio.sleep(30)
        await act(emulated, ("/faults", {"op": "*", "kind": "hang", "times": 99}))

    emulated.network.keep(emulated.loop.create_task(strike()))
    left = emulated.run("apply", "--yes", "--json", "--wait-timeout", "60")
    assert abs(left.json["report"]["seconds"] - 60) < 2, left.out
    inject(emulated, "/faults/clear")
    emulated.settle()
    converges(emulated)


def create_without_libvirt(emulated: Emulated) -> Any:
    """The apply of a VM whose creation is queued while its node has no connection to libvirt."""
    inject(emulated, "/faults", op="tasks.create", **FROZEN)
    return emulated.run("apply", "--yes", "--allow-data-loss")


def test_a_creation_without_a_domain_is_followed_by_the_next_generation(build: Callable[..., Emulated]) -> None:
    emulated = build()
    write(emulated, (vm(),))
    failed = create_without_libvirt(emulated)
    assert failed.code == 1
    [stuck] = emulated.vms
    assert f"{stuck} has no domain; only a restart of the DBC service of Node/gpu-a deletes it" in failed.err
    emulated.settle(120)
    planned = emulated.run("plan")
    assert "Node/gpu-a cannot delete VirtualMachine/trainer" in planned.out + planned.err
    assert emulated.run("apply", "--yes").code == 0
    assert sorted(m["domain"] for m in emulated.vms.values()) == ["none", "running"]
    unchanged = emulated.run("plan", "--detailed-exitcode")
    assert unchanged.code == 0, unchanged.out
    assert "Restart the DBC service of Node/gpu-a." in unchanged.out + unchanged.err
    assert set(emulated.run("state", "list", "--json").json) >= {"VirtualMachine/trainer", "VirtualMachine/trainer~1"}
    inject(emulated, "/node", id=NODE_ID, do="restart")
    emulated.settle(60)
    converges(emulated)
    assert running(emulated)
    assert "VirtualMachine/trainer~1" not in emulated.run("state", "list", "--json").json


def test_a_replacement_without_a_domain_is_followed_by_the_next_generation(build: Callable[..., Emulated]) -> None:
    emulated = build(vm())
    write(emulated, (vm(image="win10.qcow2"),))
    failed = create_without_libvirt(emulated)
    assert failed.code in {1, 7}, failed.err
    assert sorted(m["domain"] for m in emulated.vms.values()) == ["none", "running"], failed.err
    emulated.settle(120)
    converges(emulated)
    assert sorted(m["domain"] for m in emulated.vms.values()) == ["none", "running"]
    inject(emulated, "/node", id=NODE_ID, do="restart")
    emulated.settle(60)
    converges(emulated)
    assert running(emulated)


def test_a_failed_creation_that_is_not_in_the_manifests_stays_until_the_node_restarts(
    build: Callable[..., Emulated],
) -> None:
    emulated = build()
    write(emulated, (vm(),))
    create_without_libvirt(emulated)
    emulated.settle(120)
    write(emulated, ())
    unchanged = emulated.run("apply", "--yes", "--allow-data-loss")
    assert unchanged.code == 0, unchanged.err
    destroyed = emulated.run("destroy", "--yes")
    assert destroyed.code == 1
    assert "Restart the DBC service of Node/gpu-a, and apply again." in destroyed.err
    inject(emulated, "/node", id=NODE_ID, do="restart")
    emulated.settle(60)
    converges(emulated)
    assert emulated.run("state", "list", "--json").json == []


def test_a_failed_creation_shows_the_last_errors_of_the_log(build: Callable[..., Emulated]) -> None:
    emulated = build(passthrough=False)
    write(emulated, (vm(),))
    failed = emulated.run("apply", "--yes")
    assert failed.code == 1
    assert "create error: create domain failed" in failed.err
    assert "virDomainCreate error: unsupported configuration: host doesn't support passthrough" in failed.err
    assert "`dbc-iac vm logs VirtualMachine/trainer`" in failed.err
    assert emulated.run("vm", "logs", "VirtualMachine/trainer").code == 0


def test_a_deletion_whose_job_failed_is_repeated(build: Callable[..., Emulated]) -> None:
    emulated = build(vm())
    inject(emulated, "/faults", op="tasks.delete", **FROZEN)
    applied = emulated.run("destroy", "--yes", "--json")
    assert (applied.code, emulated.vms) == (0, {}), applied.out
    assert applied.json["report"]["seconds"] < 900


def test_a_field_without_a_value_reads_none() -> None:
    change: dict[str, Json] = {"publicIp": None, "ports.forward": ["tcp,80:80"]}
    goal = VmModified(address="VirtualMachine/a", route=Route("", "", "", ()), change=change, public_ip="")
    assert goal.action_text == "setting publicIp to none, ports.forward to [tcp,80:80]"
