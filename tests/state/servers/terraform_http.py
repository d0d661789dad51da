"""A server of Terraform's HTTP backend protocol: documents and their locks, in memory, behind a real port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Documents:
    """What a server keeps, and how many bytes were written to it."""

    kept: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: int = 0
    down_after: int | None = None
    """How many more writes it takes before it answers all with 503."""
    unanswered: str = ""
    """A document whose writes are done, and answered with 503."""
    guard: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        with self.guard:
            if self.down_after is not None and self.down_after <= 0:
                return 503, b""
            if self.down_after is not None and method == "POST":
                self.down_after -= 1
            held = self.locks.get(path)
            match method:
                case "GET":
                    return (200, self.kept[path]) if path in self.kept else (404, b"")
                case "LOCK":
                    if held is not None:
                        return 423, json.dumps(held).encode()
                    self.locks[path] = json.loads(body)
                    return 200, b""
                case "UNLOCK":
                    if held is not None and held["ID"] != (json.loads(body) or {}).get("ID"):
                        return 409, json.dumps(held).encode()
                    self.locks.pop(path, None)
                    return 200, b""
                case "POST":
                    if held is None or held["ID"] != token:
                        return 409, b""
                    self.kept[path] = body
                    self.written += len(body)
                    return (503, b"") if path == self.unanswered else (200, b"")
        return 405, b""


@contextmanager
def served() -> Iterator[tuple[str, Documents]]:
    """Its address, and what it keeps."""
    documents = Documents()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            token = parse_qs(url.query).get("ID", [""])[0]
            status, content = documents.answer(self.command, url.path, token, body)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_LOCK = do_UNLOCK = _do  # noqa: N815 - names of the library

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
