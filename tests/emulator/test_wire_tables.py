"""Documented behaviour of the real node that no recording shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.emulator.crypto import address, multisig_account, node_id_of
from dbc_iac.emulator.http.rapidjson import JsonError, parse, parse_slowly
from dbc_iac.emulator.http.routes import route
from dbc_iac.emulator.http.system_names import for_version
from tests.emulator.front import BARE_METAL, NODE_ID, OTHER_SEED, SEED, SERVER_ID, WALLET, WORLD, Front, run, signature

OTHER = address(bytes.fromhex(node_id_of(OTHER_SEED)))
NOBODY = (400, (-32701, "create node request failed"))
NO_PEER = (400, (-25, "peer_nodeid is empty"))
VM = {
    "image_name": "ubuntu.qcow2",
    "ssh_port": "20001",
    "vnc_port": "5900",
    "cpu_cores": "4",
    "mem_size": "8",
    "disk_size": "20",
    "gpu_count": "4",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1 "b":2}', "Missing a comma or '}' after an object member.(7)"),
        ('{"a":[1 2]}', "Missing a comma or ']' after an array element.(8)"),
        ('{"a" 1}', "Missing a colon after a name of object member.(5)"),
        ('{"a":"b', "Missing a closing quotation mark in string.(7)"),
        ('{"a":"\\x"}', "Invalid escape character in string.(6)"),
        ('{"a":"\\u12G4"}', "Incorrect hex digit after \\u escape in string.(6)"),
        ('{"a":"\\ud800x"}', "The surrogate pair in string is invalid.(6)"),
        ('{"a":1.}', "Miss fraction part in number.(7)"),
        ('{"a":1e}', "Miss exponent in number.(7)"),
        ('{"a":nul}', "Invalid value.(8)"),
        ("   ", "The document is empty.(3)"),
        ("{} {}", "The document root must not be followed by other values.(3)"),
    ],
)
def test_json_errors_have_the_texts_of_the_library(text: str, expected: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse(text.encode())
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "data",
    [
        b' {"a": ["b", {}, [], true, false, null], "c": "\xc3\xa9"}\r\n\t ',
        b'{"a": "first", "a": "second"}',
        b'{"a": "\xff\xed\xa0\x80"}',
        b'{"a": "b\\u0000c"}',
        b'{"a": "b"}\0 ignored',
        b'{"a": 1, "b": -0, "c": 2.5}',
        b"[" * 20_000 + b"]" * 20_000,
    ],
)
def test_common_json_is_parsed_as_any_other(data: bytes) -> None:
    quick, slow = parse(data), parse_slowly(data.split(b"\0", 1)[0])
    while isinstance(quick, list) and quick and len(quick) == 1 == len(slow):
        quick, slow = quick[0], slow[0]
    assert quick == slow


@pytest.mark.parametrize("data", [b"[NaN]", b"[-Infinity]", b"[1e999]", b'["\n"]', b"\xef\xbb\xbf[]"])
def test_what_only_python_accepts_is_an_error(data: bytes) -> None:
    with pytest.raises(JsonError):
        parse(data)


@pytest.mark.parametrize(
    ("uri", "op", "path", "query"),
    [
        ("/api/v1/tasks/", "tasks.list", (), {}),
        ("/api/v1/tasks//", "tasks.list", (), {}),
        ("/api/v1/tasksXYZ", "tasks.details", ("XYZ",), {}),
        ("/api/v1/tasks/delete", "tasks.details", ("delete",), {}),
        ("/api/v1/tasks/delete//", "tasks.delete", ("",), {}),
        ("/api/v1/tasks/logs/x?flag=tail&line_num=5", "tasks.logs", ("x",), {"flag": "tail", "line_num": "5"}),
        ("/api/v1/tasks/logs/x?flag=&line_num=a=b&flag", "tasks.logs", ("x",), {}),
        ("/api/v1/tasks/logs/x?flag=head&flag=tail", "tasks.logs", ("x",), {"flag": "tail"}),
        ("/api/v1/disk/list//", "disk.list", ("",), {}),
        ("/api/v1/lanxyz", "lan.list", ("xyz",), {}),
        ("/api/v1/lan//", "lan.list", (), {}),
        ("/api/v1/lan/delete", "lan.list", ("delete",), {}),
        ("/api/v1/lan/delete/", "lan.list", ("delete",), {}),
        ("/api/v1/bare_metal/modify", "bare_metal.list", ("modify",), {}),
        ("/api/v1/monitor/anything", "monitor", (), {}),
        ("/api/v1/rent_orders/9", "rent_orders", (), {}),
        ("/api/v1/snapshot/list/t/s?x=/", "snapshot.list", ("t", "s"), {"x": "/"}),
    ],
)
def test_a_uri_is_routed(uri: str, op: str, path: tuple[str, ...], query: dict[str, str]) -> None:
    found = route(uri)
    assert (found.op, found.path, found.query) == (op, path, query)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/images//", (400, (-32600, "invalid requests uri"))),
        ("/snapshot//", (400, (-32600, "invalid uri"))),
        ("/snapshot/create", (400, (-25, "invalid uri, please use: /snapshot/<task_id>/create"))),
        ("/snapshot/delete/t", (400, (-25, "invalid uri, please use /snapshot/<task_id>/delete/<snapshot_name>"))),
        ("/snapshot/create//", (400, (-25, "task_id is empty"))),
        ("/snapshot/delete/t//", (400, (-25, "snapshot_name is empty"))),
        ("/disk/grow/t", (400, (-32600, "invalid requests uri"))),
        ("/disk/list//", (400, (-25, "task_id is empty"))),
        ("/tasks/delete//", (400, (-25, "task_id is empty"))),
        ("/tasks/fly/t", (500, (-32701, "Unhandled request"))),
        ("/tasks/start/t/u", (400, (-32600, "invalid requests uri"))),
        ("/lan/join/t", (500, (-32701, "Unhandled request"))),
        ("/lan/delete/t/u", (400, (-32600, "invalid requests uri"))),
        ("/config/x", (500, (-32701, "Unhandled request"))),
    ],
)
def test_an_invalid_path_is_refused(path: str, expected: tuple[int, Any]) -> None:
    async def test() -> None:
        front = Front()
        assert await front.post(path, front.mine()) == expected

    run(test)


@pytest.mark.parametrize(
    ("path", "none", "empty"),
    [
        ("/tasks", NO_PEER, NO_PEER),
        ("/lan/delete/lan123", NO_PEER, NOBODY),
        ("/lan/create", NO_PEER, NO_PEER),
        ("/lan", (200, (0, {"networks": []})), NOBODY),
        ("/disk/list/t", NO_PEER, NO_PEER),
        ("/snapshot/list/t", NO_PEER, NO_PEER),
        ("/images/delete", NO_PEER, NO_PEER),
        ("/images", (400, (-25, "image_server not exist")), (400, (-25, "image_server not exist"))),
        ("/bare_metal", (200, (0, {"bare_metal_nodes": []})), NOBODY),
        ("/bare_metal/add", (400, (-32600, "only bare metal node support")), NO_PEER),
        ("/bare_metal/delete", (400, (-32600, "only bare metal node support")), NOBODY),
        ("/bare_metal/modify/x", (400, (-32600, "only bare metal node support")), NOBODY),
        ("/bare_metal/power", NO_PEER, NO_PEER),
        ("/deeplink", NO_PEER, NO_PEER),
        ("/monitor", NO_PEER, NO_PEER),
        ("/rent_orders", NO_PEER, NO_PEER),
    ],
)
def test_an_empty_peer_list_or_id_is_refused(path: str, none: Any, empty: Any) -> None:
    async def test() -> None:
        front = Front()
        assert await front.post(path, front.mine(None)) == none
        assert await front.post(path, front.mine("")) == empty

    run(test)


@pytest.mark.parametrize(
    ("version", "given", "taken"),
    [
        ("0.4.1.8", {"desc": "win", "win": ["ubuntu", {"x": "win"}]}, {"desc": "windows", "windows": ["linux", {"x": "windows"}]}),
        ("0.4.1.8", {"desc": "win 10", "n": 1}, {"desc": "win 10", "n": 1}),
        ("0.3.9.7", {"operation_system": "windows", "desc": "linux"}, {"operation_system": "win", "desc": "ubuntu"}),
    ],
)  # fmt: skip
def test_system_names_follow_the_nodes_version(version: str, given: Any, taken: Any) -> None:
    assert for_version(given, version) == taken


def test_a_description_with_a_system_name_is_rewritten() -> None:
    async def test() -> None:
        front = Front()
        made = await front.post(
            "/tasks/start", front.mine(desc="ubuntu", operation_system="win", rdp_port="20002", **VM)
        )
        assert made[1][1]["desc"] == "linux"
        shown = await front.post(f"/tasks/{made[1][1]['task_id']}", front.mine())
        assert (shown[1][1]["desc"], shown[1][1]["os"]) == ("linux", "windows")

    run(test)


def test_nodes_are_listed_with_their_own_versions() -> None:
    async def test() -> None:
        front = Front({**WORLD, "gpuNodes": [{"id": NODE_ID, "version": "0.4.1.6"}]})
        [shown] = (await front.post("/mining_nodes", front.body(None)))[1][1]["mining_nodes"]
        assert shown["version"] == "0.4.1.6"

    run(test)


def multisig(*seeds: str) -> dict[str, Any]:
    wallets = [WALLET, OTHER]
    signs = []
    for number, seed in enumerate(seeds):
        nonce = f"multisig {' '.join(seeds)} {number}"
        signs.append(
            {"wallet": WALLET if seed == SEED else OTHER, "nonce": nonce, "sign": signature(seed, nonce)}
        )  # fmt: skip
    return {"wallets": wallets, "threshold": "2", "signs": signs}


def test_a_multisig_without_a_rental_falls_back_to_the_wallet() -> None:
    async def test() -> None:
        front = Front()
        both = {**front.mine(), "multisig_accounts": multisig(SEED, OTHER_SEED)}
        assert await front.post("/tasks", both) == (200, (0, []))
        only = {**front.body(), "rent_order": "112", "multisig_accounts": multisig(OTHER_SEED, OTHER_SEED)}
        assert (await front.post("/tasks", only))[1][1] == "check authority failed: wallet not rented"

    run(test)


def test_a_multisig_session_accepts_a_member_that_did_not_sign_its_request() -> None:
    third = "33" * 32
    account = str(multisig_account([WALLET, OTHER, address(bytes.fromhex(node_id_of(third)))], 2))

    async def test() -> None:
        front = Front({**WORLD, "orders": {"112": {"renter": account, "machine": NODE_ID}}})
        asked = multisig(SEED, OTHER_SEED)
        asked["wallets"].append(address(bytes.fromhex(node_id_of(third))))
        created = {**front.body(), "rent_order": "112", "multisig_accounts": asked}
        session = (await front.post("/mining_nodes/session_id", created))[1][1]["session_id"]
        pair = {"session_id": session, "session_id_sign": signature(third, session), "rent_order": "112"}
        assert await front.post("/tasks", {**front.body(), **pair}) == (200, (0, []))

    run(test)


def test_rent_orders_are_listed_newest_first_and_machine_level_ones_last() -> None:
    orders = {key: {"renter": WALLET, "machine": NODE_ID} for key in ("77", "88", "79")}
    machines = {NODE_ID: {"renter": WALLET, "orders": list(orders)}}

    async def test() -> None:
        front = Front({**WORLD, "orders": orders, "machines": machines})
        for order in ("77", "", "88", "79"):
            assert (await front.post("/tasks", {**front.mine(), "rent_order": order}))[1][0] == 0
        listed = (await front.post("/rent_orders", front.body()))[1][1]["rent_orders"]
        assert [one["id"] for one in listed] == ["88", "79", "77", WALLET]

    run(test)


def test_a_saved_multisig_session_accepts_the_signature_of_any_member() -> None:
    account = str(multisig_account([WALLET, OTHER], 2))
    session = {"target": NODE_ID, "wallet": account, "id": "5" * 55, "issued": True, "signers": [WALLET, OTHER]}
    world = {**WORLD, "orders": {"112": {"renter": account, "machine": NODE_ID}}, "sessions": [session]}

    async def test() -> None:
        front = Front(world)
        for seed in (SEED, OTHER_SEED):
            pair = {"session_id": "5" * 55, "session_id_sign": signature(seed, "5" * 55), "rent_order": "112"}
            assert await front.post("/tasks", {**front.body(), **pair}) == (200, (0, []))

    run(test)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("stakerReportOffline", "check authority failed: query machine_status failed"),
        ("waitingFulfill", "check authority failed: machine is not be rented"),
        ("committeeVerifying", "check authority failed: not in verify time"),
        ("creating", "Chassis Power is off"),
    ],
)
def test_the_status_on_the_chain_determines_who_may_act(status: str, expected: str) -> None:
    async def test() -> None:
        front = Front({**BARE_METAL, "machines": {SERVER_ID: {"status": status, "renter": "tenant"}}})
        assert (await front.post("/bare_metal/power", front.mine(SERVER_ID, command="status")))[1][1] == expected

    run(test)


def test_an_ended_order_is_refused_with_the_text_of_wallets_or_sessions() -> None:
    """Reads included; the order that renews it authorises both."""

    async def test() -> None:
        front = Front()
        await front.post("/tasks", front.mine())
        session = front.network.nodes[NODE_ID].authority.sessions[WALLET].id
        pair = {"session_id": session, "session_id_sign": signature(SEED, session)}
        [ended] = front.network.chain.orders.values()
        ended.status = "rentExpired"
        front.network.chain.orders["113"] = replace(ended, key="113", status="renting")
        for order, by_wallet, by_session in (
            (
                "112",
                (-3, "check authority failed: wallet not rented"),
                (-3, "check authority failed: machine has already expired"),
            ),
            ("113", (0, []), (0, [])),
        ):
            named = {"rent_order": order}
            assert (await front.post("/tasks", {**front.mine(), **named}))[1] == by_wallet
            assert (await front.post("/tasks", {**front.body(), **pair, **named}))[1] == by_session

    run(test)


def test_endpoint_families_have_their_own_error_texts() -> None:
    async def test() -> None:
        front = Front()
        broken = b'{"peer_nodes_list":[],}'
        for path, expected in (
            ("/disk/list/t", "json parse error: Missing a name for object member."),
            ("/images", "json parse error: Missing a name for object member."),
            ("/snapshot/list/t", "json parse error: Missing a name for object member.(22)"),
        ):
            answer = await front.network.ask("default", "POST", f"/api/v1{path}", broken)
            assert json.loads(answer.body)["message"] == expected
        for path, expected in (
            ("/disk/list/t", "parse request params failed: has no additional"),
            ("/images/delete", "parse request params failed: has no additional"),
            ("/snapshot/list/t", "has no additional"),
            ("/lan/create", "has no additional"),
            ("/lan", "parse req params failed: has no additional"),
            ("/rent_orders", "parse req params failed: has no additional"),
        ):
            assert (await front.post(path, {"peer_nodes_list": []}))[1] == (-25, expected)

    run(test)
