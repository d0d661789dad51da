"""A node of the DBC chain, over JSON-RPC: the number of the newest block. Nothing else is asked of the chain."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dbc_iac.api.http import MIB, Limits, UnusableError
from dbc_iac.api.transport import HttpClient
from dbc_iac.json import load_json

if TYPE_CHECKING:
    import httpx

DEADLINE = 5.0
"""Seconds of the one request."""
_MAX_BYTES = 16 * MIB
"""A block holds up to 5 MiB, which its JSON text doubles."""
_NUMBER = re.compile("0x[0-9a-fA-F]{1,8}")
"""Block numbers have 32 bits."""
_GET_BLOCK = {"jsonrpc": "2.0", "id": 1, "method": "chain_getBlock", "params": []}


class ChainNode:
    """A chain node by its URL. `transport` replaces the network."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self._transport = transport

    async def newest_block(self) -> int:
        """The number of the newest block. Raises ExchangeError, after DEADLINE at the latest."""
        client = HttpClient(Limits(DEADLINE, _MAX_BYTES), keep_alive=0.0, proxies=True, transport=self._transport)
        try:
            headers = {"Content-Type": "application/json"}
            reply = await client.request("POST", self.url, json.dumps(_GET_BLOCK).encode(), headers=headers)
        finally:
            await client.aclose()
        if not reply.success:
            raise UnusableError(reply.status, f"its status is {reply.status}")
        try:
            number = load_json(reply.body)["result"]["block"]["header"]["number"]
        except (ValueError, LookupError, TypeError):
            raise UnusableError(reply.status, "it has no block") from None
        if not isinstance(number, str) or not _NUMBER.fullmatch(number):
            raise UnusableError(reply.status, "the number of its block is not hexadecimal")
        return int(number, 16)
