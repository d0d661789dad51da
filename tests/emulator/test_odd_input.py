"""Unusual but legal input: answers of the node, and no errors of the emulator itself."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.emulator.gpu.ctext import atoi
from dbc_iac.emulator.gpu.filters import apply_filters
from dbc_iac.emulator.gpu.node import OPERATIONS, GpuNode
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.http.answer import Dropped
from dbc_iac.emulator.http.rapidjson import parse
from dbc_iac.emulator.http.system_names import for_version
from dbc_iac.emulator.reply import Reply
from tests.emulator.front import (
    BARE_METAL,
    NODE_ID,
    OTHER_SEED,
    SEED,
    SERVER_ID,
    WALLET,
    WORLD,
    Front,
    passes,
    run,
    signature,
)
from tests.emulator.test_wire_tables import OTHER, VM, multisig
from tests.openapi.contract import additional_keys, operations

LONG = "9" * 5000
BAD_MULTISIG = {"wallets": [OTHER], "threshold": "2", "signs": [{"wallet": OTHER, "nonce": "n", "sign": "s"}]}


@pytest.mark.parametrize("number", ["--5", "+-5", "x", "0", "-3", "2147483648", "4294967296", "-" + LONG, LONG])
def test_an_invalid_number_of_lines_is_refused(number: str) -> None:
    """`atoi` returns -1 for the last value."""

    async def test() -> None:
        front = Front()
        reply = await front.post(f"/tasks/logs/x?flag=head&line_num={number}", front.mine())
        assert reply == (400, (-25, "invalid line num"))

    run(test)


def test_digits_of_any_length_saturate() -> None:
    assert (atoi(LONG), atoi("-" + LONG), atoi("0" * 5000 + "7")) == (-1, 0, 7)
    assert apply_filters([f"in,tcp,{'0' * 5000}22,0.0.0.0/0,accept"])
    assert not apply_filters([f"in,tcp,{LONG},0.0.0.0/0,accept"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cpu_cores": LONG}, "cpu_cores is invalid"),
        ({"gpu_count": LONG}, "gpu_count is invalid (usage: gpu_count >= 0)"),
        ({"multicast": [f"224.0.0.1:{LONG}"]}, "invalid multicast port"),
        ({"vnc_port": "5" + "0" * 5000}, None),
    ],
)
def test_a_create_with_very_long_numbers(changes: dict[str, Any], expected: str | None) -> None:
    async def test() -> None:
        front = Front()
        status, (errcode, message) = await front.post("/tasks/start", front.mine(**{**VM, **changes}))
        assert (status, errcode) == (200, 1 if expected else 0)
        assert expected is None or message == expected

    run(test)


def test_a_body_may_be_nested_without_a_limit() -> None:
    async def test() -> None:
        front = Front()
        for deep in ("[" * 20_000 + "]" * 20_000, '{"a":' * 20_000 + "1" + "}" * 20_000):
            body = json.dumps(front.mine(**VM))[:-1] + f', "ignored": {deep}}}'
            answer = await front.network.ask("default", "POST", "/api/v1/mining_nodes", body.encode())
            assert json.loads(answer.body)["errcode"] == 0
        deep = parse(b'["win"' + b',["win"' * 20_000 + b"]" * 20_001)
        assert for_version({"x": deep}, "0.4.1.8")["x"][1][1][0] == "windows"

    run(test)


def test_a_text_ends_at_its_first_nul_in_every_field() -> None:
    async def test() -> None:
        front = Front()
        for key in ("rent_order", "wallet", "nonce", "sign"):
            body = front.mine()
            assert await front.post("/tasks", {**body, key: body[key] + "\0x"}) == (200, (0, []))
        assert (await front.post("/tasks", {**front.mine(), "peer_nodes_list": [NODE_ID + "\0x"]}))[0] == 200
        session = (await front.post("/mining_nodes/session_id", front.mine()))[1][1]["session_id"]
        pair = {"session_id": session + "\0", "session_id_sign": signature(SEED, session)}
        assert await front.post("/tasks", {**front.body(), **pair, "rent_order": "112"}) == (200, (0, []))
        asked = {**front.body(None), "additional": {"image_server": "ID_1\0x"}}
        assert (await front.post("/images", asked))[0] == 200

    run(test)


@pytest.mark.parametrize(
    "body",
    [
        {"peer_nodes_list": [1]},
        {"peer_nodes_list": [None], "additional": []},
        {"peer_nodes_list": [], "additional": {}, "multisig_accounts": {"wallets": [1]}},
        {"peer_nodes_list": [], "additional": {}, "multisig_accounts": {"wallets": [], "threshold": "1", "signs": [{}]}},
        {"peer_nodes_list": [], "additional": {}, "multisig_accounts": {"wallets": [], "threshold": "1", "signs": ["x"]}},
        {
            "peer_nodes_list": [],
            "additional": {},
            "multisig_accounts": {"wallets": [], "threshold": "1", "signs": [{}]},
            "session_id": 5,
        },
    ],
)  # fmt: skip
def test_a_list_item_of_another_type_crashes_the_process(body: dict[str, Any]) -> None:
    async def test() -> None:
        front = Front()
        with pytest.raises(Dropped):
            await front.post("/tasks", body)
        assert not front.network.clients["default"].alive

    run(test)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"peer_nodes_list": {}, "additional": 1}, "peer_nodes_list is not array"),
        ({"peer_nodes_list": ["a", 1]}, "has no additional"),
        ({"peer_nodes_list": [], "additional": {}, "wallet": 1, "multisig_accounts": {"wallets": [1]}}, "wallet is not string"),
        ({"peer_nodes_list": [], "additional": {}, "multisig_accounts": {"wallets": {}}}, "multisig_accounts member wallets is not array"),
    ],
)  # fmt: skip
def test_the_order_of_checks_determines_the_refusal(body: dict[str, Any], expected: str) -> None:
    async def test() -> None:
        assert await Front().post("/tasks", body) == (400, (-25, expected))

    run(test)


def test_a_session_is_no_credential_for_a_session() -> None:
    async def test() -> None:
        front = Front()
        pair = {**front.body(), "session_id": "s", "session_id_sign": "t", "multisig_accounts": BAD_MULTISIG}
        refused = (400, (-25, "wallet_sign and multisig_wallets all invalid"))
        assert await front.post("/mining_nodes/session_id", pair) == refused
        assert (await front.post("/tasks", pair))[0] == 200
        good = {**front.body(), "multisig_accounts": multisig(OTHER_SEED, OTHER_SEED), "rent_order": "112"}
        assert (await front.post("/mining_nodes/session_id", good))[0] == 200

    run(test)


def test_a_snapshot_request_is_parsed_before_its_missing_names_are_reported() -> None:
    async def test() -> None:
        front = Front()
        for path in ("/snapshot/create//", "/snapshot/delete/t//", "/snapshot/list//"):
            empty = await front.network.ask("default", "POST", f"/api/v1{path}", b"")
            assert json.loads(empty.body)["message"] == "http request body is empty"
            assert (await front.post(path, {}))[1][1].endswith("is empty")
        vm = await front.network.ask("default", "POST", "/api/v1/tasks/delete//", b"")
        assert json.loads(vm.body)["message"] == "task_id is empty"

    run(test)


def test_a_uri_is_returned_byte_for_byte() -> None:
    async def test() -> None:
        uri = b"/api/v1/\xff\xc3\xa9".decode("utf-8", "surrogateescape")
        answer = await Front().network.ask("default", "POST", uri, b"")
        assert b"not support uri:/api/v1/\xff\xc3\xa9" in answer.content

    run(test)


def test_invalid_utf8_passes() -> None:
    async def test() -> None:
        front = Front({**BARE_METAL, "deeplinks": [{"ip": "198.51.100.1"}]})

        async def ask(path: str, body: dict[str, Any]) -> bytes:
            sent = json.dumps(body).encode().replace(b"ODD", b"\xff\xfe")
            return (await front.network.ask("default", "POST", f"/api/v1{path}", sent)).content

        assert b'"ok"' in await ask("/deeplink/set", front.mine(SERVER_ID, device_password="ODD"))
        assert b'"message":""' in await ask(
            f"/bare_metal/modify/{SERVER_ID}", front.owners(ipmi_password="ODD", desc="ODD")
        )
        assert b"Activate Session command failed" in await ask("/bare_metal/power", front.mine(SERVER_ID, command="on"))
        assert b'"description":"\xff\xfe"' in await ask("/bare_metal", front.owners())
        assert b"nonce check failed" in await ask("/deeplink", {**front.mine(SERVER_ID), "nonce": "ODD"})

    run(test)


@pytest.mark.parametrize("threshold", ["0", "-1", "abc", "70000", LONG])
def test_an_invalid_multisig_falls_back_to_the_wallet(threshold: str) -> None:
    async def test() -> None:
        front = Front()
        both = {**front.mine(), "multisig_accounts": {**multisig(SEED, OTHER_SEED), "threshold": threshold}}
        assert await front.post("/tasks", both) == (200, (0, []))

    run(test)


def test_a_signature_must_be_hex() -> None:
    async def test() -> None:
        front = Front()
        for change, expected in (
            (str.upper, 0),
            ("0x{}".format, 0),
            (" ".join, -3),
            ("{}00".format, -3),
            (lambda s: "é", -3),
        ):
            body = front.mine()
            assert (await front.post("/tasks", {**body, "sign": change(body["sign"])}))[1][0] == expected

    run(test)


ATOMS: list[Any] = [
    "", "0", "-1", "5", "8G", "ubuntu.qcow2", "ID_1", "/data", "testnet", "10.0.0.0/24", "10.0.0.0/0", "1.2.3.4", "::1",
    "vda", "vdb", "s", "true", "status", "off", "pxe", "x\0y", 'q"uote', "back\\slash", "new\nline", "é", "windows",
    "224.0.0.1:5", "in,tcp,all,0.0.0.0/0,accept", "tcp,80", "9" * 4400, "a" * 300, "%20", "../x", "//", 0, 1, -1,
    2**31, 2**63, 2**64, 1.5, True, None, [], {},
]  # fmt: skip
OF_NODE = [operation for operation in operations() if operation.id in OPERATIONS]
KEYS = {operation.id: additional_keys(operation) for operation in OF_NODE}
VMS = [
    {"taskId": f"vm{number}", "wallet": WALLET, "rentOrder": "112", "domain": domain, "vncPort": 5900 + number, **more}
    for number, (domain, more) in enumerate(
        (
            ("running", {}),
            ("shut_off", {"status": "closed"}),
            ("crashed", {}),
            ("suspended", {"status": "pmsuspend"}),
            (None, {"status": "create error"}),
            ("running", {"biosMode": "pxe"}),
        )
    )
]


class Additional(dict[str, Any]):
    """The `additional` of a request, which records the keys that its operation reads."""

    read: set[object]

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read.add(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


@pytest.fixture
def unknown_keys(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, object]]:
    """Keys that an operation of a GPU node reads and the contract does not name."""
    unknown: set[tuple[str, object]] = set()
    handle = GpuNode.handle

    async def handled(self: GpuNode, op: str, caller: Caller | None, request: NodeRequest) -> Reply:
        additional = Additional(request.additional)
        additional.read = set()
        try:
            return await handle(self, op, caller, replace(request, additional=additional))
        finally:
            unknown.update((op, key) for key in additional.read if key not in KEYS[op])

    monkeypatch.setattr(GpuNode, "handle", handled)
    return unknown


@pytest.mark.parametrize("seed", range(5))
def test_random_requests_cause_no_error_of_the_emulator(seed: int, unknown_keys: set[tuple[str, object]]) -> None:
    """An answer, or a crash with a restart; nothing else, and time continues."""
    source = random.Random(seed)

    async def test() -> None:
        front = Front({**WORLD, "gpuNodes": [{"id": NODE_ID, "vms": VMS}], "restartSeconds": 1})
        for _ in range(400):
            operation = source.choices(OF_NODE, [1 + len(KEYS[one.id]) for one in OF_NODE])[0]
            additional: dict[str, Any] = dict(VM) if operation.path == "/tasks/start" and source.random() < 0.7 else {}
            for key in KEYS[operation.id]:
                if source.random() < 0.6:
                    value = source.choice(ATOMS)
                    additional[key] = [value, source.choice(ATOMS)] if source.random() < 0.2 else value
            path = operation.path.replace("{task_id}", f"vm{source.randrange(7)}")
            uri = "/api/v1" + re.sub(r"{\w+}", "s", path)
            try:
                body = json.dumps(front.mine(**additional)).encode()
                await asyncio.wait_for(front.network.ask("default", "POST", uri, body), 120)
            except (Dropped, TimeoutError):
                await passes(30)
            await passes(source.choice([0, 1, 10, 300]))

    problems: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        await test()
        gc.collect()

    run(watched)
    assert (problems, unknown_keys) == ([], set())
