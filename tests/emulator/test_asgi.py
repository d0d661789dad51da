"""A port as an ASGI application gives the same answers as a real port."""

from __future__ import annotations

import httpx
import pytest

from dbc_iac.emulator import FaultSpec, port_app
from dbc_iac.emulator.http.answer import Dropped
from tests.emulator.front import NODE_ID, WORLD, Front, run

BASE = "http://127.0.0.1:5050"
REQUESTS = [
    ("GET", "/", b""),
    ("GET", "/api/v1", b""),
    ("GET", "/api/v1/tasks/x?flag=head&line_num=5", b""),
    ("POST", "/api/v1/tasks", b""),
    ("POST", "/api/v1/tasks", b"{,}"),
    ("POST", "/api/v1/mining_nodes", b'{"peer_nodes_list":["' + NODE_ID.encode() + b'"],"additional":{}}'),
    ("POST", "/api/v1/" + "x" * 9000, b"{}"),
    ("PUT", "/api/v1/tasks", b"{}"),
]


def test_asgi_answers_equal_those_of_the_port() -> None:
    async def test() -> None:
        front = Front(WORLD)
        mounted, own = httpx.ASGITransport(port_app(front.network, "default")), front.network.transport("default")
        for method, uri, body in REQUESTS:
            answers = []
            for transport in (mounted, own):
                async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                    answer = await client.request(method, uri, content=body)
                    answers.append((answer.status_code, answer.headers["content-type"], answer.text))
            assert answers[0] == answers[1]

    run(test)


def test_a_broken_connection_raises_dropped() -> None:
    async def test() -> None:
        front = Front(WORLD)
        front.network.faults.add(FaultSpec(op="*", kind="drop"))
        transport = httpx.ASGITransport(port_app(front.network, "default"))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            with pytest.raises(Dropped):
                await client.post("/api/v1/tasks", json={"peer_nodes_list": [NODE_ID], "additional": {}})

    run(test)
