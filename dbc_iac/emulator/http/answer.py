"""HTTP answers: status, content type, body."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from msgspec import Struct

INVALID_REQUEST = -32600
INVALID_PARAMS = -25
CANNOT_FORWARD = -32701
JSON = "application/json"
HTML = "text/html"
_REASONS = {
    400: "Bad Request",
    413: "Request Entity Too Large",
    417: "Expectation Failed",
    501: "Not Implemented",
}


class Response(Struct, frozen=True):
    """An answer. `close`: the connection closes after it. `broken`: part of the body (0 to 1) after which it closes."""

    status: int
    body: str
    content_type: str = JSON
    close: bool = False
    broken: float | None = None

    @property
    def content(self) -> bytes:
        """Body as sent; invalid UTF-8 bytes of the request are returned unchanged."""
        return self.body.encode("utf-8", "surrogateescape")

    @property
    def reason(self) -> str:
        return _REASONS.get(self.status) or HTTPStatus(self.status).phrase

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of the answer itself. A page is from the HTTP library, not from the node."""
        if self.content_type == HTML:
            return ("Content-Type", HTML), ("Connection", "close")
        return ("Access-Control-Allow-Origin", "*"), ("Content-Type", self.content_type)


class Answer(Exception):  # noqa: N818
    """Answer made by the called node: pretty-printed, properly escaped."""

    def __init__(self, status: int, errcode: int, message: Any) -> None:
        super().__init__(str(message))
        text = json.dumps({"errcode": errcode, "message": message}, indent=4, ensure_ascii=False)
        self.response = Response(status, text + "\r\n")


class RelayedAnswer(Exception):  # noqa: N818
    """Answer with HTTP 200 and a concatenated text, as if relayed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.response = Response(200, text + "\r\n")


class Dropped(Exception):  # noqa: N818
    """The connection closes without an answer. `refused`: no process listens."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


def invalid(message: str) -> Answer:
    return Answer(400, INVALID_PARAMS, message)


def page(status: int) -> Response:
    """HTML error page of the HTTP library, which precedes any processing."""
    reason = _REASONS[status]
    head = f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n"
    return Response(status, head, HTML, close=True)


def head_size(method: str, uri: str, headers: Iterable[tuple[str | bytes, str | bytes]]) -> int:
    """Bytes of a request line and its headers, line ends excluded."""
    lines = sum(len(name) + len(": ") + len(value) for name, value in headers)
    return len(f"{method} {uri} HTTP/1.1".encode("utf-8", "surrogateescape")) + lines
