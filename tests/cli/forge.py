"""A forge on loopback that keeps comments, as GitHub and GitLab answer them; and an emulated network on a port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DBC_IAC = [sys.executable, "-c", "from dbc_iac.__main__ import main; main()"]
POLL = 0.1
"""Seconds between two polls of an apply on the network of `served`."""
POLLING = [sys.executable, "-c", f"import dbc_iac.apply.waiting as w; w.FLOOR = w.SOON = {POLL}; {DBC_IAC[2]}"]
"""Starts dbc-iac with these polls."""


ME = "github-actions[bot]"
"""Owner of the tokens."""


class Forge(ThreadingHTTPServer):
    """`bodies` and `authors` by id; `seen` holds method, path and token of each request; `refuse` is a status to answer
    with."""

    def __init__(self, bodies: dict[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies = bodies
        self.authors = dict.fromkeys(bodies, "somebody")
        self.seen: list[tuple[str, str, str]] = []
        self.refuse = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def _answer(self, status: int, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _sent(self) -> dict[str, str]:
        sent: dict[str, str] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return sent

    def _allowed(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or self.headers.get("PRIVATE-TOKEN", "")
        self.server.seen.append((self.command, urlsplit(self.path).path, token))
        if self.server.refuse:
            self._answer(self.server.refuse, {"message": "no"})
        return not self.server.refuse

    def do_GET(self) -> None:
        if not self._allowed():
            return
        if self.path == "/api/v4/user":
            self._answer(200, {"id": 1, "username": ME})
        else:
            page = int(parse_qs(urlsplit(self.path).query)["page"][0])
            rows = [
                {
                    "id": i,
                    "body": b,
                    "user": {"login": self.server.authors[i]},
                    "author": {"username": self.server.authors[i]},
                }
                for i, b in self.server.bodies.items()
            ]
            self._answer(200, rows[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        if not self._allowed():
            return
        sent = self._sent()
        if self.path == "/graphql":
            self._answer(200, {"data": {"viewer": {"login": ME}}} if sent == {"query": "{viewer{login}}"} else {})
            return
        number = max(self.server.bodies, default=0) + 1
        self.server.bodies[number] = sent["body"]
        self.server.authors[number] = ME
        self._answer(201, {"id": number})

    def _change(self) -> None:
        if self._allowed():
            self.server.bodies[int(self.path.rpartition("/")[2])] = self._sent()["body"]
            self._answer(200, {})

    do_PATCH = _change  # noqa: N815 - the base class's way
    do_PUT = _change  # noqa: N815 - the base class's way

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return


@contextmanager
def forge(bodies: dict[int, str] | None = None) -> Iterator[Forge]:
    made = Forge({} if bodies is None else bodies)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@contextmanager
def served(world: Path) -> Iterator[str]:
    """HOST:PORT of the first client of an emulated world, in a process of its own, many times as fast as time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    child = subprocess.Popen(
        [*DBC_IAC, "emulator", "--world", str(world), "--listen", address, "--time-scale", "300"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if "listens on http://" in line:
            break
    assert "listens on" in said, said
    host, _, port = address.partition(":")
    while child.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            break
    yield address
    child.terminate()
    child.wait()
    child.stdout.close()
