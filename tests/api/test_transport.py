"""One client node: limits, deadlines, and what broke when."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import httpx
import pytest

from dbc_iac.api.http import Reply
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import NotSent, Unknown
from dbc_iac.api.transport import ClientNode, InsecureUrl
from dbc_iac.secret import SecretText
from tests.api.support import Script, ok, run

BODY = b'{"peer_nodes_list":[],"additional":{"password":"Canary"}}'


def post(script: Script, call_class: CallClass = CallClass.READ, **options: Any) -> Reply | NotSent | Unknown:
    async def work() -> Reply | NotSent | Unknown:
        node = script.node(**options)
        try:
            return await node.post("/tasks", BODY, call_class)
        finally:
            await node.aclose()

    return run(work())


def test_the_request_is_a_json_post_below_api_v1() -> None:
    script = Script(ok("ok"))
    reply = post(script)
    assert isinstance(reply, Reply)
    (request,) = script.requests
    assert (request.method, str(request.url)) == ("POST", "http://127.0.0.1:5050/api/v1/tasks")
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == BODY


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), NotSent),
        (httpx.ConnectError("[Errno -2] Name or service not known"), NotSent),
        (httpx.ConnectTimeout("black hole"), NotSent),
        (httpx.PoolTimeout("full"), NotSent),
        (httpx.ReadError("reset"), Unknown),
        (httpx.WriteError("broken pipe"), Unknown),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), Unknown),
        (httpx.ReadTimeout("late"), Unknown),
        (ssl.SSLError("in the middle"), Unknown),
        (OSError("anything"), Unknown),
        (RuntimeError("an in-process app that died"), Unknown),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else v.__name__,
)
@pytest.mark.parametrize("call_class", [CallClass.READ, CallClass.BLIND])
def test_only_what_broke_before_the_first_byte_was_not_sent(
    error: Exception, kind: type, call_class: CallClass
) -> None:
    assert isinstance(post(Script(error), call_class), kind)


def test_nothing_is_retried_and_no_redirect_is_followed() -> None:
    script = Script(httpx.ReadError("reset"), ok("ok"))
    assert isinstance(post(script), Unknown)
    assert len(script.requests) == 1
    script = Script(httpx.Response(307, headers={"Location": "http://evil.example/"}))
    reply = post(script)
    assert isinstance(reply, Reply)
    assert reply.status == 307
    assert len(script.requests) == 1


def test_a_request_without_an_answer_ends_at_our_own_deadline() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10_000)
        raise AssertionError

    async def work() -> tuple[Reply | NotSent | Unknown, float]:
        node = Script(hang).node()
        started = asyncio.get_running_loop().time()
        outcome = await node.post("/tasks", BODY, CallClass.READ)
        return outcome, asyncio.get_running_loop().time() - started

    outcome, seconds = run(work())
    assert isinstance(outcome, Unknown)
    assert outcome.executed == "maybe"
    assert seconds == pytest.approx(40, abs=0.1)


def test_a_reply_that_never_ends_is_cut_off() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                yield b"x" * 1_000_000

    outcome = post(Script(lambda _: httpx.Response(200, stream=Endless())))
    assert isinstance(outcome, Unknown)
    assert outcome.executed == "handled"


def test_a_blind_call_gets_a_connection_of_its_own() -> None:
    script = Script(ok("ok"))
    post(script, CallClass.BLIND)
    post(script, CallClass.KEYED)
    assert [request.headers["Connection"] for request in script.requests] == ["close", "keep-alive"]


def test_a_node_at_rest_is_left_alone_until_its_time() -> None:
    async def work() -> None:
        script = Script(ok("ok"))
        node = script.node()
        node.pause(60)
        await asyncio.sleep(20)
        node.pause(10)  # a shorter rest does not end a longer one
        outcome = await node.post("/tasks", BODY, CallClass.READ)
        assert isinstance(outcome, NotSent)
        assert outcome.retry_after == pytest.approx(40, abs=0.1)
        assert script.requests == []
        await asyncio.sleep(40.1)
        assert isinstance(await node.post("/tasks", BODY, CallClass.READ), Reply)

    run(work())


def test_headers_are_sent_and_never_shown() -> None:
    script = Script(ok("ok"))
    node = script.node(headers={"Authorization": SecretText("Bearer Canary")})
    run(node.post("/tasks", BODY, CallClass.READ))
    assert script.requests[0].headers["Authorization"] == "Bearer Canary"
    assert "Canary" not in repr(node) + repr(vars(vars(node)["_shared"]))


@pytest.mark.parametrize("url", ["http://127.0.0.1:5050", "http://localhost:5050/", "http://[::1]:5050", "https://a.b"])
def test_plain_http_is_taken_on_this_machine(url: str) -> None:
    ClientNode("a", url)


@pytest.mark.parametrize("url", ["http://10.0.0.1:5050", "http://example.org", "http://127.0.0.1.example.org"])
def test_plain_http_to_another_machine_needs_a_word(url: str) -> None:
    with pytest.raises(InsecureUrl):
        ClientNode("a", url)
    ClientNode("a", url, insecure_http=True)


@pytest.mark.parametrize("url", ["", "ftp://a", "a:5050", "http://", "http://localhost/?x=1", "http://localhost/#x"])
def test_what_is_no_url_of_a_client_node_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ClientNode("a", url)


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def work() -> Reply | NotSent | Unknown:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        node = ClientNode("a", f"http://127.0.0.1:{port}")
        try:
            return await node.post("/tasks", BODY, CallClass.READ)
        finally:
            await node.aclose()
            server.close()

    assert isinstance(asyncio.run(work()), Reply)


def test_on_the_network_a_blind_call_opens_a_connection_and_others_share_one() -> None:
    used: list[int] = []
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(number := len(opened) + 1)
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(BODY))
                used.append(number)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        node = ClientNode("a", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for call_class in (CallClass.READ, CallClass.KEYED, CallClass.BLIND, CallClass.BLIND, CallClass.READ):
            assert isinstance(await node.post("/tasks", BODY, call_class), Reply)
        await node.aclose()
        server.close()
        await server.wait_closed()

    asyncio.run(work())
    assert used == [1, 1, 2, 3, 1]


@pytest.mark.parametrize(
    "cut", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"HTTP/1.1 200 O", b"\x00\x01"]
)
def test_a_real_connection_cut_at_any_byte_is_unknown(cut: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(cut)
        await writer.drain()
        writer.close()

    async def work() -> tuple[object, object]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        node = ClientNode("a", f"http://127.0.0.1:{port}")
        try:
            cut_off = await node.post("/tasks", BODY, CallClass.KEYED)
            server.close()
            await server.wait_closed()
            return cut_off, await node.post("/tasks", BODY, CallClass.KEYED)
        finally:
            await node.aclose()

    cut_off, refused = asyncio.run(work())
    assert isinstance(cut_off, Unknown)
    assert isinstance(refused, NotSent)
