"""A chain node's answers: the block of a good one, a reason for any other."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from dbc_iac.api.chain import ChainNode
from dbc_iac.api.http import ExchangeError, UnusableError
from dbc_iac.emulator import Network, WorldSpec


def block(number: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"block": {"header": {"number": number}}}})


def newest_block(status: int, body: str) -> int:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=body))
    return asyncio.run(ChainNode("http://127.0.0.1:9944", transport).newest_block())


def test_the_block_of_the_emulated_chain_is_read() -> None:
    network = Network(WorldSpec(block=1_234_567))
    transport = network.transport("chain")
    assert asyncio.run(ChainNode("http://127.0.0.1:9944", transport).newest_block()) == 1_234_567


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "no JSON"),
        (200, "[]"),
        (200, '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}}'),
        (200, '{"jsonrpc": "2.0", "id": 1, "result": null}'),
        (200, block(1_000_000)),
        (200, block("1000000")),
        (200, block("0x")),
        (200, block("0x1" + "0" * 8)),
        (405, block("0xf4240")),
    ],
)
def test_an_answer_without_a_block_number_is_refused(status: int, body: str) -> None:
    with pytest.raises(UnusableError):
        newest_block(status, body)


def test_a_silent_chain_node_is_given_up_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("dbc_iac.api.chain.DEADLINE", 0.01)
    with pytest.raises(ExchangeError, match=r"gave no answer within 0\.01 s"):
        asyncio.run(ChainNode("http://127.0.0.1:9944", httpx.MockTransport(silent)).newest_block())
