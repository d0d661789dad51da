"""Common parts of tests of the API client: a virtual clock, made-up identities, a scripted client node, recordings."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
import sr25519

from dbc_iac.api.auth.credentials import Credentials
from dbc_iac.api.auth.keys import Nonce, SessionId, Sr25519Key
from dbc_iac.api.auth.sessions import SessionStore
from dbc_iac.api.channel import Channel, Connections
from dbc_iac.api.idempotency import CallEvent
from dbc_iac.api.transport import ClientNode
from dbc_iac.emulator.virtual_clock import virtual_loop
from dbc_iac.secret import SecretText
from tests.recordings import RECORDINGS

T = TypeVar("T")
TARGET = "58fb618aa482c41114eb3cfdaefd3ba183172da9e25251449d045043fbd37f45"
TASK = "7a7F4y4wjLSDUtK7nKQNNG"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop whose clock jumps over every sleep."""
    loop = virtual_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def key(name: str) -> Sr25519Key:
    """The key of a made-up wallet of the recordings."""
    return Sr25519Key.from_seed(SecretText(_seed(name).hex()))


def raw_signature(name: str, text: str) -> str:
    """A signature over any text, which `key` refuses to make."""
    signature: bytes = sr25519.sign(sr25519.pair_from_seed(_seed(name)), text.encode())
    return signature.hex()


@contextmanager
def signed_texts() -> Iterator[list[str]]:
    """All that is signed meanwhile with a wallet or node key, in order."""
    signed: list[str] = []
    sign = sr25519.sign

    def spy(pair: tuple[bytes, bytes], message: bytes) -> bytes:
        signed.append(message.decode())
        signature: bytes = sign(pair, message)
        return signature

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sr25519, "sign", spy)
        yield signed


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"made-up-{name}".encode()).digest()


def nonce(number: int) -> Nonce:
    return Nonce(UUID(int=number))


def session_id(number: int) -> SessionId:
    """A session id as a node makes it."""
    return SessionId(SecretText(Nonce(UUID(int=number)).text))


def ok(message: Any, errcode: int = 0, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"errcode": errcode, "message": message})


Handler = Callable[[httpx.Request], Any]


class Script:
    """A client node that answers by a list of responses or callables, the last of them repeatedly; keeps the requests.

    An entry may be a response, an exception to raise, or a coroutine function of the request.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode().removeprefix("/api/v1") for request in self.requests]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, httpx.Response):
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
            found = answer(request)
            return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]
        finally:
            self.in_flight -= 1

    def node(self, name: str = "client", **options: Any) -> ClientNode:
        return ClientNode(name, "http://127.0.0.1:5050", transport=httpx.MockTransport(self.handle), **options)


def uuids() -> Callable[[], UUID]:
    """Random enough for a test, and the same in every run."""
    numbers: Iterator[int] = iter(range(1, 1_000_000))
    return lambda: UUID(int=next(numbers) << 64 | 0x4000_8000)


def connections(
    *nodes: ClientNode, sessions: SessionStore | None = None, events: list[CallEvent] | None = None
) -> Connections:
    return Connections(
        {node.name: node for node in nodes},
        sessions or SessionStore(),
        uuids(),
        events.append if events is not None else None,
    )


def channel(
    *scripts: Script,
    credentials: Credentials | None = None,
    rent_order: str | None = None,
    sessions: SessionStore | None = None,
    events: list[CallEvent] | None = None,
) -> Channel:
    nodes = [script.node(f"client{number}") for number, script in enumerate(scripts)]
    shared = connections(*nodes, sessions=sessions, events=events)
    return Channel(shared, TARGET, credentials, [node.name for node in nodes], rent_order)


def exchanges(*files: str) -> list[dict[str, Any]]:
    """The exchanges of recordings, each with its `file`. Skips the test where there are none."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings of running nodes are not part of the repository")
    found = []
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        if files and path.stem not in files:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if "i" in entry and entry.get("request"):
                found.append({**entry, "file": path.stem})
    return found
