"""A real port: HTTP byte for byte as by the node's library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dbc_iac.emulator.http.listener import Listener
from dbc_iac.emulator.server import node_handler
from tests.emulator.front import Front

PAGE_400 = b"<HTML><HEAD>\n<TITLE>400 Bad Request</TITLE>\n</HEAD><BODY>\n<H1>Bad Request</H1>\n</BODY></HTML>\n"
LIST = b'{"peer_nodes_list": [], "additional": {}}'
VERSION = b"GET /api/v1/ HTTP/1.1\r\n\r\n"


class Port:
    """A client node on its own port."""

    def __init__(self, number: int, front: Front) -> None:
        self.number = number
        self.front = front

    async def say(self, data: bytes, *, half_close: bool = False) -> tuple[bytes, bytes]:
        """Head and body of everything received until the connection closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            writer.write(data)
            if half_close:
                writer.write_eof()
            head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
            return head, body
        finally:
            writer.close()


def on_port(test: Callable[[Port], Coroutine[Any, Any, None]], silent_seconds: float = 0.3) -> None:
    async def go() -> None:
        front = Front()
        listener = Listener(node_handler(front.network, "default"), front.network.clock.wall, silent_seconds)
        await listener.open("127.0.0.1", 0)
        assert listener.number
        try:
            await test(Port(listener.number, front))
        finally:
            await listener.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\n\n",
        b"GET /api/v1/ a HTTP/1.1\r\n\r\n",
        b"GET /api/v1/\r\n\r\n",
        b"GET /api/v1/ HTTP/2.0\r\n\r\n",
        b"GET /api/v1/ HTTP/1.x\r\n\r\n",
        b"GET /api/v1/ HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /api/v1/ HTTP/1.1\r\n folded: first\r\n\r\n",
        b"POST /api/v1/mining_nodes HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/mining_nodes HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
        b"POST /api/v1/mining_nodes HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
        b"GET /api/v1/ HTTP/1.1\r\n" + b"a: b\r\n" * 2100 + b"\r\n",
        b"GET /api/v1/" + b"a" * 9000,
        b"GET /api/v1/aaaa HTTP/1.1\r\nX: " + b"a" * 8165 + b"\r\n\r\n",
    ],
)
def test_an_invalid_request_gets_the_page_of_the_library(data: bytes) -> None:
    async def test(port: Port) -> None:
        head, body = await port.say(data)
        assert body == PAGE_400
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\nDate: ")
        assert b"Access-Control" not in head

    on_port(test)


@pytest.mark.parametrize(
    "data",
    [
        VERSION,
        b"GET /api/v1/ HTTP/1.1\nHost: x\n\n",
        b"GET /api/v1/ HTTP/1.1\r\nX: " + b"a" * 8168 + b"\r\n\r\n",
        b"HEAD /api/v1/ HTTP/1.1\r\n\r\n",
        b"DELETE /api/v1/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_requests_that_the_library_accepts(data: bytes) -> None:
    """No `Host`, bare line feeds, headers of 8192 bytes, minus 24 for `GET /api/v1/ HTTP/1.1` and `X: `."""

    async def test(port: Port) -> None:
        head, body = await port.say(data)
        assert head.startswith(
            b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n"
        )
        assert (b"client_version" in body) is not data.startswith(b"HEAD")
        assert (b"Content-Length" in head) is not data.startswith(b"HEAD")

    on_port(test)


def test_a_non_ascii_byte_reaches_the_router() -> None:
    async def test(port: Port) -> None:
        head, body = await port.say(b"POST /api/v1/\xff HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found")
        assert b"not support uri:/api/v1/\xff" in body

    on_port(test)


def test_older_clients_get_neither_date_nor_length() -> None:
    async def test(port: Port) -> None:
        head, body = await port.say(b"GET /api/v1/ HTTP/1.0\r\n\r\n")
        assert head == b"HTTP/1.0 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json"
        assert body.endswith(b"\r\n")
        head, _ = await port.say(b"GET /api/v1/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\nContent-Length: 82" in head

    on_port(test)


def test_requests_of_a_connection_are_answered_in_order() -> None:
    async def test(port: Port) -> None:
        chunked = b"POST /api/v1/mining_nodes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"10\r\n" + LIST[:16] + b"\r\n" + b"%x\r\n" % len(LIST[16:]) + LIST[16:]
        chunked += b"\r\n0\r\n\r\n"
        bad = b"POST /api/v1/nope HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
        whole = b"\r\n\r\n".join(await port.say(VERSION + bad + chunked + VERSION, half_close=True))
        order = [whole.index(text) for text in (b"client_version", b"not support uri", b"mining_nodes")]
        assert order == sorted(order)
        assert whole.count(b"client_version") == 2

    on_port(test)


def test_a_body_is_requested_only_if_it_has_not_arrived() -> None:
    async def test(port: Port) -> None:
        expecting = b"POST /api/v1/mining_nodes HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 41\r\n\r\n"
        head, _ = await port.say(expecting + LIST)
        assert head.startswith(b"HTTP/1.1 200 OK")
        head, _ = await port.say(expecting)
        assert head == b"HTTP/1.1 100 Continue"
        head, _ = await port.say(expecting.replace(b"100-continue", b"a miracle"))
        assert head.startswith(b"HTTP/1.1 417 Expectation Failed")

    on_port(test)


@pytest.mark.parametrize("chunks", [b"2000001\r\n", b"zz\r\n", b"-5\r\n"])
def test_an_oversized_request_is_refused_by_its_announced_length(chunks: bytes) -> None:
    async def test(port: Port) -> None:
        head, _ = await port.say(b"POST /api/v1/mining_nodes HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 Request Entity Too Large")
        head, _ = await port.say(b"POST /api/v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        assert head.startswith(b"HTTP/1.1 413 Request Entity Too Large")

    on_port(test, silent_seconds=30)


@pytest.mark.parametrize(
    "data",
    [b"", b"GET /api", b"GET /api/v1/ HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"],
)
def test_an_idle_connection_is_closed_without_an_answer(data: bytes) -> None:
    async def test(port: Port) -> None:
        others = asyncio.ensure_future(port.say(VERSION))
        assert await port.say(data) == (b"", b"")
        assert b"200 OK" in (await others)[0]

    on_port(test)


def test_a_proxy_request_closes_the_connection() -> None:
    async def test(port: Port) -> None:
        head, body = await port.say(b"GET http://127.0.0.1/api/v1/ HTTP/1.1\r\n\r\n")
        assert b"request uri is invalid, uri:http://127.0.0.1/api/v1/" in body
        assert b"Connection" not in head

    on_port(test, silent_seconds=30)


def test_a_bug_of_the_emulator_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(port: Port) -> None:
        async def fails(*given: Any) -> None:
            raise RecursionError("too deep")

        port.front.network.clients["default"].handle = fails  # type: ignore[assignment,method-assign]
        head, body = await port.say(VERSION)
        assert head.startswith(b"HTTP/1.1 500 Internal Server Error")
        assert json.loads(body)["message"] == "the emulator failed: RecursionError: too deep"
        assert "too deep" in caplog.text

    on_port(test)
