"""A loopback port: accepts connections, serves the requests of each in sequence, and closes them as the network
does.

A connection that is idle for thirty seconds is closed, even within a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from dbc_iac.emulator.http.answer import Dropped, Response, page
from dbc_iac.emulator.http.evhttp import Asked, Ended, Incoming, NoRequest, answer_head, ends_after, read_request
from dbc_iac.emulator.http.node import METHODS

Handler = Callable[[Asked], Awaitable[Response]]
SILENT_SECONDS = 30.0
"""In real seconds: connections belong to the client, independent of the emulated time scale."""
_READ = 64 * 1024


class Listener:
    """Connections of one port. `handler` answers requests or raises Dropped; `now`: date of answers."""

    def __init__(self, handler: Handler, now: Callable[[], datetime], silent_seconds: float = SILENT_SECONDS) -> None:
        self._handler = handler
        self._now = now
        self._silent_seconds = silent_seconds
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError if the port is in use."""
        self._server = await asyncio.start_server(self._connected, host, port)

    @property
    def number(self) -> int:
        """Port number."""
        sockets = self._server.sockets if self._server is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def close(self) -> None:
        """Close the port and its connections at once."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio made one
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

        async def receive() -> bytes:
            try:
                async with asyncio.timeout(self._silent_seconds):
                    return await reader.read(_READ)
            except (TimeoutError, OSError):
                return b""

        incoming = Incoming(receive, writer.write)
        try:
            with contextlib.suppress(Ended, Dropped, OSError, asyncio.CancelledError):
                while await self._serve_one(incoming, writer):
                    pass
        finally:
            writer.close()

    async def _serve_one(self, incoming: Incoming, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection continues. Raises Ended, Dropped, OSError."""
        asked: Asked | None = None
        try:
            asked = await read_request(incoming)
            answer = page(501) if asked.method not in METHODS else await self._answer(asked)
        except NoRequest as wrong:
            answer = page(wrong.status)
        content = b"" if asked is not None and asked.method == "HEAD" else answer.content
        part = content if answer.broken is None else content[: int(len(content) * answer.broken)]
        writer.write(answer_head(asked, answer, len(content), self._now()) + part)
        await writer.drain()
        return answer.broken is None and not ends_after(asked, answer)

    async def _answer(self, asked: Asked) -> Response:
        """A bug of the emulator must not look like an answer of a node."""
        try:
            return await self._handler(asked)
        except Dropped:
            raise
        except Exception as error:
            logging.getLogger("dbc_iac.emulator").exception("%s %s", asked.method, asked.uri)
            answer = {"errcode": -1, "message": f"the emulator failed: {type(error).__name__}: {error}"}
            return Response(500, json.dumps(answer) + "\r\n")
