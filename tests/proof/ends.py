"""Crash of a process at an exact point, and requests that arrive late or whose answer is lost.

A run goes through `Interposed`: its transport and its files count operations, and strike at one `Point`. A crashed process
writes and sends nothing more, in spite of its `finally` clauses. Independent of kinds and scenarios.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx
import pytest

from dbc_iac.state.backends import local
from tests.projects import Emulated, Result

MUTATING = re.compile(
    r"/api/v1/(tasks/(create|start|restart|shutdown|poweroff|stop|reset|delete|modify|passwd)"
    r"|disk/(add|resize|delete)|snapshot/(create|delete)|images/(download|upload|delete)(/|$)|lan/(create|delete)"
    r"|bare_metal/(add|modify|delete|power|bootdev)|deeplink/set)"
)
LONG = 2 * 86_400.0
TIMED_OUT = b'{"errcode":-1,"message":"list task timeout"}'

Late = Literal["", "step", "end"]
"""Delivery of a sent request: at once, before the next call, or after the end of the next run."""


class KilledError(BaseException):
    """The process has crashed. No clause of the product may catch it."""


@dataclass(frozen=True)
class Point:
    """The `number`-th record or mutating call, and the strike: a crash `before` it, when it is `sent`, or `after` its
    answer or write; or its answer is `lost` and the process continues.
    """

    of: Literal["record", "call"]
    number: int
    when: Literal["before", "sent", "after", "lost"]
    late: Late = ""

    def __str__(self) -> str:
        return f"{self.of} {self.number} {self.when} {self.late}".strip()


class Watching(Protocol):
    """Observer of mutating calls: before sending, and after their answer or failure."""

    def asked(self, request: httpx.Request) -> str: ...

    def answered(self, key: str) -> None: ...


class Interposed:
    """Layer between runs and the world. One object serves all runs of a trial; `point` strikes once."""

    def __init__(self, emulated: Emulated, point: Point | None = None, watch: Watching | None = None) -> None:
        self.emulated = emulated
        self.point = point
        self._watch = watch
        self.records: list[str] = []
        self.calls: list[str] = []
        self.held: list[Callable[[], Coroutine[Any, Any, Any]]] = []
        self._alive = True
        self._died = asyncio.Event()

    def run(self, *arguments: str) -> Result | None:
        """Run a command: its result, or None if its process crashed."""
        self._alive, self._died = True, asyncio.Event()
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in ((local.LocalBackend, "append"), (local, "replace"), (local.LocalBackend, "clear")):
                patch.setattr(owner, name, self._file(getattr(owner, name)))
            try:
                return self.emulated.project.run(*arguments, transport=self._transport, run=self._run)
            except (KilledError, BaseExceptionGroup):
                if self._alive:
                    raise
                return None

    def release(self) -> None:
        """Deliver the delayed requests now."""
        for send in self.held:
            self.emulated.loop.run_until_complete(send())
        self.held.clear()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def go() -> Any:
            main, died = asyncio.ensure_future(coroutine), asyncio.ensure_future(self._died.wait())
            await asyncio.wait({main, died}, return_when=asyncio.FIRST_COMPLETED, timeout=LONG)
            if self._alive and main.done():
                died.cancel()
                return main.result()
            was_alive, self._alive = self._alive, False
            main.cancel()
            await asyncio.wait({main, died}, timeout=1)
            assert not was_alive, "the run never ends"
            (main.done() and main.cancelled()) or main.exception()
            raise KilledError

        return self.emulated.loop.run_until_complete(go())

    def _die(self) -> None:
        self._alive = False
        self._died.set()

    def _strikes(self, of: str, number: int) -> Point | None:
        point = self.point
        return point if point is not None and (point.of, point.number) == (of, number) else None

    # -- files -------------------------------------------------------------------------------------

    def _file(self, really: Callable[..., None]) -> Callable[..., None]:
        def write(*given: Any, **named: Any) -> None:
            if not self._alive:
                raise KilledError
            self.records.append(really.__name__)
            point = self._strikes("record", len(self.records))
            if point is not None and point.when == "before":
                self._end()
            really(*given, **named)
            if point is not None:
                self._end()

        return write

    def _end(self) -> None:
        self.point = None
        self._die()
        raise KilledError

    # -- the network -------------------------------------------------------------------------------

    def _transport(self, name: str) -> httpx.AsyncBaseTransport:
        return _Wire(self, self.emulated.network.transport(name))

    async def pass_on(self, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
        if not self._alive:
            await asyncio.Event().wait()
        if not MUTATING.match(request.url.path) or request.url.path.endswith("status"):
            return await inner.handle_async_request(request)
        held, self.held = self.held, [] if self.point is None and self._at_next_step else self.held
        if not self.held:
            for send in held:
                await send()
        self.calls.append(request.url.path)
        if self._watch is None:
            return await self._send(inner, request)
        key = self._watch.asked(request)
        try:
            return await self._send(inner, request)
        finally:
            self._watch.answered(key)

    async def _send(self, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
        point = self._strikes("call", len(self.calls))
        if point is None:
            return await inner.handle_async_request(request)
        self.point, self._late = None, point.late
        return await self._strike(point, inner, request)

    _late: Late = ""

    @property
    def _at_next_step(self) -> bool:
        return self._late == "step"

    async def _strike(self, point: Point, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
        async def send() -> Any:
            try:
                return await inner.handle_async_request(request)
            except httpx.TransportError:  # the process that waited has crashed
                return None

        if point.when in {"sent", "lost"}:
            if point.late:
                self.held.append(send)
            else:
                self.emulated.network.keep(asyncio.ensure_future(send()))
        if point.when == "lost":
            await asyncio.sleep(30)
            return httpx.Response(500, content=TIMED_OUT)
        if point.when == "after":
            await inner.handle_async_request(request)
        self._die()
        await asyncio.Event().wait()
        raise AssertionError


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, interposed: Interposed, inner: httpx.AsyncBaseTransport) -> None:
        self._interposed = interposed
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._interposed.pass_on(self._inner, request)
