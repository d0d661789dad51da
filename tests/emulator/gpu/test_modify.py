"""Modify: step by step, not atomic."""

from __future__ import annotations

from typing import Any

import pytest

from dbc_iac.emulator.reply import ProcessDied
from tests.emulator.gpu.harness import CREATE, Caller, Node, Order, Rentals, machine_rental, run, spec

BOOT = "some changes will take effect on the next boot"
OK = "ok"


@pytest.mark.parametrize(
    ("keys", "reply"),
    [
        ({}, OK),
        ({"new_ssh_port": 5587}, OK),
        ({"new_ssh_port": "abc"}, [1, "new_ssh_port abc is invalid! (usage: > 0)"]),
        ({"new_ssh_port": "65536"}, [1, "new_ssh_port 65536 is invalid! (usage: > 0)"]),
        ({"new_rdp_port": "0"}, [1, "new_rdp_port 0 is invalid! (usage: > 0)"]),
        ({"new_ssh_port": "70000"}, OK),
        ({"new_ssh_port": "5600", "new_rdp_port": "5600"}, [1, "new_ssh_port and new_rdp_port are the same!"]),
        ({"new_rdp_port": "5684"}, OK),
        ({"new_ssh_port": "7000"}, [1, "new_ssh_port 7000 has been used!"]),
        ({"new_vnc_port": "7000"}, [1, "new_vnc_port 7000 has been used!"]),
        ({"new_vnc_port": "80"}, [1, "new_vnc_port 80 is invalid! (usage: 5900 =< port <= 65535)"]),
        ({"new_vnc_port": "5986"}, BOOT),
        ({"new_vnc_port": "5904"}, OK),
        ({"new_custom_port": ["sctp,1", "x"]}, OK),
        ({"new_custom_port": "tcp,1"}, OK),
        ({"new_network_filters": ["in,tcp,all,0.0.0.0/0,drop"]}, [1, "modify network filter error"]),
        ({"new_gpu_count": "1"}, BOOT),
        ({"new_gpu_count": "3"}, [1, "allocate gpu failed"]),
        ({"new_gpu_count": "-1"}, [1, "allocate gpu failed"]),
        ({"new_cpu_cores": "100"}, [1, "allocate cpu failed"]),
        ({"new_cpu_cores": "2"}, OK),
        ({"new_cpu_cores": "4"}, BOOT),
        ({"new_mem_size": "1000"}, [1, "allocate memory failed"]),
        ({"new_mem_size": "0"}, [1, "allocate memory failed"]),
        ({"new_mem_size": 8}, OK),
        ({"new_mem_size": "8"}, BOOT),
        ({"new_public_ip": "1.2.3"}, [1, "invalid public ip"]),
        ({"new_public_ip": "10.0.0.2"}, [1, "public ip being used"]),
        ({"new_public_ip": "203.0.113.9"}, OK),
        ({"new_network_name": "nosuch"}, OK),
    ],
)
def test_each_key_has_its_own_answer(keys: dict[str, Any], reply: Any) -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        node.admin.occupy(vnc_port=7000)
        assert await node.ask("tasks.modify", task_id, **keys) == reply

    run(test)


def test_zero_cores_corrupt_the_value() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        text = "defineXML failed: XML error: Invalid value for attribute 'cores' in element 'topology': Zero is not permitted"
        assert await node.ask("tasks.modify", task_id, new_cpu_cores="0") == [1, text]
        assert (await node.ask("tasks.details", task_id))["cpu_cores"] == 0
        assert await node.ask("tasks.modify", task_id, new_cpu_cores="2") == BOOT

    run(test)


def test_negative_cores_crash_libvirt_until_the_daemon_restarts() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        assert (await node.ask("tasks.modify", task_id, new_cpu_cores="-1"))[0] == 1
        assert await node.ask("tasks.shutdown", task_id) == [1, "task not exist"]
        assert await node.status(task_id) == "running"
        node.node.restart()
        assert await node.ask("tasks.shutdown", task_id) == OK

    run(test)


def test_an_absent_address_is_an_empty_one_even_in_a_refused_call() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created(public_ip="203.0.113.9")
        assert (await node.ask("tasks.details", task_id))["ssh_ip"] == "203.0.113.9"
        assert await node.ask("tasks.modify", task_id, new_public_ip="203.0.113.9", new_ssh_port="22") == OK
        assert (await node.ask("tasks.modify", task_id, new_mem_size="1000"))[0] == 1
        assert (await node.ask("tasks.details", task_id))["ssh_ip"] == "203.0.113.7"

    run(test)


def test_equal_ports_are_saved_before_they_are_refused() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        assert (await node.ask("tasks.modify", task_id, new_ssh_port="5600", new_rdp_port="5600"))[0] == 1
        assert (await node.ask("tasks.details", task_id))["ssh_port"] == "5600"

    run(test)


