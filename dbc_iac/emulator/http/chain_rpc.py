"""The JSON-RPC port of a chain node, over HTTP as Substrate serves it: `chain_getBlock` of the newest block.

Blocks have a header and one extrinsic, the time of the block; hashes are made up.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dbc_iac.emulator.http.answer import Dropped, Response

if TYPE_CHECKING:
    from dbc_iac.emulator.chain import Chain

PORT = "chain"
"""Name of the port among those of a world."""
_TEXT = "text/plain"


def answer(chain: Chain, method: str, body: bytes) -> Response:
    """Answer a request. Raises Dropped if the chain is not reachable."""
    if not chain.reachable:
        raise Dropped("the chain node does not run", refused=True)
    if method != "POST":
        return Response(405, "Used HTTP Method is not allowed. POST is required\n", _TEXT)
    try:
        asked: Any = json.loads(body)
    except ValueError:
        return _error(None, -32700, "Parse error")
    if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0" or not isinstance(asked.get("method"), str):
        return _error(None, -32600, "Invalid request")
    if asked["method"] != "chain_getBlock":
        return _error(asked.get("id"), -32601, "Method not found")
    if asked.get("params") not in (None, []):
        return _result(asked.get("id"), None)  # a block that this node does not have
    return _result(asked.get("id"), {"block": _block(chain.block()), "justifications": None})


def _block(number: int) -> dict[str, Any]:
    header = {
        "parentHash": _hash("block", number - 1),
        "number": hex(number),
        "stateRoot": _hash("state", number),
        "extrinsicsRoot": _hash("extrinsics", number),
        "digest": {"logs": []},
    }
    return {"header": header, "extrinsics": ["0x280402000b" + number.to_bytes(6, "little").hex()]}


def _hash(of: str, number: int) -> str:
    return f"0x{hashlib.blake2b(f'{of} {number}'.encode(), digest_size=32).hexdigest()}"


def _result(number: Any, result: Any) -> Response:
    return Response(200, json.dumps({"jsonrpc": "2.0", "id": number, "result": result}))


def _error(number: Any, code: int, message: str) -> Response:
    return Response(200, json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}))
