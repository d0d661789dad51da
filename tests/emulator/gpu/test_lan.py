"""Virtual LANs: tables of several nodes, multicast, and removal of unused LANs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbc_iac.emulator.gpu.lan import LanRoom, LanTable
from dbc_iac.emulator.gpu.lan_requests import own_view
from dbc_iac.emulator.reply import ProcessDied
from tests.emulator.gpu.harness import CREATE, Caller, Node, VirtualClock, machine_rental, run, spec

OK = "ok"
DAY = 86_400


def _pair(**changes: Any) -> tuple[Node, Node]:
    """Two nodes of a room; the second may differ."""
    room = LanRoom(VirtualClock())
    return Node(spec(), machine_rental(), room), Node(spec(id="cd" * 32, **changes), machine_rental(), room)


async def _make(node: Node, name: str = "testnet", cidr: str = "192.168.66.0/24", **keys: Any) -> Any:
    return await node.ask("lan.create", network_name=name, ip_cidr=cidr, **keys)


@pytest.mark.parametrize(
    ("name", "cidr", "text"),
    [
        ("", "", "network name can not be empty"),
        (5, "x", "network name can not be empty"),
        ("abc", "", "network name requires a combination of 6 to 10 letters or numbers"),
        ("abcdefghijk", "", "network name requires a combination of 6 to 10 letters or numbers"),
        ("test_net", "", "network name requires a combination of 6 to 10 letters or numbers"),
        ("testnet", "", "ip cidr can not be empty"),
        ("testnet", "192.168.66.0", "invalid ip cidr"),
        ("testnet", "192.168.122.0/24", "ip cidr already exist"),
        ("testnet", "fe80::1/64", "invalid ip cidr"),
        ("testnet", "FE80::1/64", "invalid ip cidr"),
        ("testnet", "0:0:0:0:0:0:0:1/64", "invalid ip cidr"),
    ],
)
def test_invalid_lan_requests_are_refused(name: Any, cidr: str, text: str) -> None:
    async def test() -> None:
        assert await _make(Node(spec(), machine_rental()), name, cidr) == [-3, text]

    run(test)


def test_an_unparsable_address_crashes_the_process() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        with pytest.raises(ProcessDied):
            await _make(node, cidr="300.1.1.1/24")
        assert node.deaths == 1

    run(test)


def test_anybody_can_list_a_lan_in_the_order_of_the_node() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        assert await _make(node, "testnet9") == OK
        assert await _make(node) == OK
        assert await _make(node) == [-3, "network name already existed"]
        assert [lan["network_name"] for lan in await node.ask("lan.list")] == ["testnet", "testnet9"]
        shown = await node.ask("lan.list", "testnet")
        assert list(shown) == [
            "network_name", "bridge_name", "vxlan_name", "vxlan_vni", "ip_cidr", "ip_start", "ip_end",
            "dhcp_interface", "machine_id", "rent_wallet", "members", "lastUseTime", "native_flags",
        ]  # fmt: skip
        assert (shown["bridge_name"], shown["native_flags"], shown["members"]) == ("brtestnet", "3", [])
        assert await node.ask("lan.list", "nosuch") == [-3, "network name not exist"]

    run(test)


def test_members_keep_a_lan_alive_even_when_off() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        await _make(node)
        task_id = await node.closed(network_name="testnet")
        assert (await node.ask("lan.list", "testnet"))["members"] == [task_id]
        in_use = "network is in used, please delete task in the network first"
        assert await node.ask("lan.delete", "testnet") == [-3, in_use]
        assert await node.ask("lan.delete", "testnet", caller=Caller("5Other")) == [
            -3,
            "wallet error, you are not the owner of the network",
        ]
        await node.ask("tasks.delete", task_id)
        await node.until(task_id, "gone")
        assert await node.ask("lan.delete", "testnet") == OK
        assert await node.ask("lan.delete", "testnet") == [-3, "network name not exist"]

    run(test)


def test_a_vm_in_a_lan_shows_its_address_and_bridge() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        await _make(node)
        task_id = await node.created(network_name="testnet")
        shown = await node.ask("tasks.details", task_id)
        assert shown["interface"][0]["name"] == "brtestnet"
        assert shown["local_address"][0].startswith("192.168.66.")
        await node.ask("tasks.shutdown", task_id)
        await node.until(task_id, "closed")
        assert "local_address" not in await node.ask("tasks.details", task_id)

    run(test)


def test_a_node_without_multicast_has_no_members() -> None:
    async def test() -> None:
        node = Node(spec(hearsLan=False), machine_rental())
        await _make(node)
        await node.create(network_name="testnet")
        assert (await node.ask("lan.list", "testnet"))["members"] == []
        assert await node.ask("lan.delete", "testnet") == OK

    run(test)


def test_other_nodes_of_the_room_learn_a_lan() -> None:
    async def test() -> None:
        host, guest = _pair()
        await _make(host)
        assert (await guest.ask("lan.list", "testnet"))["native_flags"] == "0"
        task_id = await guest.created(network_name="testnet")
        assert (await host.ask("lan.list", "testnet"))["members"] == [task_id]
        assert (await guest.ask("lan.list", "testnet"))["native_flags"] == "1"
        assert await guest.ask("lan.delete", "testnet") != OK
        await guest.ask("tasks.delete", task_id)
        await guest.until(task_id, "gone")
        assert await guest.ask("lan.delete", "testnet") == OK
        assert await host.ask("lan.list") == []

    run(test)


def test_a_node_without_multicast_does_not_learn_a_lan() -> None:
    async def test() -> None:
        host, deaf = _pair(hearsLan=False)
        await _make(host)
        assert own_view(deaf.node.machine.lan) == '{"networks":[]}'
        assert await _make(deaf) == OK
        assert (await host.ask("lan.list", "testnet"))["machine_id"] == "ab" * 32

    run(test)


def test_a_second_vm_on_a_guest_node_of_the_lan_disconnects_the_first() -> None:
    async def test() -> None:
        host, guest = _pair()
        await _make(host)
        first = await guest.created(network_name="testnet")
        await guest.clock.sleep(200)  # the host's announcement clears the flag
        second = {**CREATE, "network_name": "testnet", "ssh_port": "1", "vnc_port": "6000"}
        assert await guest.ask("tasks.create", **second) == [-1, "create vxlan failed"]
        await guest.ask("tasks.restart", first, query="force_reboot=1")
        assert await guest.until(first, "restart error") == "restart error"

    run(test)


def test_three_hosted_lans_are_too_long_to_announce() -> None:
    async def test() -> None:
        host, late = _pair()
        late.node.stop()
        for name in ("aaaaaa", "bbbbbb"):
            await _make(host, name)
        late.node.restart()
        await host.clock.sleep(300)
        assert len(await late.ask("lan.list")) == 2
        late.node.stop()
        await _make(host, "cccccc")
        late.node.restart()
        await host.clock.sleep(300)
        assert len(await late.ask("lan.list")) == 2

    run(test)


def test_an_unused_lan_is_removed_after_three_days() -> None:
    async def test() -> None:
        host, guest = _pair()
        await _make(host, "unused")
        await _make(host, "in1use")
        task_id = await host.created(network_name="in1use")
        await host.clock.sleep(3 * DAY - 600)
        assert len(await guest.ask("lan.list")) == 2
        await host.clock.sleep(800)
        assert [lan["network_name"] for lan in await guest.ask("lan.list")] == ["in1use"]
        await host.ask("tasks.delete", task_id)
        await host.clock.sleep(3 * DAY + 300)
        assert await guest.ask("lan.list") == await host.ask("lan.list") == []

    run(test)


def test_a_clean_exit_moves_the_lans_and_a_crash_does_not() -> None:
    async def test() -> None:
        host, heir = _pair()
        await _make(host)
        host.node.die()
        await heir.clock.sleep(60)
        assert (await heir.ask("lan.list", "testnet"))["machine_id"] == "ab" * 32
        host.node.restart()
        host.node.stop()
        await heir.clock.sleep(60)
        shown = await heir.ask("lan.list", "testnet")
        assert (shown["machine_id"], shown["native_flags"]) == ("cd" * 32, "3")
        host.node.restart()
        assert (await host.ask("lan.list", "testnet"))["machine_id"] == "cd" * 32

    run(test)


def test_a_lan_without_a_new_host_returns_after_two_minutes() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        await _make(node)
        node.node.stop()
        node.node.restart()
        assert (await node.ask("lan.list", "testnet"))["machine_id"] == ""
        await node.clock.sleep(121)
        shown = await node.ask("lan.list", "testnet")
        assert (shown["machine_id"], shown["native_flags"]) == ("ab" * 32, "3")

    run(test)


def test_a_failed_vm_stays_a_member() -> None:
    async def test() -> None:
        node = Node(spec(guest={"defines": False}), machine_rental())
        await _make(node)
        task_id = await node.create(network_name="testnet")
        await node.until(task_id, "create error")
        node.node.restart()
        assert await node.ask("tasks.list") == []
        assert (await node.ask("lan.list", "testnet"))["members"] == [task_id]

    run(test)


def test_failing_scripts_are_reported() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        node.admin.break_network_scripts(-1, "add veth pair failed")
        assert await _make(node) == [-3, "add veth pair failed"]
        node.admin.break_network_scripts(0, "")
        assert await _make(node) == OK

    run(test)


def test_rounds_are_two_minutes_apart_despite_clock_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round slightly early must not be awaited again: such a wait returns at once, endlessly."""
    rounds: list[float] = []

    def count(table: LanTable) -> None:
        rounds.append(table.room.clock.now())
        assert len(rounds) <= 40

    monkeypatch.setattr(LanTable, "pass_by", count)

    async def test() -> None:
        for offset in range(20):
            node = Node(spec(), machine_rental())
            node.node.machine.lan._started = node.clock.now() + offset * 0.1 + 0.013
            rounds.clear()
            await _make(node)
            await asyncio.sleep(3600)
            node.node.stop()
            assert len(rounds) == 30

    run(test)
