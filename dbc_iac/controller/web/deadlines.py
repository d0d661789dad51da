"""A limit on the time that a request waits for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

READY_SECONDS = 2.0
PAGE_SECONDS = 5.0

Endpoint = Callable[[Request], Awaitable[Response]]


def within(seconds: float, endpoint: Endpoint) -> Endpoint:
    """An endpoint that raises HTTPException 503 after a time. A response that is a stream may go on for longer."""

    async def answer(request: Request) -> Response:
        running = asyncio.ensure_future(endpoint(request))
        running.add_done_callback(_ended)
        try:
            done, _ = await asyncio.wait([running], timeout=seconds)
        finally:
            running.cancel()  # without waiting: psycopg asks the server first, which may not answer
        if not done:
            raise HTTPException(503, f"the database of the controller did not answer within {seconds:g} s")
        return await running

    return answer


def _ended(running: asyncio.Future[Response]) -> None:
    """Retrieve the exception of an endpoint that nobody waits for."""
    if not running.cancelled():
        running.exception()
