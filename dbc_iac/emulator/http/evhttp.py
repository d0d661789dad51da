"""HTTP as implemented by the node's library (libevent 2.1.8): parsing of requests, errors, and framing of answers.

More lenient than others (no `Host` required, any byte in a URI, any method), stricter in places (a POST with keep-alive
and without a length is refused). Requests that the library itself refuses get an HTML page.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

from msgspec import Struct, field

from dbc_iac.emulator.http.answer import HTML, Response
from dbc_iac.emulator.http.node import MAX_BODY_BYTES, MAX_HEADER_BYTES, WITH_BODY

_VERSION = re.compile(rb"HTTP/(\d{1,9})\.(\d{1,9})")
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LENGTH = re.compile(r"[ \t\n\v\f\r]*[+-]?\d{1,18}")
_CHUNK = re.compile(rb"[ \t\n\v\f\r]*[+-]?(?:0[xX])?([0-9a-fA-F]+)(?: .*)?", re.DOTALL)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Ended(Exception):  # noqa: N818
    """The connection is closed, or was idle for too long: no answer."""


class NoRequest(Exception):  # noqa: N818
    """Request refused by the library with its own page."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Asked(Struct, frozen=True):
    """A request. `head_bytes`: of its request line and headers, line ends excluded."""

    method: str
    uri: str
    version: tuple[int, int]
    headers: tuple[tuple[str, str], ...]
    head_bytes: int
    body: bytes = b""

    def header(self, name: str) -> str | None:
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def is_proxied(self) -> bool:
        """An absolute URI counts as a proxy request: the connection closes without an answer."""
        return _ABSOLUTE.match(self.uri) is not None

    @property
    def keeps_alive(self) -> bool:
        return (self.header("Connection") or "").lower().startswith("keep-alive")

    @property
    def wants_close(self) -> bool:
        if self.is_proxied:
            return (self.header("Proxy-Connection") or "").lower() != "keep-alive"
        return (self.header("Connection") or "").lower() == "close"


class Incoming(Struct):
    """Unread input of a connection. `receive` returns more bytes; none at the end. `send` is for `100`."""

    receive: Callable[[], Awaitable[bytes]]
    send: Callable[[bytes], None]
    data: bytearray = field(default_factory=bytearray)

    async def more(self) -> None:
        """Read bytes. Raises Ended."""
        received = await self.receive()
        if not received:
            raise Ended
        self.data += received

    async def line(self, most: int, otherwise: int) -> bytes:
        """Read up to a line feed, with a preceding carriage return dropped. Raises NoRequest beyond `most` bytes."""
        while (end := self.data.find(b"\n")) < 0:
            if len(self.data) > most:
                raise NoRequest(otherwise)
            await self.more()
        line = bytes(self.data[:end]).removesuffix(b"\r")
        del self.data[: end + 1]
        if len(line) > most:
            raise NoRequest(otherwise)
        return line

    async def exactly(self, size: int) -> bytes:
        while len(self.data) < size:
            await self.more()
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken


async def read_request(incoming: Incoming) -> Asked:
    """Next request. Raises Ended and NoRequest."""
    first = await incoming.line(MAX_HEADER_BYTES, 400)
    method, uri, version = _request_line(first)
    lines = await _header_lines(incoming, MAX_HEADER_BYTES - len(first))
    headers = tuple(_headers(lines))
    asked = Asked(method, uri, version, headers, len(first) + sum(map(len, lines)))
    if method not in WITH_BODY:
        return asked
    return Asked(method, uri, version, headers, asked.head_bytes, await _body(incoming, asked))


