"""Create: order and texts of the checks, details of the VM, failures."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.reply import ProcessDied
from tests.emulator.gpu.harness import CREATE, Caller, Node, Order, Rentals, machine_rental, run, spec

LAST = {"interface_model_type": "ne2k"}
"""Value refused by the last check: a create with it has passed all others."""

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"task_id": "abc"}, "wrong task id length"),
    ({"task_id": "a-a-a-a-a-a-a-a-a-a-"}, "task id requires a combination of letters or numbers"),
    ({"gpu_count": "-1"}, "gpu_count is invalid (usage: gpu_count >= 0)"),
    ({"gpu_count": "3"}, "gpu_count exceeds number of leases"),
    ({"operation_system": "BSD"}, "unsupported operation system: bsd (usage: 'linux' 'windows')"),
    ({"bios_mode": "Foo"}, "unsupported bios mode: foo (usage: 'legacy(default)'、'uefi'、'pxe')"),
    ({"image_name": None}, "image_name is empty"),
    ({"image_name": 5}, "image_name is empty"),
    ({"image_name": "a.img"}, "'image_name' extension name is invalid"),
    ({"image_name": "nosuch.qcow2"}, "'image_name' is not exist (path:/data/nosuch.qcow2)"),
    ({"image_name": "../etc/x.qcow2"}, "'image_name' is not exist (path:/data/../etc/x.qcow2)"),
    ({"image_name": "child.qcow2"}, "image backfile not exist: /data/gone.qcow2"),
    ({"public_ip": "1.2.3"}, "invalid public ip"),
    ({"public_ip": "10.0.0.2"}, "public ip being used"),
    ({"ssh_port": None}, "ssh_port is empty"),
    ({"ssh_port": 5684}, "ssh_port is empty"),
    ({"ssh_port": "-5"}, "ssh_port is not digit"),
    ({"operation_system": "windows"}, "rdp_port is empty"),
    ({"operation_system": "windows", "rdp_port": "x"}, "rdp_port is not digit"),
    ({"vnc_port": ""}, "vnc_port is empty"),
    ({"vnc_port": "5x"}, "vnc_port is not digit"),
    ({"vnc_port": "70000"}, "vnc_port is invalid (usage: [5900, 65535])"),
    ({"cpu_cores": 1}, "cpu_cores is invalid"),
    ({"cpu_cores": "17"}, "allocate cpu failed"),
    ({"cpu_cores": "99999999999999"}, "allocate cpu failed"),
    ({"mem_size": "0.5"}, "mem_size is invalid"),
    ({"mem_size": "64"}, "allocate mem failed"),
    ({"disk_size": "0"}, "disk_size is invalid (usage: disk_size > 0)"),
    ({"disk_size": "675"}, "allocate disk failed"),
    ({"data_file_name": "nosuch.qcow2"}, "data_file_name is not exist, path: /data/nosuch.qcow2"),
    ({"network_name": "nosuch"}, "can not find network info"),
    ({"multicast": ["230.0.0.1"]}, "multicast format: ip:port"),
    ({"multicast": ["10.0.0.1:5558"]}, "address is not a multicast address"),
    ({"multicast": ["230.0.0.1:99999"]}, "invalid multicast port"),
    ({"interface_model_type": "virtio"}, "invalid interface model type"),
]
_IMAGES = [{"name": "ubuntu.qcow2"}, {"name": "child.qcow2", "base": "/data/gone.qcow2"}]


def _node(rentals: Rentals | None = None, **changes: Any) -> Node:
    return Node(spec(images=_IMAGES, **changes), rentals or machine_rental())


@pytest.mark.parametrize(("changes", "text"), REFUSALS)
def test_a_refusal_has_the_text_of_the_node(changes: dict[str, Any], text: str) -> None:
    async def test() -> None:
        node = _node()
        body = {key: value for key, value in {**CREATE, **changes}.items() if value is not None}
        assert await node.ask("tasks.create", **body) == [1, text]
        assert await node.ask("tasks.list") == []

    run(test)


def test_the_first_of_two_errors_is_reported() -> None:
    async def test() -> None:
        node = _node()
        ordered = [one for one in REFUSALS if one[0].get("operation_system") != "windows"]
        for earlier, later in itertools.pairwise(ordered):
            both = {**CREATE, **later[0], **earlier[0]}
            body = {key: value for key, value in both.items() if value is not None}
            assert await node.ask("tasks.create", **body) == [1, earlier[1]]

    run(test)


@pytest.mark.parametrize(
    "changes",
    [
        {"ssh_port": "70000"},
        {"vnc_port": "75000"},
        {"gpu_count": 2},
        {"bios_mode": "pxe", "image_name": "child.qcow2", "disk_size": None},
        {"public_ip": "203.0.113.9", "ssh_port": None},
        {"custom_port": "tcp,1", "network_filters": [5, "x"]},
    ],
)
def test_values_without_a_check_are_accepted(changes: dict[str, Any]) -> None:
    async def test() -> None:
        body = {key: value for key, value in {**CREATE, **changes, **LAST}.items() if value is not None}
        assert await _node().ask("tasks.create", **body) == [1, "invalid interface model type"]

    run(test)


def test_a_multicast_group_other_than_ipv4_crashes_the_process() -> None:
    async def test() -> None:
        with pytest.raises(ProcessDied):
            await _node().ask("tasks.create", **CREATE, multicast=["host:1"])

    run(test)


def test_an_order_limits_the_number_of_gpus() -> None:
    async def test() -> None:
        rentals = Rentals(
            {"7": Order("7", gpu_num=1, gpu_index=[1]), "8": Order("8"), "9": Order("9", renter="5Other")}
        )
        node = Node(spec(), rentals)
        for order, count, expected in [
            ("7", "0", "only use the number what you exactly rented"),
            ("7", "2", "gpu_count exceeds number of leases"),
            ("8", "0", "order gpu index is empty"),
            ("9", "1", "order gpu index is empty"),
            ("nosuch", "1", "order gpu index is empty"),
            ("7", "1", "invalid interface model type"),
        ]:
            body = {**CREATE, **LAST, "gpu_count": count}
            assert await node.ask("tasks.create", caller=Caller(rent_order=order), **body) == [1, expected]
        half = {**CREATE, "gpu_count": "1", "cpu_cores": "9"}
        assert await node.ask("tasks.create", caller=Caller(rent_order="7"), **half) == [1, "allocate cpu failed"]
        half = {**CREATE, "gpu_count": "1", "mem_size": "33"}
        assert await node.ask("tasks.create", caller=Caller(rent_order="7"), **half) == [1, "allocate mem failed"]

    run(test)


def test_gpus_are_allocated_at_once_and_cores_and_ports_while_running() -> None:
    async def test() -> None:
        node = _node()
        first = await node.create(gpu_count="2", cpu_cores="16")
        second = await node.create(cpu_cores="16")
        assert await node.ask("tasks.create", **CREATE | {"gpu_count": "1"}) == [1, "allocate gpu failed"]
        assert await node.until(first, "running") == "running"
        assert await node.until(second, "create error") == "create error"
        for changes, text in [
            ({}, "port conflict, exist ssh_port = 5684"),
            ({"ssh_port": "1"}, "port conflict, exist vnc_port = 5904"),
            ({"ssh_port": "5904"}, "port conflict, exist vnc_port = 5904"),
            ({"ssh_port": "1", "vnc_port": "6000"}, "allocate cpu failed"),
        ]:
            assert await node.ask("tasks.create", **CREATE | changes) == [1, text]
        assert await node.ask("tasks.shutdown", first) == "ok"
        await node.until(first, "closed")
        assert await node.ask("tasks.create", **CREATE | LAST | {"gpu_count": "1"}) == [
            1,
            "invalid interface model type",
        ]

    run(test)


def test_a_chosen_id_is_accepted_once() -> None:
    async def test() -> None:
        node = _node()
        mine = "7abcdefghijklmnopqrstu"
        assert await node.create(task_id=mine) == mine
        assert await node.ask("tasks.create", **CREATE | {"task_id": mine}) == [1, "task id already existed"]

    run(test)


def test_ids_of_the_node_are_22_letters_and_digits_and_unique() -> None:
    async def test() -> None:
        node = Node(spec(cpus=2000, memory=2000, disk=90_000), machine_rental())
        ids = [await node.create(ssh_port=str(n), vnc_port=str(6000 + n)) for n in range(1, 51)]
        assert len(set(ids)) == 50
        assert all(len(one) == 22 and one.isalnum() for one in ids)

    run(test)


def test_details_have_the_order_and_units_of_the_node() -> None:
    async def test() -> None:
        node = _node()
        caller = Caller(rent_order="7")
        node.rentals.orders["7"] = Order("7", gpu_num=2, gpu_index=[0, 1])
        reply = await node.ask("tasks.create", caller=caller, **CREATE, network_filters=["in,tcp,22,0.0.0.0/0,accept"])
        shown = await node.ask("tasks.details", reply["task_id"])
        assert list(shown) == [
            "task_id", "os", "ssh_ip", "ssh_port", "user_name", "login_password", "cpu_cores", "gpu_count", "mem_size",
            "disk_system", "vnc_port", "vnc_password", "create_time", "desc", "status", "rent_order", "disks",
            "network_filters", "interface",
        ]  # fmt: skip
        assert (shown["cpu_cores"], shown["gpu_count"], shown["mem_size"], shown["ssh_port"]) == (2, 0, "4G", "5684")
        assert [disk["size"] for disk in shown["disks"]] == ["350G", "10G"]
        assert shown["vnc_password"] == shown["login_password"][:8]
        assert shown["interface"] == []
        await node.until(reply["task_id"], "running")
        assert (await node.ask("tasks.details", reply["task_id"]))["interface"][0]["name"] == "default"

    run(test)


def test_details_show_the_rdp_port_of_windows_and_no_disks_of_pxe() -> None:
    async def test() -> None:
        node = _node()
        windows = await node.ask("tasks.details", await node.create(operation_system="WINdows", rdp_port="3390"))
        assert (windows["os"], windows["rdp_port"], windows["user_name"]) == ("windows", "3390", "Administrator")
        assert "ssh_port" not in windows
        pxe = await node.create(bios_mode="pxe", image_name="child.qcow2", vnc_port="6000", ssh_port="6001")
        assert await node.until(pxe, "running") == "running"
        shown = await node.ask("tasks.details", pxe)
        assert "disks" not in shown
        assert shown["interface"] == []
        assert shown["disk_system"] == "350G"

    run(test)


def test_nothing_is_escaped() -> None:
    async def test() -> None:
        node = _node()
        await node.text("tasks.create", **CREATE | {"desc": 'a "b"\n'})
        assert '"desc":"a "b"\n"' in await node.text("tasks.list")

    run(test)


def test_a_vm_belongs_to_its_wallet_only_when_read() -> None:
    async def test() -> None:
        node = _node()
        task_id = await node.created()
        other = Caller("5Other")
        assert await node.ask("tasks.list", caller=other) == []
        assert await node.ask("tasks.details", task_id, caller=other) == [-3, "task_id not exist"]
        assert await node.ask("tasks.shutdown", task_id, caller=other) == "ok"

    run(test)


FAILURES: list[tuple[dict[str, Any], dict[str, Any], float, DomainState | None, str]] = [
    ({"guest": {"starts": False}}, {}, 1, DomainState.SHUTOFF, "create domain failed"),
    ({"passthrough": False}, {"gpu_count": "1"}, 1, DomainState.SHUTOFF, "create domain failed"),
    ({"guest": {"defines": False}}, {}, 1, None, "create domain failed"),
    ({}, {"network_filters": ["in,tcp,all,0.0.0.0/0,accept"]}, 1, None, "create network filter failed"),
    ({"guest": {"dhcp": False}}, {}, 3060, DomainState.SHUTOFF, "create task failed"),
    ({"hostIp": ""}, {}, 20, DomainState.SHUTOFF, "create task failed"),
]


@pytest.mark.parametrize(("world", "changes", "seconds", "domain", "line"), FAILURES)
def test_failures_of_a_create(
    world: dict[str, Any], changes: dict[str, Any], seconds: float, domain: DomainState | None, line: str
) -> None:
    async def test() -> None:
        node = _node(**world)
        task_id = await node.create(**changes)
        assert await node.until(task_id, "create error", seconds + 10) == "create error"
        assert node.clock.now() > seconds * 0.9 or seconds < 30
        state = node.node.machine.libvirt.state(task_id)
        assert state is (domain or DomainState.NONE)
        log = [one.text for one in node.node.machine.logs.lines[task_id] if one.place.function != "GetDomainStatus"]
        assert log[-1] == line
        expected = "ok" if domain else [1, "task not exist"]
        assert await node.ask("tasks.delete", task_id) == expected

    run(test)


def test_without_an_agent_the_account_is_lost_after_five_minutes() -> None:
    async def test() -> None:
        node = _node(guest={"agent": False})
        task_id = await node.create()
        assert await node.until(task_id, "running") == "running"
        assert 310 < node.clock.now() < 330
        shown = await node.ask("tasks.details", task_id)
        assert (shown["user_name"], shown["login_password"]) == ("N/A", "N/A")
        node.node.restart()
        shown = await node.ask("tasks.details", task_id)
        assert shown["user_name"] == "dbc"
        assert len(shown["login_password"]) == 16

    run(test)


def test_an_image_may_have_its_own_guest_behaviour() -> None:
    async def test() -> None:
        images = [{"name": "ubuntu.qcow2"}, {"name": "mute.qcow2", "guest": {"agent": False}}]
        node = Node(spec(images=images), machine_rental())
        mute = await node.create(image_name="mute.qcow2")
        good = await node.create(ssh_port="1", vnc_port="6000")
        await node.until(good, "running")
        assert (await node.ask("tasks.details", mute))["user_name"] == "N/A"
        assert (await node.ask("tasks.details", good))["user_name"] == "dbc"
        assert node.clock.now() > 320  # one worker: the second waited for the first

    run(test)


def test_a_verifier_gets_everything() -> None:
    async def test() -> None:
        node = _node()
        reply = await node.ask("tasks.create", caller=Caller("5Verifier", "verifier"), **CREATE)
        assert reply["task_id"].startswith("vm_check_")
        shown = await node.ask("tasks.details", reply["task_id"], caller=Caller("5Verifier"))
        assert (shown["gpu_count"], shown["cpu_cores"], shown["mem_size"]) == (2, 16, "63G")
        await node.node.drop_check_vms()
        await node.idle()
        await node.node.drop_check_vms()
        assert await node.ask("tasks.list", caller=Caller("5Verifier")) == []

    run(test)
