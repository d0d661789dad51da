"""The emulated chain node: JSON-RPC over HTTP as Substrate answers it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.answer import Dropped
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop


def ask(network: Network, body: Any, method: str = "POST") -> tuple[int, Any]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = asyncio.run(network.ask("chain", method, "/", text))
    return answer.status, json.loads(answer.body) if answer.status == 200 else answer.body


def call(method: str, params: Any = ()) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}


def test_the_newest_block_follows_the_clock() -> None:
    network, loop = Network(WorldSpec(block=1000)), virtual_loop()
    try:
        loop.run_until_complete(network.ask("chain", "POST", "/", b"{}"))
        loop.run_until_complete(asyncio.sleep(61))
        text = json.dumps(call("chain_getBlock")).encode()
        answer = json.loads(loop.run_until_complete(network.ask("chain", "POST", "/", text)).body)
    finally:
        close_loop(loop)
    assert answer["result"]["block"]["header"]["number"] == hex(1010)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", {"id": None, "error": {"code": -32700, "message": "Parse error"}}),
        ([], {"id": None, "error": {"code": -32600, "message": "Invalid request"}}),
        (call("chain_getHeader"), {"id": 7, "error": {"code": -32601, "message": "Method not found"}}),
        (call("chain_getBlock", ["0x00"]), {"id": 7, "result": None}),
    ],
)
def test_other_requests_are_answered_as_json_rpc_does(body: Any, expected: dict[str, Any]) -> None:
    assert ask(Network(WorldSpec()), body) == (200, {"jsonrpc": "2.0", **expected})


def test_only_posts_are_answered() -> None:
    assert ask(Network(WorldSpec()), b"", "GET")[0] == 405


def test_an_unreachable_chain_refuses_the_connection() -> None:
    network = Network(WorldSpec())
    network.chain.reachable = False
    with pytest.raises(Dropped):
        ask(network, call("chain_getBlock"))
