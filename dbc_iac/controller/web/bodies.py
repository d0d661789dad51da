"""Bodies of requests, read up to a limit."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def bounded_body(request: Request, limit: int) -> bytes:
    """The body of a request. Raises HTTPException 413 beyond `limit` bytes, without reading the rest."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > limit:
            raise HTTPException(413, "the body is too large")
    return bytes(read)
