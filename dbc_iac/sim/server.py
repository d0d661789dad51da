"""The emulator on a real port: the same app as in process, served by uvicorn; and a small door to look behind it."""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dbc_iac.sim.client import ClientNode, DroppedError
from dbc_iac.sim.emulator import Emulator
from dbc_iac.sim.world import FaultSpec

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


async def _body(receive: Receive) -> bytes:
    data = b""
    while True:
        message = await receive()
        data += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return data


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"access-control-allow-origin", b"*")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def client_app(client: ClientNode) -> App:
    """A client node as an ASGI application."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        query = scope["query_string"].decode()
        uri = scope["raw_path"].decode() + (f"?{query}" if query else "")
        try:
            status, text = await client.handle(scope["method"], uri, await _body(receive))
        except DroppedError:
            # A body shorter than announced makes uvicorn close the connection: nobody gets an answer.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        await _answer(send, status, text)

    return app


def admin_app(emulator: Emulator, token: str) -> App:
    """`GET /truth`, `POST /faults`, `POST /restart/<node id>`, with `Authorization: Bearer TOKEN`."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if not hmac.compare_digest(given, f"Bearer {token}"):
            await _answer(send, 401, '{"error":"the token is missing or wrong"}')
            return
        body = await _body(receive)
        path: str = scope["path"]
        if path == "/truth":
            await _answer(send, 200, json.dumps(emulator.truth()))
        elif path == "/faults" and scope["method"] == "POST":
            emulator.faults.add(FaultSpec.model_validate_json(body))
            await _answer(send, 200, "{}")
        elif path.startswith("/restart/") and scope["method"] == "POST":
            emulator.restart(path.removeprefix("/restart/"))
            await _answer(send, 200, "{}")
        else:
            await _answer(send, 404, '{"error":"there are /truth, /faults and /restart/<node id>"}')

    return app


async def serve(
    emulator: Emulator, client: str, listen: tuple[str, int], admin: tuple[str, int] | None, token: str
) -> None:
    """Serve one client node, and the admin door where it is wanted, until interrupted. Loopback only."""
    import asyncio

    import uvicorn

    doors: list[tuple[App, tuple[str, int]]] = [(client_app(emulator.clients[client]), listen)]
    if admin is not None:
        doors.append((admin_app(emulator, token), admin))
    servers: list[uvicorn.Server] = []
    for app, (host, port) in doors:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not a loopback address")
        config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off", timeout_keep_alive=30)
        servers.append(uvicorn.Server(config))
    await asyncio.gather(*(s.serve() for s in servers))
