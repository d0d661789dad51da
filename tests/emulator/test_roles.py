"""Permissions of renter, verifier and others; memory and list limits of a target."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.emulator.front import BARE_METAL, MANAGER_SEED, NODE_ID, SERVER, SERVER_ID, WORLD, Front, passes, run

VERIFYING = {
    **WORLD,
    "machines": {NODE_ID: {"status": "committeeVerifying", "verifiers": {"tenant": [999_000, 0, 0]}}},
}
ONLY_RENTERS = "check authority failed: "


@pytest.mark.parametrize(
    ("path", "additional", "expected"),
    [
        ("/disk/list/t", {}, (-3, ONLY_RENTERS)),
        ("/disk/resize/t", {}, (-3, ONLY_RENTERS)),
        ("/disk/add/t", {}, (-3, ONLY_RENTERS)),
        ("/disk/delete/t", {}, (-3, ONLY_RENTERS)),
        ("/snapshot/create/t", {"image_server": "ID_1"}, (-3, ONLY_RENTERS)),
        ("/snapshot/delete/t/s", {}, (-3, ONLY_RENTERS)),
        ("/snapshot/list/t", {}, (0, [])),
        ("/lan/create", {}, (-3, ONLY_RENTERS)),
        ("/lan/delete/x", {}, (-3, ONLY_RENTERS)),
        ("/monitor", {}, (-3, ONLY_RENTERS)),
        ("/monitor/set", {}, (-3, ONLY_RENTERS)),
        ("/mining_nodes/session_id", {}, (-3, "check authority failed")),
        ("/mining_nodes/free_memory", {}, (0, "ok")),
        ("/images/delete", {"image_filename": "ubuntu.qcow2"}, (0, "ok")),
        ("/images/download", {}, (400, -25, "image_server not exist")),
        ("/images/downloadprogress", {"image_filename": "a"}, (0, {"status": "done", "progress": "100%"})),
        ("/images/download_stop", {"image_filename": "a"}, (0, "ok")),
        ("/images/upload", {"image_server": "ID_1"}, (1, "image_filename is empty")),
        ("/images/upload_stop", {"image_filename": "a"}, (0, "ok")),
        ("/tasks", {}, (0, [])),
        ("/tasks/t", {}, (-3, "task_id not exist")),
        ("/tasks/delete/t", {}, (1, "task not exist")),
    ],
)
def test_permissions_of_a_verifier(path: str, additional: dict[str, Any], expected: tuple[Any, ...]) -> None:
    async def test() -> None:
        front = Front(VERIFYING)
        status, reply = await front.post(path, front.mine(**additional))
        assert (*((status,) if status != 200 else ()), *reply) == expected

    run(test)


@pytest.mark.parametrize(
    ("path", "additional", "expected"),
    [
        ("/bare_metal/power", {"command": "status"}, (0, "Chassis Power is off")),
        ("/bare_metal/bootdev", {"device": "pxe"}, (-3, ONLY_RENTERS)),
        ("/deeplink", {}, (1, "deeplink service not connected")),
        ("/deeplink/set", {"device_password": "x"}, (-3, ONLY_RENTERS)),
        ("/mining_nodes/session_id", {}, (-3, "check authority failed")),
    ],
)
def test_permissions_of_a_verifier_of_a_server(
    path: str, additional: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    machine = {"status": "committeeVerifying", "verifiers": {"tenant": [999_000, 0, 0]}}

    async def test() -> None:
        front = Front({**BARE_METAL, "machines": {SERVER_ID: machine}})
        assert (await front.post(path, front.mine(SERVER_ID, **additional)))[1] == expected

    run(test)


def test_every_nonce_is_remembered() -> None:
    async def test() -> None:
        front = Front()
        bodies = [front.mine() for _ in range(20)]
        for body in bodies:
            assert (await front.post("/tasks", body))[1][0] == 0
        for body in bodies:
            assert (await front.post("/tasks", body))[1] == (-3, "check authority failed: nonce check failed")

    run(test)


def test_a_list_has_at_most_51_servers_and_an_add_101() -> None:
    servers = [{**SERVER, "uuid": f"u{n}", "nodePrivateKey": ""} for n in range(60)]
    world = {**BARE_METAL, "managers": [{"seed": MANAGER_SEED, "name": "rack", "servers": servers}]}

    async def test() -> None:
        front = Front(world)
        for port in ("default", "rack"):
            rows = (await front.post("/bare_metal", front.owners(), port))[1][1]["bare_metal_nodes"]
            assert len(rows) == 51
            assert [row["node_id"] for row in rows] == sorted(row["node_id"] for row in rows)
        assert len((await front.post("/bare_metal/u59", front.owners()))[1][1]["bare_metal_nodes"]) == 1
        keys = {"ip": "1.1.1.1", "ipmi_hostname": "h", "ipmi_username": "u", "ipmi_password": "p"}
        added = [{**keys, "uuid": f"v{n:03}"} for n in range(120)]
        rows = (await front.post("/bare_metal/add", front.owners(bare_metal_nodes=added)))[1][1]["bare_metal_nodes"]
        assert [row["uuid"] for row in rows] == [f"v{n:03}" for n in range(101)]

    run(test)


def test_requests_for_a_deleted_server_time_out_until_it_is_forgotten() -> None:
    async def test() -> None:
        front = Front(BARE_METAL)
        queued = front.post("/bare_metal/power", front.mine(SERVER_ID, command="status"))
        gone = asyncio.ensure_future(front.post("/bare_metal/delete", front.owners(bare_metal_node_ids=[SERVER_ID])))
        await asyncio.sleep(0)
        assert (await queued)[1] == (-3, "node id not existed")  # it waited behind the delete
        assert (await gone)[1] == (0, "1 were successfully deleted, 0 failed")
        for path in ("/bare_metal/power", "/mining_nodes", "/deeplink"):
            status, (errcode, text) = await front.post(path, front.mine(SERVER_ID, command="status"))
            assert (status, errcode, text.rpartition(" ")[2]) == (500, -1, "timeout")
        await passes(301)
        assert (await front.post("/mining_nodes", front.body(SERVER_ID)))[0] == 400

    run(test)


@pytest.mark.parametrize(("rent_status", "expected"), [("renting", (0, "ok")), ("rentExpired", None)])
def test_an_image_is_deleted_under_any_order_of_the_machine(rent_status: str, expected: Any) -> None:
    async def test() -> None:
        machine = {"renter": "tenant", "rentStatus": rent_status, "orders": ["112"]}
        front = Front({**WORLD, "machines": {NODE_ID: machine}})
        reply = (await front.post("/images/delete", front.mine(image_filename="ubuntu.qcow2")))[1]
        assert reply == (expected or (-3, "check authority failed: wallet not rented"))

    run(test)
