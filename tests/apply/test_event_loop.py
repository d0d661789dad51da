"""A slow disk, backend or secret program holds up what waits for it, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from dbc_iac.state.backends.local import LocalBackend
from tests.projects import NODE_ID, SEED, Emulated, document

OTHER_ID = "a" * 64
OTHER = document(
    "Node", "gpu-b", {"id": OTHER_ID, "identity": "tenant", "rentOrder": "113", "portRange": "20000-29999"}
)
LANS = [
    document("Network", "alphalan", {"via": "gpu-a", "cidr": "192.168.66.0/24"}),
    document("Network", "betalan", {"via": "gpu-b", "cidr": "192.168.67.0/24"}),
]
TWO_NODES: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID}, {"id": OTHER_ID}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": OTHER_ID}},
}
GUARD_SECONDS = 20.0
"""Only a loop that is blocked lets this pass; then the test fails."""


class Observed(httpx.AsyncBaseTransport):
    """A client node where `before` is awaited before a request for a node, and `after` once it is answered."""

    def __init__(self, inner: httpx.AsyncBaseTransport, node: str, before: Any, after: Any) -> None:
        self.inner, self.node, self.before, self.after = inner, node, before, after

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        concerned = json.loads(request.content or b"{}").get("peer_nodes_list") == [self.node]
        if concerned:
            await self.before()
        answer = await self.inner.handle_async_request(request)
        if concerned:
            await self.after()
        return answer


def run(emulated: Emulated, node: str, before: Any, after: Any, *arguments: str) -> Any:
    """Run a command with real threads, which a virtual loop has not."""
    vars(emulated.loop).pop("run_in_executor", None)

    def transport(name: str) -> httpx.AsyncBaseTransport:
        return Observed(emulated.network.transport(name), node, before, after)

    return emulated.project.run(*arguments, transport=transport, run=emulated.loop.run_until_complete)


async def nothing() -> None:
    pass


def test_other_nodes_are_answered_while_a_record_is_written(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = world(OTHER, *LANS, **TWO_NODES)
    file = str(emulated.project.directory.parent / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    writing, answered, in_time = asyncio.Event(), threading.Event(), []
    append = LocalBackend.append

    def slow(backend: LocalBackend, line: bytes, **named: Any) -> None:
        if b'"intent"' in line and b"Network/alphalan" in line:
            emulated.loop.call_soon_threadsafe(writing.set)
            in_time.append(answered.wait(GUARD_SECONDS))
        append(backend, line, **named)

    async def after() -> None:
        answered.set()

    monkeypatch.setattr(LocalBackend, "append", slow)
    applied = run(emulated, OTHER_ID, writing.wait, after, "apply", file)
    assert (applied.code, in_time) == (0, [True])
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_other_nodes_are_answered_while_a_program_prints_a_key(world: Callable[..., Emulated]) -> None:
    slow = OTHER.replace('"identity": "tenant"', '"identity": "slow"')
    emulated = world(slow, *LANS, **TWO_NODES)
    directory = emulated.project.directory
    project_file = directory / "dbc-iac.yaml"
    key = "    slow: {wallet: {seed: {exec: [cat, key]}}}\n"
    project_file.write_text(project_file.read_text().replace("  variables:\n", f"{key}  variables:\n", 1))
    os.mkfifo(directory / "key")
    printed: list[int] = []

    async def after() -> None:
        if not printed:
            printed.append(await asyncio.to_thread((directory / "key").write_text, SEED))

    planned = run(emulated, NODE_ID, nothing, after, "plan", "--json")
    assert planned.code == 0, planned.err
    assert [c["action"] for c in planned.json["changes"] if c["kind"] == "Network"] == ["create", "create"]


def test_the_records_of_all_branches_are_written_by_one_thread(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second thread could write a result before its intent."""
    emulated = world(OTHER, *LANS, **TWO_NODES)
    append, writers = LocalBackend.append, list[str]()

    def noted(backend: LocalBackend, line: bytes, **named: Any) -> None:
        if json.loads(line)["type"] in {"intent", "result", "met"}:
            writers.append(threading.current_thread().name)
        append(backend, line, **named)

    monkeypatch.setattr(LocalBackend, "append", noted)
    assert run(emulated, OTHER_ID, nothing, nothing, "apply", "--yes").code == 0
    assert (set(writers), len(writers)) == ({"journal_0"}, 6)
