"""Exchanges by `plain_http`, with what servers send and when they close. Where httpx does the same, it is run beside it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from dbc_iac.api.http import MIB, PLAIN_URL, BrokenError, ExchangeError, Limits, Reply, UnusableError
from dbc_iac.api.plain_http import MAX_HEAD, _Connection
from dbc_iac.api.transport import HttpClient
from dbc_iac.secret import SecretText

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LIMITS = Limits(30.0, MIB)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
both = pytest.mark.parametrize("plain", [False, True], ids=["httpx", "plain"])


class Server:
    """Answers each request with bytes, and closes after them with `close`."""

    def __init__(self, answer: bytes, close: bool = False) -> None:
        self.answer, self.close = answer, close
        self.requests: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(len(b"[]"))
                writer.write(self.answer)
                await writer.drain()
                if self.close:
                    writer.close()
                    return


@asynccontextmanager
async def exchanging(
    server: Server, *, plain: bool, limits: Limits = LIMITS, **options: Any
) -> AsyncIterator[Callable[[], Awaitable[Reply | ExchangeError]]]:
    """A function that makes one exchange with the server."""
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    client = HttpClient(limits, plain=plain, **options)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/api/v1/tasks?flag=tail"

    async def exchange() -> Reply | ExchangeError:
        try:
            return await client.request("POST", url, b"[]")
        except ExchangeError as error:
            return error

    try:
        yield exchange
    finally:
        await client.aclose()
        for connection in server.connections:
            connection.close()
        listening.close()


def twice(server: Server, *, plain: bool, **options: Any) -> tuple[Reply | ExchangeError, int]:
    """The answer to the first of two requests, and the number of connections that both took."""

    async def work() -> Reply | ExchangeError:
        async with exchanging(server, plain=plain, **options) as exchange:
            first = await exchange()
            await exchange()
            return first

    return asyncio.run(work()), len(server.connections)


@both
@pytest.mark.parametrize(
    ("sent", "status", "body", "connections"),
    [
        (OK, 200, b"{}", 1),
        (CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nContent-Type: a/b\r\n\r\n", 200, b"{}", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", 1),
        (b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, 200, b"{}", 1),
        (OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), 200, b"{}", 2),
        (OK.replace(b"1.1", b"1.0"), 200, b"{}", 2),
        (OK.replace(b"200 OK", b"307 X\r\nLocation: http://127.0.0.1:9/"), 307, b"{}", 1),
    ],
    ids=["length", "chunks", "no body", "interim answers", "close", "HTTP/1.0", "redirect"],
)
def test_an_answer_is_complete_and_its_connection_used_again_if_the_server_keeps_it(
    plain: bool, sent: bytes, status: int, body: bytes, connections: int
) -> None:
    reply, used = twice(Server(sent), plain=plain)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.content_type, used) == (status, body, "", connections)


@both
def test_an_answer_without_a_length_ends_with_its_connection(plain: bool) -> None:
    reply, used = twice(Server(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n{}", close=True), plain=plain)
    assert isinstance(reply, Reply)
    assert (reply.body, reply.content_type, used) == (b"{}", "a/b", 2)


@both
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "connection closed without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "connection closed in the middle of an answer"),
        (CHUNKED + b"2\r\n{}\r\n", "connection closed in the middle of an answer"),
        (CHUNKED + b"x\r\n{}\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n{}", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX A: b\r\n\r\n{}", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX-A: \0\r\n\r\n{}", "the answer is not HTTP"),
    ],
)
def test_an_incomplete_or_invalid_answer_is_a_broken_exchange(plain: bool, sent: bytes, said: str) -> None:
    error, used = twice(Server(sent, close=True), plain=plain)
    assert isinstance(error, BrokenError)
    assert (str(error), used) == (f"gave no complete answer: {said}", 2)


@pytest.mark.parametrize(
    "sent",
    [
        OK.replace(b"\r\n", b"\r\nTransfer-Encoding: chunked\r\n", 1),
        OK.replace(b"\r\n", b"\r\nContent-Length: 2\r\n", 1),
        OK.replace(b"\r\n", b"\n"),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n{}",
    ],
    ids=["two framings", "two lengths", "bare line feeds", "upgrade"],
)
def test_an_answer_that_two_parsers_could_read_differently_is_refused(sent: bytes) -> None:
    error, used = twice(Server(sent), plain=True)
    assert isinstance(error, BrokenError)
    assert (str(error), used) == ("gave no complete answer: the answer is not HTTP", 2)


@pytest.mark.parametrize(
    "after", [b"x", b"garbage\r\n\r\n", OK.replace(b"{}", b"[]"), OK[:20], b"HTTP/1.1 100 Continue\r\n\r\n"]
)
@pytest.mark.parametrize("framing", [OK, OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)], ids=["kept", "closed"])
def test_bytes_after_an_answer_are_never_the_answer_to_the_next_request(framing: bytes, after: bytes) -> None:
    reply, used = twice(Server(framing + after), plain=True)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers, reply.body, used) == (200, dict(reply.headers), b"{}", 2)
    assert set(reply.headers) <= {"content-length", "connection"}


@both
@pytest.mark.parametrize("late", [b"x", OK, None], ids=["byte", "answer", "end"])
@pytest.mark.parametrize("seen", [False, True], ids=["loop has not run", "loop has run"])
def test_a_connection_on_which_something_came_later_is_not_used_again(
    plain: bool, late: bytes | None, seen: bool
) -> None:
    async def work() -> None:
        server = Server(OK)
        async with exchanging(server, plain=plain) as exchange:
            await exchange()
            (kept,) = server.connections
            with socket.socket(fileno=os.dup(kept.get_extra_info("socket").fileno())) as plug:
                plug.shutdown(socket.SHUT_WR) if late is None else plug.send(late)
            for _ in range(5 * seen):
                await asyncio.sleep(0)
            reply = await exchange()
            assert isinstance(reply, Reply)
            assert len(server.connections) == 2

    asyncio.run(work())


@both
def test_a_connection_is_not_used_after_its_time(plain: bool) -> None:
    for seconds in (0.0, 1e-9):
        assert twice(Server(OK), plain=plain, keep_alive=seconds)[1] == 2


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 100 Continue\r\n\r\n", b""])
def test_a_head_is_bounded(start: bytes) -> None:
    error, _ = twice(Server(start + start * (2 * MAX_HEAD // (len(start) or 1)) + b"\r\n" * MAX_HEAD), plain=True)
    assert isinstance(error, BrokenError)


def test_the_framing_of_chunks_is_bounded() -> None:
    bomb = CHUNKED + b"1;" + b"a" * (MIB + 2 * MAX_HEAD)
    error, _ = twice(Server(bomb), plain=True)
    assert isinstance(error, UnusableError)
    assert (str(error), error.status) == ("sent an answer that is refused: it is longer than 1 MiB", 200)


def test_a_connection_that_ended_before_the_request_gives_no_answer() -> None:
    async def work() -> Reply:
        server = Server(OK)
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        address = listening.sockets[0].getsockname()
        _, connection = await asyncio.get_running_loop().create_connection(lambda: _Connection(MIB), *address)
        connection.data_received(b"greeting")
        listening.close()
        return await connection.exchange(b"")

    with pytest.raises(BrokenError, match="connection closed without an answer"):
        asyncio.run(work())


def test_the_deadline_ends_the_connection_of_a_silent_server() -> None:
    async def work() -> None:
        server = Server(b"")
        async with exchanging(server, plain=True, limits=Limits(0.05, MIB)) as exchange:
            assert str(await exchange()) == "gave no answer within 0.05 s"
            server.answer = OK
            assert isinstance(await exchange(), Reply)
            assert len(server.connections) == 2

    asyncio.run(work())


def test_the_request_is_that_of_httpx() -> None:
    heads = []
    for plain in (False, True):
        server = Server(OK)
        twice(server, plain=plain, headers={"X-Key": SecretText("a b")})
        line, *fields = server.requests[1].strip().split(b"\r\n")
        names = sorted(field.lower() for field in fields if not field.lower().startswith(b"host:"))
        heads.append((line, names, len(fields)))
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ("url", "matches"),
    [
        ("http://127.0.0.1:5050/api/v1/tasks/7a?flag=tail&n=9", True),
        ("http://[::1]:5050", True),
        ("http://node.example/a.b/c", True),
        ("https://127.0.0.1", False),
        ("http://user@127.0.0.1", False),
        ("http://127.0.0.1/a/../b", False),
        ("http://127.0.0.1/./b", False),
        ("http://127.0.0.1/a b", False),
        ("http://127.0.0.1/a\r\nX: y", False),
        ("http://127.0.0.1/%41", False),
        ("http://127.0.0.1/#a", False),
        ("http://bücher.example/", False),
    ],
)
def test_only_an_address_that_is_sent_as_written_is_plain(url: str, matches: bool) -> None:
    assert bool(PLAIN_URL.fullmatch(url)) is matches
