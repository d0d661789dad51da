"""Start, stop, restart, reset, delete, passwd, logs: accepted states and results of the jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbc_iac.emulator.gpu.spec import GuestSpec
from dbc_iac.emulator.gpu.states import DomainState
from tests.emulator.gpu.harness import CREATE, Caller, Node, Order, Rentals, machine_rental, run, spec

OK = "ok"
_S = DomainState
ACCEPTANCE: dict[str, dict[DomainState, str]] = {
    "start": {
        _S.SHUTOFF: OK, _S.RUNNING: "running", _S.PAUSED: "paused", _S.BLOCKED: "blocked",
        _S.SHUTDOWN: "being shutdown", _S.CRASHED: "crashed", _S.PMSUSPENDED: OK,
    },
    "shutdown": {
        _S.SHUTOFF: "shut_off", _S.RUNNING: OK, _S.PAUSED: OK, _S.BLOCKED: OK,
        _S.SHUTDOWN: "being shutdown", _S.CRASHED: OK, _S.PMSUSPENDED: OK,
    },
    "poweroff": {
        _S.SHUTOFF: "shut_off", _S.RUNNING: OK, _S.PAUSED: OK, _S.BLOCKED: OK,
        _S.SHUTDOWN: OK, _S.CRASHED: OK, _S.PMSUSPENDED: OK,
    },
    "restart": {
        _S.SHUTOFF: OK, _S.RUNNING: OK, _S.PAUSED: "paused", _S.BLOCKED: "blocked",
        _S.SHUTDOWN: "being shutdown", _S.CRASHED: "crashed", _S.PMSUSPENDED: "suspended",
    },
    "reset": {
        _S.SHUTOFF: "shut_off", _S.RUNNING: OK, _S.PAUSED: "paused", _S.BLOCKED: "blocked",
        _S.SHUTDOWN: "being shutdown", _S.CRASHED: "crashed", _S.PMSUSPENDED: "suspended",
    },
    "delete": dict.fromkeys(_S, OK),
    "modify": dict.fromkeys(_S, OK),
}  # fmt: skip
ACCEPTANCE["stop"] = ACCEPTANCE["poweroff"]
del ACCEPTANCE["delete"][_S.NONE], ACCEPTANCE["modify"][_S.NONE]


@pytest.mark.parametrize("op", ACCEPTANCE)
def test_acceptance_depends_on_the_state_of_the_domain(op: str) -> None:
    async def test() -> None:
        for state, word in ACCEPTANCE[op].items():
            node = Node(spec(), machine_rental())
            task_id = await node.created()
            node.admin.set_domain(task_id, state)
            expected = OK if word == OK else [1, f"task is {word}"]
            assert await node.ask(f"tasks.{op}", task_id) == expected, state
            assert await node.ask(f"tasks.{op}", "nosuch") == [1, "task not exist"]

    run(test)


@pytest.mark.parametrize("op", ["start", "shutdown", "stop", "restart", "reset", "delete", "modify", "passwd", "logs"])
def test_a_record_without_a_domain_is_unreachable(op: str) -> None:
    async def test() -> None:
        node = Node(spec(guest={"defines": False}), machine_rental())
        task_id = await node.create()
        await node.until(task_id, "create error")
        assert await node.ask(f"tasks.{op}", task_id) == [1, "task not exist"]

    run(test)


@pytest.mark.parametrize(
    ("op", "query", "during", "after", "least", "most"),
    [
        ("shutdown", "", "being shutdown", "closed", 2, 4),
        ("poweroff", "", "being poweroff", "closed", 2, 4),
        ("stop", "", "being poweroff", "closed", 2, 4),
        ("restart", "", "restarting", "running", 0, 2),
        ("restart", "force_reboot=true", "restarting", "running", 6, 9),
        ("restart", "force_reboot=2", "restarting", "running", 6, 9),
        ("restart", "force_reboot=TRUE", "restarting", "running", 0, 2),
        ("reset", "", "resetting", "running", 0, 2),
        ("delete", "", "deleting", "gone", 2, 4),
    ],
)
def test_each_job_has_a_status_and_a_duration(
    op: str, query: str, during: str, after: str, least: float, most: float
) -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        began = node.clock.now()
        assert await node.ask(f"tasks.{op}", task_id, query=query) == OK
        assert await node.status(task_id) == during
        assert await node.until(task_id, after) == after
        assert least <= node.clock.now() - began <= most

    run(test)


def test_a_start_takes_two_seconds_and_then_blocks_the_queue_for_the_address() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.closed()
        began = node.clock.now()
        assert await node.ask("tasks.start", task_id) == OK
        assert await node.status(task_id) == "starting"
        assert await node.until(task_id, "running") == "running"
        assert node.clock.now() - began < 3
        assert await node.ask("tasks.restart", task_id) == OK
        assert await node.status(task_id) == "restarting"
        assert await node.until(task_id, "running") == "running"
        assert 3 < node.clock.now() - began < 7

    run(test)


def test_a_request_during_a_stop_waits_and_shows_the_earlier_status() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        await node.ask("tasks.shutdown", task_id)
        began = node.clock.now()
        assert (await node.ask("tasks.details", task_id))["status"] == "being shutdown"
        assert 2 < node.clock.now() - began < 2.7
        await node.ask("tasks.start", task_id)
        await node.idle()
        await node.ask("tasks.shutdown", task_id)
        assert await node.ask("disk.add", task_id, size=1) == OK  # it waited until the domain was off

    run(test)


def test_the_state_is_checked_when_queued_and_the_last_accepted_operation_is_shown() -> None:
    async def test() -> None:
        node = Node(spec(guest={"agent": False}), machine_rental())
        task_id = await node.create()
        await node.clock.sleep(30)
        for op, status in [("shutdown", "being shutdown"), ("poweroff", "being poweroff"), ("reset", "resetting")]:
            assert await node.ask(f"tasks.{op}", task_id) == OK
            assert await node.status(task_id) == status
        assert await node.ask("tasks.start", task_id) == [1, "task is running"]
        await node.clock.sleep(400)
        assert await node.status(task_id) == "closed"  # the reset found it off, which it takes for success

    run(test)


def test_a_create_without_an_address_blocks_everybodys_jobs() -> None:
    async def test() -> None:
        images = [{"name": "ubuntu.qcow2"}, {"name": "deaf.qcow2", "guest": {"dhcp": False}}]
        node = Node(spec(images=images), machine_rental())
        good = await node.created()
        deaf = await node.create(image_name="deaf.qcow2", ssh_port="1", vnc_port="6000")
        assert await node.ask("tasks.shutdown", good) == OK
        assert await node.until(good, "closed", 2900) == "being shutdown"
        assert await node.until(deaf, "create error", 300) == "create error"
        assert await node.until(good, "closed", 10) == "closed"
        assert 3000 < node.clock.now() < 3100

    run(test)


def test_a_late_address_is_found_within_a_poll() -> None:
    async def test() -> None:
        node = Node(spec(guest={"dhcp": False}), machine_rental())
        task_id = await node.create()
        await node.clock.sleep(1000)
        node.admin.set_guest(task_id, GuestSpec())
        began = node.clock.now()
        assert await node.until(task_id, "running") == "running"
        assert node.clock.now() - began < 12

    run(test)


def test_a_failed_create_is_repaired_by_start() -> None:
    async def test() -> None:
        node = Node(spec(guest={"starts": False}), machine_rental())
        task_id = await node.create()
        await node.until(task_id, "create error")
        assert await node.ask("tasks.start", task_id) == OK
        assert await node.until(task_id, "start error") == "start error"
        node.admin.set_guest(task_id, GuestSpec())
        assert await node.ask("tasks.start", task_id) == OK
        assert await node.until(task_id, "running") == "running"
        assert await node.ask("tasks.modify", task_id, new_ssh_port="6000") == OK

    run(test)


def test_resources_of_a_stopped_vm_can_be_allocated() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.closed(gpu_count="2")
        refused: list[tuple[dict[str, Any], str]] = [
            ({"cpus": 15}, "cpu count exceeds the maximum"),
            ({"gpus": 1, "memory": 62}, "check gpu failed"),
            ({"ssh_port": 5684}, "check ssh_port failed"),
            ({"vnc_port": 5904}, "check vnc_port failed"),
            ({"rdp_port": 5904}, "check vnc_port failed"),
        ]
        for foreign, text in refused:
            other = node.admin.occupy(**{"vnc_port": 7000} | foreign)
            assert await node.ask("tasks.start", task_id) == [1, text]
            assert await node.ask("tasks.restart", task_id) == [1, text]
            node.admin.remove_vm(other)
        assert await node.ask("tasks.start", task_id) == OK

    run(test)


def test_a_topology_without_a_matching_socket_starts_once() -> None:
    async def test() -> None:
        node = Node(spec(cpus=32, sockets=2), machine_rental())  # 8 cores of 2 threads in each socket
        task_id = await node.closed(cpu_cores="18")
        assert await node.ask("tasks.start", task_id) == [1, "check cpu failed"]

    run(test)


def test_a_missing_gpu_is_removed_silently() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.closed(gpu_count="2")
        node.admin.set_gpus(["01:00.0"])
        assert await node.ask("tasks.start", task_id) == OK
        assert (await node.ask("tasks.details", task_id))["gpu_count"] == 1

    run(test)


def test_start_moves_a_vm_to_a_renewed_order() -> None:
    async def test() -> None:
        rentals = Rentals({"7": Order("7", gpu_num=1, gpu_index=[0]), "8": Order("8", gpu_num=1, gpu_index=[1])})
        node = Node(spec(), rentals)
        reply = await node.ask("tasks.create", caller=Caller(rent_order="7"), **CREATE | {"gpu_count": "1"})
        task_id = reply["task_id"]
        await node.until(task_id, "running")
        await node.idle()
        await node.ask("tasks.shutdown", task_id)
        await node.until(task_id, "closed")
        await node.ask("tasks.start", task_id, caller=Caller(rent_order="8"))
        assert (await node.ask("tasks.details", task_id))["rent_order"] == "7"
        await node.idle()
        await node.ask("tasks.shutdown", task_id)
        await node.until(task_id, "closed")
        rentals.orders["7"].status = "rentExpired"
        assert await node.ask("tasks.start", task_id, caller=Caller(rent_order="8")) == OK
        assert (await node.ask("tasks.details", task_id))["rent_order"] == "8"
        assert node.node.machine.records[task_id].gpus == ["02:00.0"]

    run(test)


def test_a_guest_that_powers_off_is_closed_at_the_next_query() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        for state, status in [(_S.SHUTOFF, "closed"), (_S.PMSUSPENDED, "pmsuspend"), (_S.PAUSED, "running")]:
            node.admin.set_domain(task_id, state)
            assert await node.status(task_id) == status
        node.admin.set_domain(task_id, _S.CRASHED)
        assert await node.status(task_id) == "running"

    run(test)


def test_a_delete_removes_every_file() -> None:
    async def test() -> None:
        node = Node(spec(files=["mine.qcow2"]), machine_rental())
        before = set(node.admin.truth()["files"])
        task_id = await node.closed(data_file_name="mine.qcow2")
        await node.ask("disk.add", task_id, size=1)
        await node.idle()
        await node.ask("snapshot.create", task_id, server="ID_1", snapshot_name="s")
        await node.clock.sleep(10)
        assert await node.ask("tasks.delete", task_id) == OK
        assert await node.until(task_id, "gone") == "gone"
        assert set(node.admin.truth()["files"]) == before - {"/data/mine.qcow2"}
        assert await node.ask("tasks.delete", task_id) == [1, "task not exist"]

    run(test)


def test_a_vm_without_a_domain_stays_deleting() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        await node.ask("tasks.restart", task_id)
        assert await node.ask("tasks.delete", task_id) == OK
        assert await node.ask("tasks.delete", task_id) == OK
        node.admin.remove_domain(task_id)
        assert await node.until(task_id, "gone", 60) == "deleting"

    run(test)


def test_passwd_needs_a_running_guest_and_three_seconds() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        assert await node.ask("tasks.passwd", task_id) == [1, "password can not be empty"]
        assert await node.ask("tasks.passwd", task_id, password="x") == [1, "user name can not be empty"]
        began = node.clock.now()
        assert await node.ask("tasks.passwd", task_id, username="root", password="secret12") == OK
        assert 3 <= node.clock.now() - began < 3.1
        shown = await node.ask("tasks.details", task_id)
        assert (shown["user_name"], shown["login_password"]) == ("dbc", "secret12")
        node.admin.set_guest(task_id, GuestSpec(sets_password=False))
        assert (await node.ask("tasks.passwd", task_id, username="dbc", password="y"))[1].startswith("internal error")
        node.admin.set_domain(task_id, _S.SHUTOFF)
        text = "Only the running task can change the password"
        assert await node.ask("tasks.passwd", task_id, username="dbc", password="y") == [1, text]

    run(test)


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("", 0, 11),
        ("flag=head&line_num=3", 0, 3),
        ("flag=tail&line_num=2", 9, 2),
        ("line_num=2", 0, 11),
        ("flag=tail&line_num=1000", 0, 11),
        ("flag=head", 0, 11),
    ],
)
def test_logs_are_cut_from_head_or_tail(query: str, first: int, count: int) -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.create()
        await node.clock.sleep(30)
        everything = (await node.ask("tasks.logs", task_id))["log_content"]
        assert len(everything) == 11
        reply = await node.ask("tasks.logs", task_id, query=query)
        assert reply == {"task_id": task_id, "log_content": everything[first : first + count]}

    run(test)


def test_a_long_log_loses_its_newest_lines() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        for port in range(6000, 6100):
            await node.ask("tasks.modify", task_id, new_ssh_port=str(port))
        lines = (await node.ask("tasks.logs", task_id, query="flag=tail&line_num=99"))["log_content"]
        assert sum(len(line) for line in lines) < 8192
        assert len(lines) < 99

    run(test)


def test_an_unknown_domain_delays_a_start_by_20_s_and_destroys_every_running_domain() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        node.admin.add_unknown_domain("foreign", survives=False)
        began = node.clock.now()
        await node.create(ssh_port="1", vnc_port="6000")
        assert node.clock.now() - began > 20
        assert await node.status(task_id) == "closed"
        node.admin.add_unknown_domain("undead", survives=True)
        text = "start task failed, please try again in a minute"
        assert await node.ask("tasks.start", task_id) == [-3, text]

    run(test)


def test_requests_of_a_dead_process_get_no_answer() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        waiting = asyncio.ensure_future(node.text("tasks.create", **CREATE))
        await node.clock.sleep(0.015)
        node.node.restart()
        with pytest.raises(Exception, match=r"ended during tasks\.create"):
            await waiting
        assert await node.ask("tasks.list") == []

    run(test)
