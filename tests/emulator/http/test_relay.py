"""Relaying: time-outs, lost time-outs, slots, gossip, restarts, injected faults."""

from __future__ import annotations

import asyncio

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.http.answer import Dropped
from tests.emulator.front import MANAGER_ID, NODE_ID, WORLD, Front, passes, run

GONE = (400, (-32701, "create node request failed"))


def fault(front: Front, kind: str, op: str = "tasks.list", **more: object) -> None:
    front.network.faults.add(FaultSpec.model_validate({"op": op, "kind": kind, **more}))


def test_a_time_out_answers_after_thirty_seconds_without_effect() -> None:
    async def test() -> None:
        front = Front()
        fault(front, "time-out")
        began = front.network.clock.now()
        assert await front.post("/tasks", front.mine()) == (500, (-1, "list task timeout"))
        assert 30.0 <= front.network.clock.now() - began <= 30.2
        assert not front.network.nodes[NODE_ID].authority.nonces

    run(test)


def test_the_end_of_a_request_removes_the_time_outs_of_its_endpoint() -> None:
    async def test() -> None:
        front = Front()
        fault(front, "time-out")
        lost = asyncio.ensure_future(front.post("/tasks", front.mine()))
        await passes(1)
        assert (await front.post("/tasks/none", front.mine()))[0] == 200  # the same endpoint as the list
        await passes(600)
        assert not lost.done()
        assert front.network.clients["default"].relay.pending == 1
        lost.cancel()

    run(test)


def test_a_later_request_of_the_endpoint_restores_the_time_out() -> None:
    async def test() -> None:
        front = Front()
        fault(front, "time-out")
        fault(front, "slow", nth=3, seconds=25.0)
        first = asyncio.ensure_future(front.post("/tasks", front.mine()))
        await passes(1)
        await front.post("/tasks", front.mine())
        await passes(20)
        third = asyncio.ensure_future(front.post("/tasks", front.mine()))
        assert (await first)[0] == 500
        assert (await third)[0] == 200

    run(test)


def test_two_time_outs_of_one_tick_are_both_answered() -> None:
    async def test() -> None:
        front = Front()
        fault(front, "time-out", "*", times=2)
        both = await asyncio.gather(front.post("/tasks", front.mine()), front.post("/tasks/x", front.mine()))
        assert [status for status, _ in both] == [500, 500]

    run(test)


def test_leaked_slots_block_every_call_until_the_client_node_restarts() -> None:
    async def test() -> None:
        front = Front()
        front.network.begin()
        client = front.network.clients["default"]
        client.leak(1024)
        assert await front.post("/tasks", front.mine()) == (400, (-32701, "create request session failed"))
        client.restart()
        assert await front.post("/tasks", front.mine()) == GONE
        await passes(11)
        assert (await front.post("/tasks", front.mine()))[1][0] == 0

    run(test)


def test_a_late_request_is_executed_after_its_time_out() -> None:
    async def test() -> None:
        front = Front()
        fault(front, "late", "lan.create", seconds=100.0)
        body = front.mine(network_name="testnet1", ip_cidr="192.168.66.0/24")
        assert (await front.post("/lan/create", body))[0] == 500
        assert not front.network.nodes[NODE_ID].truth()["lans"]
        await passes(100)
        assert list(front.network.nodes[NODE_ID].truth()["lans"]) == ["testnet1"]

    run(test)


@pytest.mark.parametrize(("kind", "done"), [("reset", False), ("drop", True), ("cut", True), ("hang", False)])
def test_broken_connections(kind: str, done: bool) -> None:
    async def test() -> None:
        front = Front()
        fault(front, kind, "lan.create")
        body = front.mine(network_name="testnet1", ip_cidr="192.168.66.0/24")
        task = asyncio.ensure_future(front.network.ask("default", "POST", "/api/v1/lan/create", _json(body)))
        await asyncio.wait({task}, timeout=300)
        if kind == "hang":
            assert not task.done()
            task.cancel()
        elif kind == "cut":
            assert task.result().broken == 0.5
        else:
            assert isinstance(task.exception(), Dropped)
        assert bool(front.network.nodes[NODE_ID].truth()["lans"]) is done

    run(test)


def test_a_fault_is_limited_to_its_target_and_client() -> None:
    async def test() -> None:
        front = Front({**WORLD, "clients": ["one", "two"]})
        fault(front, "offline", "*", target=NODE_ID, client="one", times=99)
        assert await front.post("/tasks", front.mine(), "one") == GONE
        assert (await front.post("/tasks", front.mine(), "two"))[1][0] == 0

    run(test)


