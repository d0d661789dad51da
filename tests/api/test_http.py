"""Exchanges over HTTP with servers that send too much, too slowly, or something else than was asked for."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from dbc_iac.api import transport
from dbc_iac.api.http import (
    MIB,
    OWN_HEADERS,
    BrokenError,
    ExchangeError,
    Limits,
    NoAnswerError,
    NotConnectedError,
    Reply,
    SettingError,
    UnusableError,
)
from dbc_iac.api.http_exchange import proxy_of
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import NotSent, Unknown
from dbc_iac.api.transport import ClientNode, HttpClient
from dbc_iac.secret import SecretText
from tests.api.support import run
from tests.raw_server import OK, Send, certificate, raw_server

LIMITS = Limits(30.0, MIB)
BOMB = gzip.compress(b"x" * 10 * MIB)
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("SSL")]:
        monkeypatch.delenv(name)


def ask(url: str, limits: Limits = LIMITS, **options: Any) -> Reply:
    return HttpClient(limits, **options).wait("POST", url, b"{}")


def failure(kind: type[ExchangeError], url: str, limits: Limits = LIMITS, **options: Any) -> str:
    with pytest.raises(ExchangeError) as caught:
        ask(url, limits, **options)
    assert type(caught.value) is kind
    return str(caught.value).removeprefix("cannot be reached: ")


both = pytest.mark.parametrize("plain", [False, True], ids=["httpx", "plain"])


def posted(url: str, deadline: float = 30.0) -> object:
    async def work() -> object:
        node = ClientNode("lab", url, deadline=deadline)
        try:
            return await node.post("/tasks", b"{}", CallClass.KEYED)
        finally:
            await node.aclose()

    return asyncio.run(work())


def dribble(send: Send) -> None:
    """A byte now and then, without end."""
    while True:
        send(b"a")
        threading.Event().wait(0.02)


@both
def test_no_content_encoding_is_asked_for(plain: bool) -> None:
    with raw_server(OK) as (url, seen):
        assert ask(url, headers={"X-Key": SecretText("a")}, plain=plain).json() == {}
    assert b"accept-encoding: identity\r\n" in seen[0].lower()
    assert seen[0].lower().count(b"accept-encoding") == 1


@pytest.mark.parametrize("name", [*sorted(OWN_HEADERS), "Accept-Encoding", "X Key", "X\n", "Ключ", ""])
def test_a_header_that_says_how_a_request_is_sent_is_not_for_callers(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        HttpClient(LIMITS, {name: SecretText("gzip")})


@pytest.mark.parametrize("value", ["canary\n", "canary\r\nX: y", "canäry", " canary", "canary\0", "canary\udcff"])
def test_a_value_that_no_header_can_have_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="X-Key") as caught:
        HttpClient(LIMITS, {"X-Key": SecretText(value)})
    assert value.strip() not in str(caught.value)


@both
def test_an_answer_with_a_content_encoding_is_refused_and_not_decoded(plain: bool) -> None:
    with raw_server(GZIPPED) as (url, _):
        assert "Content-Encoding" in failure(UnusableError, url, plain=plain)


@both
def test_identity_is_no_content_encoding(plain: bool) -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}") as (url, _):
        assert ask(url, plain=plain).body == b"{}"


@both
@pytest.mark.parametrize("chunked", [False, True], ids=["unframed", "chunked"])
def test_an_answer_that_is_too_long_is_cut_off_while_it_comes(plain: bool, chunked: bool) -> None:
    def endless(send: Send) -> None:
        while True:
            send(b"10000\r\n" + b"x" * 65536 + b"\r\n" if chunked else b"x" * 65536)

    head = b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n")
    with raw_server(head, endless) as (url, _):
        assert failure(UnusableError, url, plain=plain) == "sent an answer that is refused: it is longer than 1 MiB"


@both
def test_a_head_that_never_ends_is_cut_off(plain: bool) -> None:
    def endless(send: Send) -> None:
        while True:
            send(b"X-A: b\r\n" * 1000)

    with raw_server(b"HTTP/1.1 200 OK\r\n", endless) as (url, _):
        assert failure(BrokenError, url, plain=plain) == "gave no complete answer: the answer is not HTTP"


@both
@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["status line", "head", "body"],
)
def test_a_server_that_dribbles_ends_at_the_deadline_of_the_whole_exchange(plain: bool, before: bytes) -> None:
    with raw_server(before, dribble) as (url, _):
        assert failure(NoAnswerError, url, Limits(0.3, MIB), plain=plain) == "gave no answer within 0.3 s"


@both
def test_endless_interim_answers_end_at_the_deadline(plain: bool) -> None:
    def endless(send: Send) -> None:
        while True:
            send(b"HTTP/1.1 100 Continue\r\n\r\n")
            threading.Event().wait(0.02)

    with raw_server(endless) as (url, _):
        failure(NoAnswerError, url, Limits(0.3, MIB), plain=plain)


def test_a_client_node_that_dribbles_ends_at_its_deadline() -> None:
    class Dribble(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(1)

    async def work() -> tuple[object, float]:
        answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=Dribble()))
        node = ClientNode("lab", "http://127.0.0.1:5050", transport=answer)
        started = asyncio.get_running_loop().time()
        return await node.post("/tasks", b"{}", CallClass.KEYED), asyncio.get_running_loop().time() - started

    outcome, seconds = run(work())
    assert outcome == Unknown("client node lab (http://127.0.0.1:5050) gave no answer within 40 s")
    assert seconds == pytest.approx(40, abs=1)


@pytest.mark.parametrize(("status", "executed"), [(200, "handled"), (502, "maybe")])
def test_whether_a_call_was_made_is_unknown_where_its_answer_is_refused(status: int, executed: str) -> None:
    with raw_server(GZIPPED.replace(b"200 OK", b"%d X" % status)) as (url, _):
        outcome = posted(url)
    assert outcome == Unknown(
        f"client node lab ({url}) sent an answer that is refused: it has a Content-Encoding, which was not asked for",
        executed,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "connection closed in the middle of an answer"),
        (b"SSH-2.0-canary\r\n\r\n", "the answer is not HTTP"),
    ],
)
def test_a_broken_connection_is_reported_without_text_of_the_server(sent: bytes, said: str) -> None:
    with raw_server(lambda send: send(sent)) as (url, _):
        outcome = posted(url)
    assert outcome == Unknown(f"client node lab ({url}) gave no complete answer: {said}", broke=True)


def test_a_refused_connection_has_its_reason() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for plain in (False, True):
        assert failure(NotConnectedError, url, plain=plain) == "connection refused"
        local = url.replace("127.0.0.1", "localhost")
        assert failure(NotConnectedError, local, plain=plain) == "connection refused"
    assert posted(url) == NotSent(f"client node lab ({url}) cannot be reached: connection refused")


@both
def test_an_unresolvable_name_is_reported(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = "its name does not resolve (name or service not known)"
    assert failure(NotConnectedError, "http://client.example", plain=plain) == said


def test_an_untrusted_certificate_is_reported_unless_its_authority_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    with raw_server(OK, certificate=file) as (url, seen):
        assert failure(NotConnectedError, url).startswith("its certificate is not trusted: self")
        assert posted(url).message.startswith(f"client node lab ({url}) cannot be reached: its certificate")  # type: ignore[attr-defined]
        assert seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert ask(url).body == b"{}"
        wrong = url.replace("127.0.0.1", "127.0.0.2")
        assert failure(NotConnectedError, wrong).startswith(("its certificate is not trusted", "connection refused"))


def test_plain_http_to_a_tls_port_is_reported() -> None:
    with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", greets=True) as (url, _):
        assert failure(NotConnectedError, url.replace("http:", "https:")) == "it does not speak TLS"


@pytest.mark.parametrize("content", [None, b"", b"no certificates"])
def test_a_file_of_certificates_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "authorities"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert failure(SettingError, "https://127.0.0.1:9").startswith(
        "was not asked: SSL_CERT_FILE names a file that cannot be used"
    )
    assert failure(NotConnectedError, "http://127.0.0.1:9") == "connection refused"


@pytest.mark.parametrize("url", ["ftp://a", "127.0.0.1:5050", "http://[::1", "", "http://\udcff", "x" * 70000])
def test_an_invalid_url_is_reported(url: str) -> None:
    assert failure(NotConnectedError, url).startswith("its address is not an http or https URL")


@contextmanager
def environment(patch: pytest.MonkeyPatch, **values: str) -> Iterator[None]:
    with patch.context() as patched:
        for name, value in values.items():
            patched.setenv(name, value)
        yield


@pytest.mark.parametrize(
    ("url", "listed", "bypassed"),
    [
        ("http://127.0.0.1:9", "localhost,[::1]", False),
        ("http://[::1]:9", "localhost,[::1]", True),
        ("http://[::1]:9", "::1", True),
        ("http://[fe80::1]:9", "fe80::/10", True),
        ("http://10.1.2.3", "10.0.0.0/8, example.org", True),
        ("http://11.1.2.3", "10.0.0.0/8", False),
        ("http://api.example.org", "example.org", True),
        ("http://api.example.org", ".example.org", True),
        ("http://example.com", "example.org", False),
        ("http://example.com", "*", True),
        ("http://example.com", ",/,[,]:,%", False),
    ],
)
def test_no_proxy_knows_names_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, url: str, listed: str, bypassed: bool
) -> None:
    with environment(monkeypatch, HTTP_PROXY="proxy.example:3128", NO_PROXY=listed):
        split = urlsplit(url)
        assert proxy_of(split.scheme, split.hostname or "") == (
            None if bypassed else ("HTTP_PROXY", "http://proxy.example:3128")
        )


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("nope://canary@x", "HTTP_PROXY is no address of a proxy"),
        ("http://[::1", "HTTP_PROXY is no address of a proxy"),
        ("socks5://canary:canary@127.0.0.1:9", "HTTP_PROXY names a SOCKS proxy, for which the package socksio is not"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    with environment(monkeypatch, HTTP_PROXY=proxy):
        told = failure(SettingError, "http://example.org", proxies=True)
    assert told.startswith(f"was not asked: {said}")
    assert "canary" not in told


def test_a_proxy_is_used_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(OK) as (url, seen), environment(monkeypatch, ALL_PROXY=url):
        assert ask("http://example.invalid/x", proxies=True).body == b"{}"
        assert seen[0].startswith(b"POST http://example.invalid/x HTTP/1.1")
    with environment(monkeypatch, ALL_PROXY="http://127.0.0.1:9"), raw_server(OK) as (url, _):
        assert ask(url).body == b"{}"
        assert failure(NotConnectedError, url, proxies=True) == "connection refused (through the proxy of ALL_PROXY)"


def test_a_refusing_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 407 canary\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answer) as (url, _), environment(monkeypatch, HTTPS_PROXY=url):
        told = failure(NotConnectedError, "https://example.invalid", proxies=True)
    assert told == "the proxy answered with 407 (through the proxy of HTTPS_PROXY)"


def test_json_that_cannot_be_read_is_a_value_error() -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            Reply(200, {}, body).json()


def test_a_caller_that_is_interrupted_ends_its_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()

    def silent(send: Send) -> None:
        started.set()
        threading.Event().wait(20)

    def interrupted(self: Any, timeout: Callable[[], None] | None = None) -> None:
        started.wait()
        raise KeyboardInterrupt

    with raw_server(silent) as (url, _):
        monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(url)


def test_calls_of_two_threads_at_once_share_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    ready = threading.Barrier(2)

    def called(_: int) -> asyncio.AbstractEventLoop:
        ready.wait()
        return transport._waited(loop())

    for _ in range(5):
        monkeypatch.setattr(transport, "_loop", cache(transport._loop.__wrapped__))
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(called, range(2))
        assert first is second
        first.call_soon_threadsafe(first.stop)
