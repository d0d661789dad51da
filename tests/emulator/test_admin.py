"""The admin API, saved worlds, and real ports."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec, Network, WorldSpec
from dbc_iac.emulator.admin import Admin, AdminError
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.server import CannotListen, CannotServe, load, save, serve
from tests.emulator.front import BARE_METAL, MANAGER_ID, NODE_ID, SERVER_ID, WALLET, WORLD, Front, passes, run

VM = {"taskId": "vm1", "wallet": WALLET, "rentOrder": "112", "gpus": 1}
WITH_VM = {**WORLD, "gpuNodes": [{"id": NODE_ID, "name": "gpu-a", "vms": [VM]}]}


def test_the_admin_api_inspects_and_changes() -> None:
    async def test() -> None:
        front = Front(WITH_VM)
        admin = Admin(front.network)
        await admin.act("/vm", {"id": NODE_ID, "do": "power_off", "with": {"task_id": "vm1"}})
        await admin.act("/vm", {"id": NODE_ID, "do": "change_vm", "with": {"task_id": "vm1", "desc": "hers"}})
        [shown] = (await front.post("/tasks", front.mine()))[1][1]
        assert (shown["status"], shown["desc"]) == ("closed", "hers")
        truth = await admin.look("/truth")
        assert truth[NODE_ID]["vms"]["vm1"]["domain"]["state"] == "shut_off"
        await admin.act("/vm", {"id": NODE_ID, "do": "remove_vm", "with": {"task_id": "vm1"}})
        assert (await front.post("/tasks", front.mine()))[1] == (0, [])

    run(test)


def test_the_admin_api_changes_the_chain_and_injects_faults() -> None:
    async def test() -> None:
        front = Front()
        admin = Admin(front.network)
        await admin.act("/chain", {"reachable": False})
        refused = (await front.post("/tasks", front.mine()))[1][1]
        assert refused == "check authority failed: query machine_status failed"
        await admin.act("/chain", {"reachable": True, "orders": {}, "machines": {NODE_ID: {"status": "online"}}})
        assert (await front.post("/tasks", front.mine()))[1][1] == "check authority failed: machine is not be rented"
        await admin.act("/faults", {"op": "*", "kind": "offline", "times": 9})
        assert (await front.post("/tasks", front.mine()))[0] == 400
        await admin.act("/faults/clear", {})
        assert (await front.post("/tasks", front.mine()))[0] == 200

    run(test)


def test_the_admin_api_changes_bmcs_image_servers_deeplinks_and_processes() -> None:
    async def test() -> None:
        front = Front(BARE_METAL)
        admin = Admin(front.network)
        await admin.act("/bmc", {"host": "192.168.0.1", "power": "on"})
        assert (await front.post("/bare_metal/power", front.mine(SERVER_ID, command="status")))[1][1].endswith("on")
        await admin.act("/deeplink", {"ip": "198.51.100.1", "device_id": "9", "device_password": "p"})
        assert (await front.post("/deeplink", front.mine(SERVER_ID)))[1][0] == 0
        await admin.act("/image-server", {"id": "ID_1", "reachable": False, "fail_seconds": 600})
        frozen = asyncio.ensure_future(
            front.post("/images", {**front.body(None), "additional": {"image_server": "ID_1"}})
        )
        await passes(1)
        waiting = asyncio.ensure_future(front.post("/deeplink", front.mine(SERVER_ID)))
        await passes(500)
        assert not waiting.done()
        assert (await frozen)[1] == (0, [])
        await waiting
        await admin.act("/node", {"id": MANAGER_ID, "do": "stop"})
        assert (await front.post("/deeplink", front.mine(SERVER_ID)))[0] == 500

    run(test)


@pytest.mark.parametrize(
    ("path", "values", "text"),
    [
        ("/faults", {"op": "x", "kind": "odd"}, "kind: Input should be"),
        ("/node", {"id": "nobody", "do": "restart"}, "there is no nobody"),
        ("/node", {"id": NODE_ID, "do": "dance"}, "a GPU node can restart, stop, die or freeze"),
        ("/client", {"name": "default", "do": "dance"}, "a client node can restart"),
        ("/vm", {"id": NODE_ID, "do": "die"}, "do: one of set_domain"),
        ("/vm", {"id": NODE_ID, "do": "change_vm", "with": {"task_id": "none"}}, "there is no none"),
        ("/vm", {"id": NODE_ID, "do": "change_vm", "with": {}}, "missing 1 required positional argument"),
        ("/bmc", {"host": "h"}, "there is no BMC at h:623"),
        ("/image-server", {"id": "ID_9"}, "there is no ID_9"),
    ],
)
def test_an_invalid_admin_request_is_refused(path: str, values: dict[str, Any], text: str) -> None:
    async def test() -> None:
        with pytest.raises(AdminError, match=text.replace("(", ".")):
            await Admin(Front().network).act(path, values)

    run(test)


def test_a_saved_world_continues(tmp_path: Path) -> None:
    async def test() -> None:
        first = Front(WITH_VM)
        session = await first.post("/mining_nodes/session_id", first.mine())
        await first.post("/lan/create", first.mine(network_name="testnet1", ip_cidr="10.0.0.0/24"))
        first.network.nodes[NODE_ID].admin.set_domain("vm1", DomainState.SHUTOFF)
        first.network.chain.orders["112"].end = 2_000_077
        await passes(3600)
        save(first.network, tmp_path)
        second = Front(WORLD)
        load(second.network, tmp_path)
        assert second.network.clock.now() == pytest.approx(first.network.clock.now())
        truth = second.network.truth()[NODE_ID]
        assert list(truth["vms"]) == ["vm1"]
        assert truth["vms"]["vm1"]["shown_status"] == "closed"
        assert list(truth["lans"]) == ["testnet1"]
        assert second.network.chain.orders["112"].end == 2_000_077
        assert await second.post("/mining_nodes/session_id", second.mine()) == session
        assert (await second.post("/tasks", second.mine()))[1][0] == 0
        assert json.loads((tmp_path / "world.json").read_text())["format"] == 1

    run(test)


def test_saved_servers_and_bmcs_continue(tmp_path: Path) -> None:
    async def test() -> None:
        first = Front(BARE_METAL)
        await first.post("/bare_metal/power", first.mine(SERVER_ID, command="on"))
        await first.post("/bare_metal/modify/" + SERVER_ID, first.owners(desc="moved"))
        save(first.network, tmp_path)
        second = Front(BARE_METAL)
        load(second.network, tmp_path)
        assert (await second.post("/bare_metal/power", second.mine(SERVER_ID, command="status")))[1][1].endswith("on")
        assert second.network.truth()[MANAGER_ID]["one"]["desc"] == "moved"

    run(test)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 9}'])
def test_an_invalid_saved_world_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.json").write_text(text)

    async def test() -> None:
        with pytest.raises(CannotServe):
            load(Front().network, tmp_path)

    run(test)


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for one in with_sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in with_sockets]
    finally:
        for one in with_sockets:
            one.close()


async def raw(port: int, data: bytes) -> bytes:
    """Bytes received on a connection until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def request(method: str, uri: str, body: bytes = b"", headers: str = "Connection: close\r\n") -> bytes:
    return f"{method} {uri} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_real_ports_answer_and_break_connections(tmp_path: Path) -> None:
    async def test() -> None:
        network = Network(WorldSpec.model_validate({**WORLD, "clients": ["default", "second"]}))
        one, two, three = free_ports(3)
        addresses = {"default": ("127.0.0.1", one), "second": ("127.0.0.1", two), "gpu-a": ("127.0.0.1", three)}
        serving = asyncio.ensure_future(serve(network, addresses, keep=tmp_path))
        while True:
            try:
                await raw(three, request("GET", "/api/v1/"))
                break
            except OSError:
                await asyncio.sleep(0.05)
        list_nodes = b'{"peer_nodes_list": [], "additional": {}}'
        ask_node = json.dumps({"peer_nodes_list": [NODE_ID], "additional": {}}).encode()
        for port in (one, two, three):
            reply = await raw(port, request("POST", "/api/v1/mining_nodes", list_nodes))
            assert reply.startswith(b"HTTP/1.1 200")
            assert NODE_ID.encode() in reply
        assert b"501 Not Implemented" in await raw(one, request("PATCH", "/api/v1/", headers=""))
        assert b"<H1>Bad Request</H1>" in await raw(one, request("GET", "/api/v1/" + "a" * 9000, headers=""))
        reply = await raw(one, request("GET", "http://127.0.0.1/api/v1/"))
        assert b"request uri is invalid, uri:http://127.0.0.1/api/v1/" in reply
        head = await raw(one, request("HEAD", "/api/v1/"))
        assert head.startswith(b"HTTP/1.1 200")
        assert not head.partition(b"\r\n\r\n")[2]
        for kind, expected in (("drop", b""), ("reset", b"")):
            network.faults.add(FaultSpec.model_validate({"op": "mining_nodes", "kind": kind, "client": "default"}))
            assert await raw(one, request("POST", "/api/v1/mining_nodes", ask_node, "")) == expected
        network.faults.add(FaultSpec(op="mining_nodes", kind="cut"))
        cut = await raw(one, request("POST", "/api/v1/mining_nodes", ask_node, ""))
        length = int(cut.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        assert 0 < len(cut.partition(b"\r\n\r\n")[2]) < length
        network.faults.add(FaultSpec(op="mining_nodes", kind="close"))
        whole = await raw(one, request("POST", "/api/v1/mining_nodes", ask_node, ""))
        assert whole.endswith(b"\r\n")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert (tmp_path / "world.json").is_file()

    asyncio.run(test())


def test_only_loopback_is_served() -> None:
    with pytest.raises(CannotServe, match="not a loopback"):
        asyncio.run(serve(Network(WorldSpec()), {"default": ("0.0.0.0", 5050)}))  # noqa: S104 - to be refused


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotListen, match=r"127\.0\.0\.1:"):
            asyncio.run(serve(Network(WorldSpec()), {"default": taken.getsockname()}))


def test_closing_does_not_wait_for_a_hanging_request() -> None:
    async def test() -> None:
        network = Network(WorldSpec.model_validate(WORLD))
        network.faults.add(FaultSpec(op="mining_nodes", kind="hang"))
        [port] = free_ports(1)
        serving = asyncio.ensure_future(serve(network, {"default": ("127.0.0.1", port)}))
        await asyncio.sleep(0.05)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/api/v1/mining_nodes", json.dumps(Front().body()).encode()))
        await asyncio.sleep(0.05)
        serving.cancel()
        await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 2)
        writer.close()

    asyncio.run(test())
