"""The manager: owner and renter, failing BMCs, maintenance, DeepLink, its own port."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.front import BARE_METAL, MANAGER_ID, SERVER, SERVER_ID, Front, passes, run

ENTRY = {"uuid": "two", "ip": "198.51.100.2", "ipmi_hostname": "h", "ipmi_username": "u", "ipmi_password": "p"}


def bmc_world(**server: Any) -> dict[str, Any]:
    return {**BARE_METAL, "managers": [{**BARE_METAL["managers"][0], "servers": [{**SERVER, **server}]}]}


def test_a_new_server_is_known_to_clients_ten_seconds_later_and_a_deleted_one_for_five_minutes() -> None:
    async def test() -> None:
        front = Front(BARE_METAL)
        added = await front.post("/bare_metal/add", front.owners(bare_metal_nodes=[ENTRY]))
        [new] = added[1][1]["bare_metal_nodes"]
        power = front.mine(new["node_id"], command="status")
        assert (await front.post("/bare_metal/power", power))[1] == (-32701, "create node request failed")
        await passes(10)
        assert (await front.post("/bare_metal/power", power))[1][
            1
        ] == "check authority failed: query machine_status failed"
        deleted = await front.post("/bare_metal/delete", front.owners(bare_metal_node_ids=[new["node_id"]]))
        assert deleted[1] == (0, "1 were successfully deleted, 0 failed")
        listed = await front.post("/bare_metal", front.body(None))
        assert new["node_id"] in [s["node_id"] for s in listed[1][1]["bare_metal_nodes"]]
        await passes(301)
        assert (await front.post("/bare_metal/power", power))[1][0] == -32701

    run(test)


def test_lists_hide_secrets_from_all_but_the_owner_and_end_at_51() -> None:
    async def test() -> None:
        many = [{**SERVER, "uuid": f"s{i}", "nodePrivateKey": ""} for i in range(60)]
        front = Front({**BARE_METAL, "managers": [{**BARE_METAL["managers"][0], "servers": many}]})
        seen = (await front.post("/bare_metal", front.body(MANAGER_ID)))[1][1]["bare_metal_nodes"]
        assert len(seen) == 51
        assert {s["ipmi_password"] for s in seen} == {"*****"}
        owned = (await front.post("/bare_metal", front.owners()))[1][1]["bare_metal_nodes"]
        assert {s["ipmi_password"] for s in owned} == {"admin"}

    run(test)


@pytest.mark.parametrize(
    ("server", "bmc", "errcode", "text", "seconds"),
    [
        ({}, {}, 0, "Chassis Power is off", 0),
        ({"ipmiPassword": "wrong"}, {}, -3, "Activate Session command failed", 8),
        ({"ipmiUsername": "wrong"}, {}, -3, "Invalid user name", 0),
        ({"ipmiPort": 9}, {}, -3, "Error: Unable to establish LAN session", 10),
        ({"ipmiHostname": "nowhere.invalid"}, {}, 0, "Address lookup for nowhere.invalid failed", 6),
        ({"ipmiPassword": "x" * 17}, {}, 0, "lan: password is longer than 16 bytes.", 0),
        ({}, {"reachable": False}, -3, "Error: Unable to establish LAN session", 10),
        ({}, {"failure": "Unable to get Chassis Power Status"}, 0, "Unable to get Chassis Power Status", 0),
    ],
)
def test_power_returns_the_output_of_ipmitool(
    server: dict[str, Any], bmc: dict[str, Any], errcode: int, text: str, seconds: int
) -> None:
    async def test() -> None:
        front = Front({**bmc_world(**server), "bmcs": [{"host": "192.168.0.1", **bmc}]})
        began = front.network.clock.now()
        status, reply = await front.post("/bare_metal/power", front.mine(SERVER_ID, command="status"))
        assert (status, reply[0]) == (200, errcode)
        assert reply[1].startswith(text)
        assert seconds <= front.network.clock.now() - began < seconds + 1

    run(test)


def test_a_boot_device_is_set_and_the_answer_is_always_an_error() -> None:
    async def test() -> None:
        front = Front(BARE_METAL)
        reply = await front.post("/bare_metal/bootdev", front.mine(SERVER_ID, device="pxe"))
        assert reply == (200, (-3, "bare metal client not existed"))
        assert front.network.bmcs.all[0].next_boot == "pxe"

    run(test)


@pytest.mark.parametrize(("machine", "power"), [({"status": "online"}, "off"), ({"renter": "tenant"}, "on")])
def test_maintenance_powers_off_an_unrented_server_once(machine: dict[str, Any], power: str) -> None:
    async def test() -> None:
        front = Front(
            {**BARE_METAL, "machines": {SERVER_ID: machine}, "bmcs": [{"host": "192.168.0.1", "power": "on"}]}
        )
        front.network.begin()
        await passes(200)
        [bmc] = front.network.bmcs.all
        assert bmc.power == power
        bmc.power = "on"
        await passes(1000)
        assert bmc.power == "on"

    run(test)


def test_the_manager_serves_no_request_during_maintenance() -> None:
    async def test() -> None:
        many = [{**SERVER, "uuid": f"s{i}", "nodePrivateKey": ""} for i in range(20)]
        front = Front({**BARE_METAL, "managers": [{**BARE_METAL["managers"][0], "servers": many}]})
        front.network.begin()
        await passes(181)
        assert await front.post("/bare_metal", front.owners()) == (500, (-1, "list bare metal timeout"))

    run(test)


def test_deeplink_accepts_only_the_password_and_shows_it_later() -> None:
    async def test() -> None:
        front = Front({**BARE_METAL, "deeplinks": [{"ip": SERVER["ip"], "deviceId": "9"}]})
        before = {"device_id": "9", "device_password": "aAbBcC"}
        body = front.mine(SERVER_ID, device_id="8", device_password="new")
        assert (await front.post("/deeplink/set", body))[1] == (0, "ok")
        assert (await front.post("/deeplink", front.mine(SERVER_ID)))[1] == (0, before)
        await passes(1)
        assert (await front.post("/deeplink", front.mine(SERVER_ID)))[1][1]["device_password"] == "new"
        hidden = await front.post("/deeplink", front.body(SERVER_ID), "rack")
        assert hidden[1][1]["device_password"] == "***"

    run(test)


def test_a_long_deeplink_password_crashes_the_manager() -> None:
    async def test() -> None:
        front = Front({**BARE_METAL, "deeplinks": [{"ip": SERVER["ip"]}]})
        body = front.mine(SERVER_ID, device_password="x" * 600)
        assert (await front.post("/deeplink/set", body))[0] == 500
        [manager] = front.network.managers.values()
        assert manager.alive  # the ten seconds until it is started again lie inside those thirty

    run(test)


def test_an_error_differs_when_relayed_and_at_the_own_port() -> None:
    async def test() -> None:
        front = Front(BARE_METAL)
        bad = {**ENTRY, "ipmi_port": 0}
        relayed = await front.post("/bare_metal/add", front.owners(bare_metal_nodes=[bad]))
        assert relayed == (200, (-3, "invalid ipmi port in two"))
        direct = await front.post("/bare_metal/add", front.owners(None, bare_metal_nodes=[bad]), "rack")
        assert direct == (400, (-25, "invalid ipmi port"))
        assert (await front.post("/bare_metal/power", front.body(SERVER_ID), "rack"))[1][
            1
        ] == "only client node support"

    run(test)