def answer_head(asked: Asked | None, answer: Response, length: int, date: datetime) -> bytes:
    """Status line and headers. A page always has version 1.1; 1.0 gets no date and, without keep-alive, no length."""
    major, minor = asked.version if asked is not None else (1, 1)
    if answer.content_type == HTML and not (major and minor):
        major = minor = 1
    headers = list(answer.headers)
    if major == 1 and minor >= 1:
        headers.append(("Date", date.strftime("%a, %d %b %Y %H:%M:%S GMT")))
    keeps = asked is not None and asked.keeps_alive
    if major == 1 and minor == 0 and keeps:
        headers.append(("Connection", "keep-alive"))
    if major == 1 and (minor >= 1 or keeps) and (asked is None or asked.method != "HEAD"):
        headers.append(("Content-Length", str(length)))
    if asked is not None and asked.wants_close:
        headers = [one for one in headers if one[0] != "Connection"]
        headers += [] if asked.is_proxied else [("Connection", "close")]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/{major}.{minor} {answer.status} {answer.reason}\r\n{lines}\r\n".encode()


def ends_after(asked: Asked | None, answer: Response) -> bool:
    """Whether the connection is closed after an answer."""
    if asked is None or answer.close or asked.wants_close:
        return True
    return asked.version < (1, 1) and not asked.keeps_alive


def _request_line(line: bytes) -> tuple[str, str, tuple[int, int]]:
    parts = line.split(b"\0", 1)[0].split(b" ")
    version = _VERSION.fullmatch(parts[-1])
    if len(parts) != 3 or version is None or int(version[1]) > 1:
        raise NoRequest(400)
    method, uri = (part.decode("utf-8", "surrogateescape") for part in parts[:2])
    return method, uri, (int(version[1]), int(version[2]))


async def _header_lines(incoming: Incoming, most: int) -> list[bytes]:
    lines: list[bytes] = []
    while line := await incoming.line(most, 400):
        most -= len(line)
        lines.append(line)
    return lines


def _headers(lines: list[bytes]) -> Iterator[tuple[str, str]]:
    """Join a line that starts with a space to the previous line."""
    joined: list[bytes] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and joined:
            joined[-1] += b" " + line.strip(b" \t")
        else:
            joined.append(line)
    for line in joined:
        name, colon, value = line.partition(b":")
        if not colon or b"\r" in line or line[:1] in {b" ", b"\t"}:
            raise NoRequest(400)
        yield name.decode("latin-1"), value.lstrip(b" ").rstrip(b" \t").decode("latin-1")


async def _body(incoming: Incoming, asked: Asked) -> bytes:
    chunked = (asked.header("Transfer-Encoding") or "").lower() == "chunked"
    size = -1 if chunked else _body_size(asked)
    if not chunked and size < 1:
        return b""
    expected = asked.header("Expect") if asked.version >= (1, 1) else None
    if expected is not None and expected.lower() != "100-continue":
        raise NoRequest(417)
    if size > MAX_BODY_BYTES:
        raise NoRequest(413)  # determined by the header, before the body
    if expected is not None and not incoming.data:
        incoming.send(CONTINUE)
    return await _chunks(incoming) if chunked else await incoming.exactly(size)


def _body_size(asked: Asked) -> int:
    """Content length; -1 if absent."""
    length, connection = asked.header("Content-Length"), asked.header("Connection")
    if length is None:
        if connection is not None and connection.lower() != "close":
            raise NoRequest(400)  # the library could not determine the end of such a body
        return -1
    if not _LENGTH.fullmatch(length) or int(length) < 0:
        raise NoRequest(400)
    return int(length)


async def _chunks(incoming: Incoming) -> bytes:
    body = bytearray()
    while True:
        line = await incoming.line(MAX_HEADER_BYTES, 413)
        if not line:
            continue
        found = _CHUNK.fullmatch(line)
        if found is None or line.strip().startswith(b"-"):
            raise NoRequest(413)  # also the library's text for a broken chunk
        size = int(found[1], 16)
        if len(body) + size > MAX_BODY_BYTES:
            raise NoRequest(413)
        if not size:
            tuple(_headers(await _header_lines(incoming, MAX_HEADER_BYTES)))
            return bytes(body)
        body += await incoming.exactly(size)
