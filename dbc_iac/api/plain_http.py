"""HTTP/1.1 without TLS and proxies, by asyncio, with httptools as the parser. `http_exchange` does everything else.

A call through httpx takes ten times the processor time, and a plan of 1,000 VMs makes 1,060 calls. The parser is
strict: an answer with two lengths, bare line feeds or an unknown transfer coding is refused. A connection is used again
only after an answer with a certain end, and only if nothing followed it.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Mapping

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dbc_iac.api.http import (
    CONNECT_WITHIN,
    BrokenError,
    ExchangeError,
    Limits,
    NoAnswerError,
    NotConnectedError,
    Reply,
    check_coding,
    system_reason,
    too_long,
)
from dbc_iac.secret import SecretText

MAX_HEAD = 100 * 1024
"""Bytes of an answer that are not its body: its head, and the framing of chunks."""


class PlainExchanges:
    """Exchanges of one `HttpClient` with addresses that match `http.PLAIN_URL`, and the connections that it keeps."""

    def __init__(self, limits: Limits, headers: Mapping[str, SecretText], keep_alive: float) -> None:
        self._limits = limits
        self._keep_alive = keep_alive
        self._headers = {
            "accept": "*/*",
            "accept-encoding": "identity",
            "connection": "keep-alive" if keep_alive else "close",
            "user-agent": "dbc-iac",
            **{name.lower(): value.reveal() for name, value in headers.items()},
        }
        self._idle: list[tuple[str, float, _Connection]] = []

    async def request(self, url: re.Match[str], method: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        """One exchange. Raises ExchangeError, and nothing else."""
        server = url["server"]
        lines = {"host": server.removesuffix(":80"), **self._headers, **headers, "content-length": len(content)}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = f"{method} {url['target'] or '/'} HTTP/1.1\r\n{head}\r\n".encode() + content
        try:
            async with asyncio.timeout(self._limits.seconds):
                connection = self._kept(server) or await self._connect(url["host"].strip("[]"), int(url["port"] or 80))
                try:
                    reply = await connection.exchange(request)
                except BaseException:
                    connection.close()
                    raise
        except ExchangeError:
            raise
        except TimeoutError:
            raise NoAnswerError(f"{self._limits.seconds:g} s") from None
        except Exception:  # of a connection: the request may have been read
            raise BrokenError("connection closed") from None
        if self._keep_alive and connection.reusable:
            self._idle.append((server, asyncio.get_running_loop().time(), connection))
        else:
            connection.close()
        return reply

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop()[2].close()

    def _kept(self, server: str) -> _Connection | None:
        """A connection on which nothing has come since its last answer, not even its end."""
        while self._idle:
            of, since, connection = self._idle.pop()
            if of == server and connection.reusable and asyncio.get_running_loop().time() - since < self._keep_alive:
                poll = select.poll()  # the event loop may not have run since
                poll.register(connection.transport.get_extra_info("socket"), select.POLLIN)
                if not poll.poll(0):
                    return connection
            connection.close()
        return None

    async def _connect(self, host: str, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        size = self._limits.size
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _, made = await loop.create_connection(lambda: _Connection(size), host, port, happy_eyeballs_delay=0.25)
        except Exception as error:
            raise NotConnectedError(system_reason(error)) from None
        return made


class _Connection(asyncio.Protocol):
    """One connection, and the answer that it receives. The parser calls `on_...`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answer: asyncio.Future[Reply] | None = None
        self.reusable = False

    def exchange(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request. The future gets its reply, or an ExchangeError."""
        self.reusable = False
        self._status = self._received = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._parser = HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self._end(BrokenError("connection closed without an answer"))
        self.transport.write(request)
        return self._answer

    def close(self) -> None:
        self.reusable = False
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            cause = error.__context__
            self._end(cause if isinstance(cause, ExchangeError) else BrokenError("the answer is not HTTP"))
        if self._received > MAX_HEAD and not self._status:
            self._end(BrokenError("the answer is not HTTP"))
        elif self._received > MAX_HEAD + self._size:
            self._end(too_long(self._status, self._size))

    def eof_received(self) -> None:
        self.reusable = False

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self._answer is None or self._answer.done():
            return
        if isinstance(error, OSError):
            self._end(BrokenError(system_reason(error)))
        elif not self._status:
            self._end(BrokenError("connection closed without an answer"))
        elif self._headers.keys() & {"content-length", "transfer-encoding"}:
            self._end(BrokenError("connection closed in the middle of an answer"))
        else:
            self._end(Reply(self._status, self._headers, bytes(self._body)))

    def on_message_begin(self) -> None:
        if self.reusable:  # the answer is complete
            raise BrokenError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # a trailer is no header
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers.clear()
            return
        if status == 101 or self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise BrokenError("the answer is not HTTP")
        check_coding(status, self._headers.get("content-encoding", ""))
        self._status = status
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._size:
            raise too_long(self._status, self._size)

    def on_message_complete(self) -> None:
        if self._status:
            self.reusable = self._keeps
            self._end(Reply(self._status, self._headers, bytes(self._body)))

    def _end(self, outcome: Reply | ExchangeError) -> None:
        """Of several ends the first one counts."""
        if self._answer is None or self._answer.done():
            return
        if isinstance(outcome, Reply):
            self._answer.set_result(outcome)
        else:
            self._answer.set_exception(outcome)
