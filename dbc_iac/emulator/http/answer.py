"""Answers as they go out: status, content type, body."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Response:
    """`close`: the connection ends after it. `broken`: it ends inside the body, of which this much (0 to 1) is sent."""

    status: int
    body: str
    content_type: str = JSON
    close: bool = False
    broken: float | None = None

    @property
    def content(self) -> bytes:
        """The body as it goes out; bytes of a request that were no UTF-8 come back as they were."""
        return self.body.encode("utf-8", "surrogateescape")

    @property
    def reason(self) -> str:
        return _REASONS.get(self.status) or HTTPStatus(self.status).phrase

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Those that belong to the answer, not to the connection. A page is the HTTP library's, not the node's."""
        if self.content_type == HTML:
            return ("Content-Type", HTML), ("Connection", "close")
        return ("Access-Control-Allow-Origin", "*"), ("Content-Type", self.content_type)


class Answer(Exception):  # noqa: N818 - an answer of the node that was asked
    """Ends a request with a text made here: pretty-printed, properly escaped."""

    def __init__(self, status: int, errcode: int, message: Any) -> None:
        super().__init__(str(message))
        text = json.dumps({"errcode": errcode, "message": message}, indent=4, ensure_ascii=False)
        self.response = Response(status, text + "\r\n")


class Told(Exception):  # noqa: N818 - an answer of the node that was asked
    """Ends a request with HTTP 200 and a pasted text, as from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.response = Response(200, text + "\r\n")


class Dropped(Exception):  # noqa: N818 - what happens to the connection
    """The connection closes without an answer. `refused`: nobody listens at all."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


def invalid(message: str) -> Answer:
    return Answer(400, INVALID_PARAMS, message)


def page(status: int) -> Response:
    """The HTML that the HTTP library answers with before anybody looks at the request."""
    reason = _REASONS[status]
    head = f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n"
    return Response(status, head, HTML, close=True)


def head_size(method: str, uri: str, headers: Iterable[tuple[str | bytes, str | bytes]]) -> int:
    """Bytes of a request line and its header lines, line ends not counted."""
    lines = sum(len(name) + len(": ") + len(value) for name, value in headers)
    return len(f"{method} {uri} HTTP/1.1".encode("utf-8", "surrogateescape")) + lines
