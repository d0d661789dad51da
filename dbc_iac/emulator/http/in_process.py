"""A port as an httpx transport: the wire behaviour without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from dbc_iac.emulator.http.answer import Dropped, head_size

if TYPE_CHECKING:
    from dbc_iac.emulator.network import Network


class InProcess(httpx.AsyncBaseTransport):
    """Transport to one port of a network in this process."""

    def __init__(self, network: Network, port: str) -> None:
        self._network = network
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        uri, body = request.url.raw_path.decode(), await request.aread()
        head_bytes = head_size(request.method, uri, request.headers.raw)
        try:
            answer = await self._network.ask(self._port, request.method, uri, body, head_bytes)
        except Dropped as dropped:
            if dropped.refused:
                raise httpx.ConnectError("connection refused", request=request) from None
            raise httpx.RemoteProtocolError("the server closed the connection", request=request) from None
        if answer.broken is not None:
            raise httpx.RemoteProtocolError("the connection ended inside the body", request=request)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.content)
