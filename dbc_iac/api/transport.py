"""One client node over HTTP: sends one request and tells what came of it. Decides, retries and logs nothing.

Client nodes are fragile. Most can take one request at a time (`max_in_flight`); they close a connection after 30 s of
silence, so ours live 10 s; a request can hang for ever, so each has a deadline of our own, longer than the node's 30 s.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dbc_iac.api.calls import CallClass
from dbc_iac.api.outcome import NotSent, Unknown
from dbc_iac.api.secret import SecretText

if TYPE_CHECKING:
    import httpx

DEADLINE = 40.0
"""Seconds from the first byte sent to the last received. The node's own time-out is 30.2 s."""
CONNECT_WITHIN = 10.0
KEEP_ALIVE = 10.0
_MOST_BYTES = 32 * 1024 * 1024


class InsecureUrl(ValueError):  # noqa: N818 - names the URL, not the accident
    """Plain http to another machine: whoever listens gets a session that never expires."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class ClientNode:
    """A client node by name and URL. `headers` are secret; `transport` replaces the network (an in-process app)."""

    def __init__(
        self,
        name: str,
        url: str,
        headers: Mapping[str, SecretText] | None = None,
        max_in_flight: int = 1,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        insecure_http: bool = False,
        deadline: float = DEADLINE,
    ) -> None:
        """Raises InsecureUrl, or ValueError on what is no http(s) URL."""
        self.name = name
        self._url = _checked_url(url, insecure_http)
        self._headers = dict(headers or {})
        self._transport = transport
        self._deadline = deadline
        self.turn = asyncio.Semaphore(max_in_flight)
        """One of the node's places: to be held around `post`."""
        self._rest_until = float("-inf")
        self._clients: dict[float, httpx.AsyncClient] = {}

    def rest(self, seconds: float) -> None:
        """Send nothing for so long (of the event loop's clock)."""
        self._rest_until = max(self._rest_until, asyncio.get_running_loop().time() + seconds)

    async def post(self, path: str, body: bytes, call_class: CallClass) -> Reply | NotSent | Unknown:
        """Send one request. `path` begins below `/api/v1`. The caller holds a place of `turn`."""
        left = self._rest_until - asyncio.get_running_loop().time()
        if left > 0:
            return NotSent(f"client node {self.name} is left alone for {left:.0f} s", rest_seconds=left)
        return await self._exchange(path, body, call_class)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _exchange(self, path: str, body: bytes, call_class: CallClass) -> Reply | NotSent | Unknown:
        import httpx

        # A kept connection may be dying just now, and then nobody knows whether the request was read: a call whose
        # repeat does it twice gets a connection of its own.
        blind = call_class is CallClass.BLIND
        client = self._client(0.0 if blind else KEEP_ALIVE)
        headers = {"Content-Type": "application/json", **({"Connection": "close"} if blind else {})}
        try:
            async with (
                asyncio.timeout(self._deadline),
                client.stream("POST", f"{self._url}/api/v1{path}", content=body, headers=headers) as response,
            ):
                return await _read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return NotSent(f"client node {self.name} cannot be reached ({type(error).__name__})")
        except TimeoutError:
            return Unknown(f"client node {self.name} gave no answer within {self._deadline:g} s")
        except Exception as error:  # whatever broke after the first byte: the request may have been read
            return Unknown(f"the connection to client node {self.name} broke ({type(error).__name__})", broke=True)

    def _client(self, keep_alive: float) -> httpx.AsyncClient:
        if keep_alive not in self._clients:
            import ssl

            import httpx

            kept = None if keep_alive else 0
            self._clients[keep_alive] = httpx.AsyncClient(
                transport=self._transport,
                headers={
                    "User-Agent": "dbc-iac",
                    "Accept-Encoding": "identity",
                    **{name: value.reveal() for name, value in self._headers.items()},
                },
                # Loading the certificates takes longer than a call; plain http needs none.
                verify=True if self._url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
                limits=httpx.Limits(max_keepalive_connections=kept, keepalive_expiry=keep_alive),
                trust_env=False,  # no proxy and no .netrc by accident
                follow_redirects=False,
            )
        return self._clients[keep_alive]

    def __repr__(self) -> str:
        return f"ClientNode({self.name})"


async def _read(response: httpx.Response) -> Reply | Unknown:
    received = bytearray()
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > _MOST_BYTES:
            return Unknown("the reply is too long", "handled")
    return Reply(response.status_code, response.headers.get("Content-Type", ""), bytes(received))


def _checked_url(url: str, insecure_http: bool) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a client node's URL is http://host:port or https://host:port")
    if parts.scheme == "http" and not insecure_http and not _is_loopback(parts.hostname):
        raise InsecureUrl("http to another machine needs insecureHttp: true: a session read on the way never expires")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
