"""Invariants of random request sequences; waits without polling."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbc_iac.emulator.gpu.states import TRANSITIONAL, DomainState, Status
from tests.emulator.gpu.harness import CREATE, Node, VirtualClock, machine_rental, run, spec

IDS = ("7aaaaaaaaaaaaaaaaaaaaa", "7bbbbbbbbbbbbbbbbbbbbb")
_OPS = ("start", "shutdown", "poweroff", "stop", "restart", "reset", "delete", "details", "logs")
_STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(IDS), st.sampled_from(["0", "1", "2"])),
    st.tuples(st.sampled_from(_OPS), st.sampled_from(IDS), st.just("")),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from(["0.1", "2", "30", "1000"])),
    st.tuples(st.just("disk.add"), st.sampled_from(IDS), st.just("")),
    st.tuples(st.just("modify"), st.sampled_from(IDS), st.sampled_from(["1", "2", "4"])),
    st.tuples(st.just("crash"), st.sampled_from(IDS), st.just("")),
    st.tuples(st.just("restart daemon"), st.just(""), st.just("")),
)


async def _do(node: Node, kind: str, task_id: str, value: str) -> None:
    if kind == "create":
        port = 6000 + IDS.index(task_id)
        keys = {"task_id": task_id, "gpu_count": value, "ssh_port": str(port), "vnc_port": str(port + 100)}
        await node.ask("tasks.create", **CREATE | keys)
    elif kind == "wait":
        await node.clock.sleep(float(value))
    elif kind == "disk.add":
        await node.ask("disk.add", task_id, size=1)
    elif kind == "modify":
        await node.ask("tasks.modify", task_id, new_cpu_cores=value, new_gpu_count=value)
    elif kind == "crash":
        if task_id in node.node.machine.libvirt.domains:
            node.admin.set_domain(task_id, DomainState.CRASHED)
    elif kind == "restart daemon":
        node.node.restart()
    else:
        await node.ask(f"tasks.{kind}", task_id)


@settings(max_examples=60)
@given(st.lists(_STEP, max_size=25))
@example([("create", IDS[1], "0"), ("wait", "", "0.1"), ("restart", IDS[1], ""), ("crash", IDS[1], "")])
@example(
    [("create", IDS[0], "2"), ("wait", "", "0.1"), ("modify", IDS[0], "1"), ("create", IDS[1], "1"), ("wait", "", "30"),
     ("crash", IDS[1], "")]
)  # fmt: skip
def test_no_gpu_is_shared_and_the_queue_always_drains(steps: list[tuple[str, str, str]]) -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        for kind, task_id, value in steps:
            await _do(node, kind, task_id, value)
            domains = node.node.machine.libvirt.domains.values()
            uses = Counter(gpu for domain in domains if domain.live is not None for gpu in domain.live.gpus)
            assert not uses or max(uses.values()) == 1
        await node.clock.sleep(4000)
        truth = node.admin.truth()
        assert (truth["queue"], truth["working"], node.deaths) == ([], None, 0)
        for vm in truth["vms"].values():
            stuck = vm["status"] == Status.RESTARTING and vm["domain"]["state"] == DomainState.CRASHED
            assert vm["status"] not in TRANSITIONAL or stuck
        used = {disk["file"] for vm in truth["vms"].values() for disk in vm["disks"].values()}
        assert {file for file in truth["files"] if "/vm_" in file or "/data_" in file} <= used
        again = Node(spec(), machine_rental())
        again.node.from_state(json.loads(json.dumps(node.node.to_state())))
        assert again.admin.truth()["vms"] == truth["vms"]

    run(test)


class _CountingClock(VirtualClock):
    sleeps = 0

    async def sleep(self, seconds: float) -> None:
        type(self).sleeps += 1
        await super().sleep(seconds)


def test_a_fifty_minute_wait_takes_a_dozen_sleeps() -> None:
    async def test() -> None:
        node = Node(spec(guest={"dhcp": False}), machine_rental())
        node.node.machine.clock = _CountingClock()
        _CountingClock.sleeps = 0
        task_id = await node.create()
        await node.clock.sleep(3100)
        assert await node.status(task_id) == "create error"
        assert _CountingClock.sleeps < 30 + 3100 / node.node.machine.spec.durations.prune_busy

    run(test)


def test_a_node_without_vms_and_lans_has_no_timers() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        node.node.machine.clock = _CountingClock()
        _CountingClock.sleeps = 0
        await node.clock.sleep(100_000)
        assert _CountingClock.sleeps == 0

    run(test)
