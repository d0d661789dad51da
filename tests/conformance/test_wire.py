"""A recording replayed over a real socket: status line, headers and body as bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from dbc_iac.emulator.http.answer import Response
from dbc_iac.emulator.http.listener import Listener
from dbc_iac.emulator.server import node_handler
from tests.conformance.bindings import Bindings
from tests.conformance.compare import differences
from tests.conformance.recording import Exchange, sent
from tests.conformance.replay import Replay
from tests.recordings import RECORDINGS, needs_recordings

_COMPARED = ("Content-Type", "Access-Control-Allow-Origin", "Connection")

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request_of(line: Exchange) -> bytes:
    """Body as sent, chunks included."""
    asked = line.request
    headers = "".join(f"{name}: {value}\r\n" for name, value in asked["headers"].items())
    head = f"{asked['method']} {asked['path']} {asked.get('version', 'HTTP/1.1')}\r\n{headers}\r\n"
    chunked = asked["headers"].get("Transfer-Encoding") == "chunked"
    return head.encode() + sent(asked["body"] if chunked else line.body)


async def answer_of(reader: asyncio.StreamReader, line: Exchange) -> tuple[str, dict[str, str], str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    headers = dict(one.split(": ", 1) for one in head[1:])
    if line.request["method"] == "HEAD":
        return head[0], headers, ""
    length = headers.get("Content-Length")
    body = await reader.read() if length is None else await reader.readexactly(int(length))
    return head[0], headers, body.decode("utf-8", "surrogateescape")


@contextlib.asynccontextmanager
async def listening(replay: Replay) -> AsyncIterator[int]:
    listener = Listener(node_handler(replay.network, "client"), replay.network.clock.wall)
    await listener.open("127.0.0.1", 0)
    try:
        yield listener.number
    finally:
        await listener.close()


async def differing(replay: Replay) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    kept: list[Connection] = []
    async with listening(replay) as port:
        for line in replay.recording.lines:
            assert isinstance(line, Exchange)
            goes_on = line.values.get("note") == "same connection" and kept
            reader, writer = kept[0] if goes_on else await asyncio.open_connection("127.0.0.1", port)
            kept = [(reader, writer)] if line.values.get("note") == "same connection" else []
            writer.write(request_of(line))
            status_line, headers, body = await asyncio.wait_for(answer_of(reader, line), 10)
            recorded = line.response
            wrong: list[Any] = []
            if status_line != recorded["status_line"] or list(headers) != list(recorded["headers"]):
                wrong.append((recorded["status_line"], list(recorded["headers"]), status_line, list(headers)))
            wrong += [
                (name, headers.get(name)) for name in _COMPARED if headers.get(name) != recorded["headers"].get(name)
            ]
            same = Response(recorded["status"], body, headers["Content-Type"], headers.get("Connection") == "close")
            wrong += list(differences(line, same, Bindings()))
            if wrong:
                found[line.number] = wrong
            if not kept:
                writer.close()
    return found


@needs_recordings
def test_a_recording_replays_over_a_socket() -> None:
    assert asyncio.run(differing(Replay(RECORDINGS / "01_basics_client.jsonl"))) == {}
