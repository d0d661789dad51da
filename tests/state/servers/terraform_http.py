"""Servers of Terraform's HTTP backend protocol: documents and their locks, in memory, behind a real port.

`GITLAB` does as GitLab's API is documented, and its source says: locks by POST and DELETE at `/lock` with the id in the
query, a login of CI jobs under one name only, a lock that says who asked in place of who has it, and serials that grow.
`PLAIN` is a server that locks where it is asked to, and takes every write where there is no lock.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

PLAIN: Final = "plain"
GITLAB: Final = "gitlab"
Kind = Literal["plain", "gitlab"]
Fault = Literal[
    "",
    "grants every LOCK",
    "ignores UNLOCK",
    "frees for anybody",
    "answers 200 with the holder",
    "refuses UNLOCK with 500",
]
LOGIN = ("gitlab-ci-token", "canary-of-a-job")
_LOGIN = "Basic " + b64encode(":".join(LOGIN).encode()).decode()


@dataclass
class Documents:
    """Documents of a server, and the numbers of its requests and of the bytes written to it."""

    kept: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: int = 0
    requests: int = 0
    down_after: int | None = None
    """Number of writes that it accepts before it answers all with 503."""
    unanswered: str = ""
    """A document whose writes are done, and answered with 503."""
    fault: Fault = ""
    faulty: str = ""
    """The end of the addresses whose locks have the fault."""
    kind: Kind = PLAIN
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def gitlab(self, method: str, path: str, login: str, token: str, body: bytes) -> tuple[int, bytes]:
        """The same, as GitLab has it."""
        if login != _LOGIN:
            return 401, b""
        if path.endswith("/lock"):
            method = {"POST": "LOCK", "DELETE": "UNLOCK"}.get(method, "-")
            said = body if method == "LOCK" else json.dumps({"ID": token}).encode()
            status, content = self.answer(method, path.removesuffix("/lock"), token, said)
            if status != 423:
                return status, content
            mine = {
                **json.loads(body),
                "ID": json.loads(content)["ID"],
                "Who": "somebody",
                "Created": "2020-01-01T00:00:00Z",
            }
            return 409, json.dumps(mine).encode()
        if method in {"LOCK", "UNLOCK"}:
            return 405, b""
        if method == "POST" and path in self.kept and _serial(body) <= _serial(self.kept[path]) != 0:
            return 400, b""
        return self.answer(method, path, token, body)

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        with self.guard:
            self.requests += 1
            if self.down_after is not None and self.down_after <= 0:
                return 503, b""
            if self.down_after is not None and method == "POST":
                self.down_after -= 1
            held = self.locks.get(path)
            fault = self.fault if path.endswith(self.faulty) else ""
            match method:
                case "GET":
                    return (200, self.kept[path]) if path in self.kept else (404, b"")
                case "LOCK":
                    if held is not None and fault != "grants every LOCK":
                        return 200 if fault == "answers 200 with the holder" else 423, json.dumps(held).encode()
                    self.locks[path] = json.loads(body)
                    return 200, b""
                case "UNLOCK":
                    if fault == "ignores UNLOCK":
                        return 200, b""
                    another = held is not None and held["ID"] != (json.loads(body) or {}).get("ID")
                    if another and fault != "frees for anybody":
                        return 500 if fault == "refuses UNLOCK with 500" else 409, json.dumps(held).encode()
                    self.locks.pop(path, None)
                    return 200, b""
                case "POST":
                    if held["ID"] != token if held is not None else self.kind == GITLAB:
                        return 409, b""
                    self.kept[path] = body
                    self.written += len(body)
                    return (503, b"") if path == self.unanswered else (200, b"")
        return 405, b""


def _serial(body: bytes) -> int:
    try:
        return int(json.loads(body)["serial"])
    except (ValueError, KeyError, TypeError):
        return 0


@contextmanager
def served(kind: Kind = PLAIN, now: Callable[[], datetime] | None = None) -> Iterator[tuple[str, Documents]]:
    """Its address, and what it keeps. `now` is its clock."""
    documents = Documents(kind=kind)
    if now is not None:
        documents.now = now

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # an answer is sent as a whole

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            token = parse_qs(url.query).get("ID", [""])[0]
            if documents.kind == GITLAB:
                login = self.headers.get("authorization") or ""
                status, content = documents.gitlab(self.command, url.path, login, token, body)
            else:
                status, content = documents.answer(self.command, url.path, token, body)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(documents.now().timestamp())

        do_GET = do_DELETE = do_POST = do_LOCK = do_UNLOCK = _do  # noqa: N815 - names of the library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/state/lab", documents
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
