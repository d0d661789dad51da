"""A port as an ASGI application, to embed an emulated network in a server or in other tests.

Answers equal those of a real port (`listener`); the levels below, such as the library's own headers and connections
that close within a body, belong to the ASGI server. A connection that the network drops raises `Dropped`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from dbc_iac.emulator.http.answer import Dropped, head_size

if TYPE_CHECKING:
    from dbc_iac.emulator.network import Network

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def port_app(network: Network, port: str) -> App:
    """HTTP port of a node, by its name or id. Supports requests only: no lifespan, no web sockets."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"an emulated port knows no {scope['type']}")
        query = scope["query_string"].decode("latin-1")
        uri = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        head_bytes = head_size(scope["method"], uri, scope["headers"])
        answer = await network.ask(port, scope["method"], uri, await _body(receive), head_bytes)
        if answer.broken is not None:
            raise Dropped("the connection ends inside the body")
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    return app


async def _body(receive: Receive) -> bytes:
    received = bytearray()
    while True:
        message = await receive()
        received += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return bytes(received)