def test_a_filter_that_libvirt_refuses_is_still_shown() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        wrong = ["in,tcp,all,0.0.0.0/0,drop"]
        assert (await node.ask("tasks.modify", task_id, new_network_filters=wrong))[0] == 1
        assert (await node.ask("tasks.details", task_id))["network_filters"] == wrong
        assert await node.ask("tasks.modify", task_id, new_network_filters=[]) == OK
        assert "network_filters" not in await node.ask("tasks.details", task_id)

    run(test)


def test_a_later_refusal_leaves_an_earlier_change_in_memory_only() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        assert (await node.ask("tasks.modify", task_id, new_vnc_port="6000", new_mem_size="1000"))[0] == 1
        assert (await node.ask("tasks.details", task_id))["vnc_port"] == "6000"
        assert await node.ask("tasks.modify", task_id, new_vnc_port="6000") == OK  # and still not applied
        await node.ask("tasks.restart", task_id, query="force_reboot=1")
        await node.idle()
        assert node.admin.truth()["vms"][task_id]["domain"]["live"]["vnc_port"] == 5904
        assert await node.ask("tasks.modify", task_id, new_mem_size="8") == BOOT  # carries all four
        await node.ask("tasks.restart", task_id, query="force_reboot=1")
        await node.idle()
        assert node.admin.truth()["vms"][task_id]["domain"]["live"]["vnc_port"] == 6000

    run(test)


def test_pending_values_are_shown_at_once_and_lost_by_a_daemon_restart() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        assert await node.ask("tasks.modify", task_id, new_cpu_cores="4") == BOOT
        assert (await node.ask("tasks.details", task_id))["cpu_cores"] == 4
        await node.ask("tasks.restart", task_id)
        await node.idle()
        node.node.restart()
        assert (await node.ask("tasks.details", task_id))["cpu_cores"] == 2
        await node.ask("tasks.restart", task_id, query="force_reboot=true")
        await node.idle()
        node.node.restart()
        assert (await node.ask("tasks.details", task_id))["cpu_cores"] == 4

    run(test)


def test_forwards_cannot_be_changed_before_they_exist() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.create()
        await node.clock.sleep(5)
        refused: list[tuple[dict[str, Any], str]] = [
            ({"new_ssh_port": "6000"}, "ssh port"),
            ({"new_rdp_port": "6000"}, "rdp port"),
            ({"new_custom_port": ["tcp,1"]}, "custom port"),
            ({"new_public_ip": "203.0.113.9"}, "public ip"),
        ]
        for keys, what in refused:
            text = f"can not find iptable info when modify {what}"
            assert await node.ask("tasks.modify", task_id, **keys) == [1, text]

    run(test)


def test_a_custom_port_of_another_type_crashes_the_process() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        with pytest.raises(ProcessDied):
            await node.ask("tasks.modify", task_id, new_custom_port=[1])
        assert node.deaths == 1

    run(test)


def test_a_partial_order_cannot_change_gpus_cores_and_memory() -> None:
    async def test() -> None:
        rentals = Rentals({"7": Order("7", gpu_num=1, gpu_index=[0])})
        node = Node(spec(), rentals)
        caller = Caller(rent_order="7")
        reply = await node.ask("tasks.create", caller=caller, **CREATE | {"gpu_count": "1"})
        await node.until(reply["task_id"], "running")
        for key, what in [("gpu_count", "gpu count"), ("cpu_cores", "cpu cores"), ("mem_size", "mem size")]:
            changed = await node.ask("tasks.modify", reply["task_id"], caller=caller, **{f"new_{key}": "1"})
            assert changed == [1, f"can not modify {what}"]
        del rentals.orders["7"]
        changed = await node.ask("tasks.modify", reply["task_id"], caller=caller)
        assert changed == [1, "gpu rent order is empty"]

    run(test)


def test_with_a_public_address_a_used_port_is_accepted_until_the_start() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.closed(public_ip="203.0.113.9")
        node.admin.occupy(vnc_port=7000)
        assert await node.ask("tasks.modify", task_id, new_public_ip="203.0.113.9", new_ssh_port="7000") == OK
        assert await node.ask("tasks.start", task_id) == [1, "check ssh_port failed"]

    run(test)


def test_growing_a_running_vm_needs_the_whole_new_size_free() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created(gpu_count="1", mem_size="32")
        assert await node.ask("tasks.modify", task_id, new_mem_size="40") == [1, "allocate memory failed"]
        await node.ask("tasks.shutdown", task_id)
        await node.until(task_id, "closed")
        assert await node.ask("tasks.modify", task_id, new_mem_size="40") == BOOT

    run(test)