def test_a_dead_node_times_out_for_five_minutes_and_is_unknown_afterwards() -> None:
    async def test() -> None:
        front = Front({**WORLD, "restartSeconds": 0})
        front.network.begin()
        front.network.nodes[NODE_ID].die()
        assert (await front.post("/tasks", front.mine()))[0] == 500
        await passes(280)
        assert await front.post("/tasks", front.mine()) == GONE

    run(test)


def test_a_restarted_node_is_unreachable_for_ten_seconds() -> None:
    async def test() -> None:
        front = Front()
        front.network.begin()
        front.network.nodes[NODE_ID].die()
        await passes(15)
        assert (await front.post("/mining_nodes", front.body()))[0] == 500
        assert (await front.post("/mining_nodes", front.body()))[0] == 200

    run(test)


def test_a_client_node_that_crashes_forgets_all_nodes() -> None:
    async def test() -> None:
        front = Front()
        with pytest.raises(Dropped):
            await front.network.ask("default", "POST", "/api/v1/tasks", b'{"peer_nodes_list": [1], "additional": {}}')
        with pytest.raises(Dropped) as refused:
            await front.post("/tasks", front.mine())
        assert refused.value.refused
        await passes(12)
        assert await front.post("/mining_nodes", front.body(None)) == (200, (0, {"mining_nodes": []}))
        await passes(10)
        assert len((await front.post("/mining_nodes", front.body(None)))[1][1]["mining_nodes"]) == 1

    run(test)


def test_a_restart_loses_nonces_and_keeps_sessions() -> None:
    async def test() -> None:
        front = Front()
        request = front.mine()
        session = (await front.post("/mining_nodes/session_id", request))[1][1]["session_id"]
        refused = (200, (-3, "check authority failed: nonce check failed"))
        assert await front.post("/tasks", request) == refused
        front.network.nodes[NODE_ID].restart()
        await passes(11)
        assert (await front.post("/mining_nodes/session_id", request))[1][1]["session_id"] == session

    run(test)


def test_a_node_at_its_own_port_never_reaches_itself() -> None:
    async def test() -> None:
        front = Front()
        listed = await front.post("/mining_nodes", front.body(None), NODE_ID)
        assert [n["node_id"] for n in listed[1][1]["mining_nodes"]] == [NODE_ID]
        assert await front.post("/tasks", front.mine(), "gpu-a") == (500, (-1, "list task timeout"))
        assert (await front.post("/bare_metal", front.body(None), "gpu-a"))[1] == (-32600, "not support")
        assert await front.post("/tasks", front.mine(MANAGER_ID), "gpu-a") == GONE

    run(test)


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


def test_a_frozen_process_loses_libvirt_for_a_minute() -> None:
    async def test() -> None:
        front = Front()
        body = {
            "task_id": "1abcdefghijklmnopqrst", "image_name": "ubuntu.qcow2", "desc": "a vm", "ssh_port": "20000",
            "vnc_port": "20001", "gpu_count": "4", "cpu_cores": "2", "mem_size": "4", "disk_size": "10",
            "operation_system": "linux", "bios_mode": "legacy",
        }  # fmt: skip
        fault(front, "freeze", op="tasks.create", seconds=33.0)
        assert (await front.post("/tasks/start", front.mine(**body)))[0] == 200
        began = front.network.clock.now()
        assert (await front.post("/tasks", front.mine()))[0] == 500  # it answers after 33 s: too late
        await passes(60)
        [listed] = (await front.post("/tasks", front.mine()))[1][1]
        assert listed["status"] == "create error"
        await passes(began + 120 - front.network.clock.now())
        for call in ("delete", "logs"):
            assert (await front.post(f"/tasks/{call}/{listed['task_id']}", front.mine()))[1] == (1, "task not exist")
        front.network.nodes[NODE_ID].restart()
        await passes(20)
        assert (await front.post("/tasks", front.mine()))[1] == (0, [])

    run(test)


def test_a_short_freeze_loses_nothing() -> None:
    async def test() -> None:
        front = Front()
        front.network.nodes[NODE_ID].freeze(10.0)
        began = front.network.clock.now()
        assert (await front.post("/tasks", front.mine()))[0] == 200
        assert front.network.clock.now() - began >= 10
        assert front.network.nodes[NODE_ID].node.machine.libvirt.connected

    run(test)
