"""A port as an ASGI application: reads requests, writes answers, and breaks connections where the network does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dbc_iac.emulator.http.answer import Dropped, Response
from dbc_iac.emulator.network import Network

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def port_app(network: Network, port: str) -> App:
    """The HTTP port of a node, by its name or id."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        query = scope["query_string"].decode("latin-1")
        uri = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        header_bytes = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        body = await read_body(receive)
        try:
            answer = await network.ask(port, scope["method"], uri, body, header_bytes)
        except Dropped:
            await _hang_up(receive, send)
            return
        await _write(answer, receive, send)

    return app


async def read_body(receive: Receive) -> bytes:
    received = bytearray()
    while True:
        message = await receive()
        received += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return bytes(received)


async def _write(answer: Response, receive: Receive, send: Send) -> None:
    content = answer.body.encode("utf-8", "surrogateescape")
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"access-control-allow-origin", b"*"),
        (b"content-length", str(len(content)).encode()),
    ]
    whole = answer.broken is None
    if answer.close and whole and answer.status != 200:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    part = content if answer.broken is None else content[: int(len(content) * answer.broken)]
    await send({"type": "http.response.body", "body": part, "more_body": not whole})
    if not whole or (answer.close and answer.status == 200):
        await _hang_up(receive, send)


async def _hang_up(receive: Receive, send: Send) -> None:
    """Closes the connection without a word. ASGI has no message for that: the server's own transport is used."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("the server shows no transport")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
