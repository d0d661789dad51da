"""HTTP clients: of any server, and of one client node. They retry and log nothing.

Client nodes are fragile. Most can take one request at a time (`max_in_flight`). They close a connection after 30 s of
silence, so connections are kept for 10 s. A request can hang, so each has a deadline longer than the 30 s in which a
client node answers for a target that does not: past it, the client node itself is silent.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from dbc_iac.api.http import (
    HEADER_NAME,
    HEADER_VALUE,
    MIB,
    OWN_HEADERS,
    PLAIN_URL,
    BrokenError,
    ExchangeError,
    Limits,
    NoAnswerError,
    NotConnectedError,
    Reply,
    UnusableError,
    is_loopback,
)
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import CLIENT_PAUSE, NotSent, Unknown
from dbc_iac.secret import SecretText

if TYPE_CHECKING:
    import httpx

    from dbc_iac.api.http_exchange import Exchanges
    from dbc_iac.api.plain_http import PlainExchanges

T = TypeVar("T")

DEADLINE = 40.0
"""Seconds from the first byte sent to the last received. The node's own time-out is 30.2 s."""
KEEP_ALIVE = 10.0
MAX_BYTES = 32 * MIB
_JSON = {"content-type": "application/json"}


class HttpClient:
    """Requests to one server. Proxies of the environment are used only with `proxies`, ~/.netrc never.

    `plain`: for many calls to an http address; they go by `plain_http`, all others by httpx.
    """

    def __init__(
        self,
        limits: Limits,
        headers: Mapping[str, SecretText] | None = None,
        *,
        keep_alive: float = 5.0,
        proxies: bool = False,
        plain: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises ValueError for a header that cannot be sent, without its value."""
        self._limits = limits
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not re.fullmatch(HEADER_NAME, name) or name.lower() in OWN_HEADERS:
                raise ValueError("a header has an invalid name")
            if not re.fullmatch(HEADER_VALUE, value.reveal()):
                raise ValueError(f"the value of the header {name} is not printable ASCII")
        self._keep_alive = keep_alive
        self._proxies = proxies
        self._transport = transport
        self._exchanges: Exchanges | None = None
        self._plain = plain
        self._plain_exchanges: PlainExchanges | None = None

    async def request(
        self,
        method: str,
        url: str,
        content: bytes = b"",
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange. Raises ExchangeError, and nothing else."""
        if self._plain and (match := PLAIN_URL.fullmatch(url)):
            if self._plain_exchanges is None:
                from dbc_iac.api.plain_http import PlainExchanges

                self._plain_exchanges = PlainExchanges(self._limits, self._headers, self._keep_alive)
            return await self._plain_exchanges.request(match, method, content, headers or {})
        if self._exchanges is None:
            from dbc_iac.api.http_exchange import Exchanges

            self._exchanges = Exchanges(self._limits, self._headers, self._keep_alive, self._proxies, self._transport)
        return await self._exchanges.request(method, url, content, params, headers)

    def wait(self, method: str, url: str, content: bytes = b"", **more: Mapping[str, str]) -> Reply:
        """The same exchange, from synchronous code. A client is used in one of the two ways only."""
        return _waited(self.request(method, url, content, **more))

    async def aclose(self) -> None:
        for exchanges in (self._exchanges, self._plain_exchanges):
            if exchanges is not None:
                await exchanges.aclose()


_STARTING = threading.Lock()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop of its own: the caller may block another one, and only a loop can cancel a call midway."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="http", daemon=True).start()
    return loop


def _waited(work: Coroutine[Any, Any, T]) -> T:
    with _STARTING:  # `cache` would let two threads at once start two loops, and a client has one
        loop = _loop()
    found = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return found.result()
    except BaseException:
        found.cancel()
        raise


class InsecureUrl(ValueError):  # noqa: N818 - names the URL, not the accident
    """Plain http to another machine, where an eavesdropper gets a session that never expires."""


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
        """Raises InsecureUrl, or ValueError on what is no http(s) URL or cannot be sent as a header."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("a client node's URL is http://host:port or https://host:port")
        if parts.scheme == "http" and not insecure_http and not is_loopback(parts.hostname):
            raise InsecureUrl("http to another machine needs insecureHttp: true; an intercepted session never expires")
        self.name = name
        self.url = url.rstrip("/")
        # The user and the path of a URL may be secret.
        self._label = f"client node {name} ({parts.scheme}://{parts.netloc.rpartition('@')[2]})"
        limits = Limits(deadline, MAX_BYTES)
        plain = transport is None
        self._shared = HttpClient(limits, headers, keep_alive=KEEP_ALIVE, plain=plain, transport=transport)
        self._single = HttpClient(limits, headers, keep_alive=0.0, plain=plain, transport=transport)
        self.max_in_flight = max_in_flight
        self.turn = asyncio.Semaphore(max_in_flight)
        """Limits requests in flight: hold it around `post`."""
        self._paused_until = self._reads_paused_until = float("-inf")
        self._unanswered: set[str] = set()
        """Targets whose reads had no answer in time since the client node last answered."""

    def pause(self, seconds: float) -> None:
        """Send nothing for this long (event loop's clock)."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    async def post(
        self, path: str, body: bytes, call_class: CallClass, *, read_of: str | None = None
    ) -> Reply | NotSent | Unknown:
        """Send one request. `path` begins below `/api/v1`. The caller holds `turn`.

        `read_of`: the target of a read (may be empty). When those of two targets have had no answer in time, reads are
        paused for CLIENT_PAUSE seconds, or until the client node answers another call.
        """
        clock = asyncio.get_running_loop().time
        if (left := self._paused_until - clock()) > 0:
            return NotSent(f"{self._label} is paused for {left:.0f} s", retry_after=left)
        if read_of is not None and (left := self._reads_paused_until - clock()) > 0:
            return NotSent(f"{self._label} does not answer; reads resume in {left:.0f} s", retry_after=left)
        # A kept connection may be dying just now, and then nobody knows whether the request was read: a call whose
        # repeat does it twice gets a connection of its own.
        client = self._single if call_class is CallClass.BLIND else self._shared
        try:
            reply = await client.request("POST", f"{self.url}/api/v1{path}", body, headers=_JSON)
        except NotConnectedError as error:
            return NotSent(f"{self._label} {error}")
        except ExchangeError as error:
            if isinstance(error, UnusableError):
                self._answered()
            elif isinstance(error, NoAnswerError) and read_of is not None:
                self._unanswered.add(read_of)
                if len(self._unanswered) > 1:  # one alone may be the fault of its target
                    self._reads_paused_until = clock() + CLIENT_PAUSE
            # Of any other status than 200 it may be the answer of a gateway, while the node still works.
            handled = isinstance(error, UnusableError) and error.status == 200
            broke = isinstance(error, BrokenError)
            return Unknown(f"{self._label} {error}", "handled" if handled else "maybe", broke=broke)
        self._answered()
        return reply

    def _answered(self) -> None:
        self._unanswered.clear()
        self._reads_paused_until = float("-inf")

    async def aclose(self) -> None:
        await self._shared.aclose()
        await self._single.aclose()

    def __repr__(self) -> str:
        return f"ClientNode({self.name})"
