"""HTTP requests of every client: to client nodes, to the server of a state, to a forge. Decides and retries nothing.

An answer is bounded: no Content-Encoding is asked for or accepted (9 kB of gzip become 1.7 GB), bytes
are counted while they are read, and one deadline holds for the whole exchange, however slowly a server sends. Reasons
are texts of this module: a text of the server could contain anything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from dbc_iac.api.secret import SecretText
from dbc_iac.json import load_json

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
MIB = 1024 * 1024
CONNECT_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` of an exchange, from the look-up of the name to the last byte; `size` of an answer's body in bytes."""

    seconds: float
    size: int


class ExchangeError(Exception):
    """No usable answer. The text continues a sentence about the server: "the server cannot be reached: ..."."""

    deed = ""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{self.deed}{reason}")


class NotConnectedError(ExchangeError):
    """Nothing was sent."""

    deed = "cannot be reached: "


class SettingError(NotConnectedError):
    """Nothing was sent: an environment variable of this machine cannot be used."""

    deed = "was not asked: "


class NoAnswerError(ExchangeError):
    """The deadline passed, and the request may have been read."""

    deed = "gave no answer within "


class BrokenError(ExchangeError):
    """The connection ended before the answer was complete."""

    deed = "gave no complete answer: "


class UnusableError(ExchangeError):
    """The answer is unusable, and refused."""

    deed = "sent an answer that is refused: "

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON. Raises ValueError, also for what is nested too deeply."""
        return load_json(self.body)

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


HEADER_NAME = r"[!#$%&'*+.^_`~0-9A-Za-z-]+"
HEADER_VALUE = r"([!-~]([ -~]*[!-~])?)?"
"""Printable ASCII, without spaces around it."""
OWN_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "keep-alive",
        "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that control the transfer of a request and the form of its answer."""


def basic(user: str, password: SecretText) -> SecretText:
    """The value of an Authorization header."""
    return SecretText("Basic " + b64encode(f"{user}:{password.reveal()}".encode()).decode())


class HttpClient:
    """Requests to one server. Proxies of the environment are used only with `proxies`, ~/.netrc never."""

    def __init__(
        self,
        limits: Limits,
        headers: Mapping[str, SecretText] | None = None,
        *,
        keep_alive: float = 5.0,
        proxies: bool = False,
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
        self._clients: dict[tuple[str, str | None], httpx.AsyncClient] = {}

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
        import httpx

        via = ""
        try:
            async with asyncio.timeout(self._limits.seconds):
                scheme, host = _split(url)
                proxy = proxy_of(scheme, host) if self._proxies else None
                via = f" (through the proxy of {proxy[0]})" if proxy else ""
                client = self._client(scheme, proxy)
                request = _request(client, method, url, content, params, headers)
                response = await client.send(request, stream=True)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except ExchangeError:
            raise
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise NotConnectedError(reason(error) + via) from None
        except TimeoutError:
            raise NoAnswerError(f"{self._limits.seconds:g} s{via}") from None
        except Exception as error:  # broken after the first byte: the request may have been read
            raise BrokenError(reason(error) + via) from None

    def wait(self, method: str, url: str, content: bytes = b"", **more: Mapping[str, str]) -> Reply:
        """The same exchange, from synchronous code. A client is used in one of the two ways only."""
        return _waited(self.request(method, url, content, **more))

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _read(self, response: httpx.Response) -> Reply:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise UnusableError(response.status_code, "it has a Content-Encoding, which was not asked for")
        received = bytearray()
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > self._limits.size:
                raise UnusableError(response.status_code, f"it is longer than {self._limits.size // MIB} MiB")
        return Reply(response.status_code, response.headers, bytes(received))

    def _client(self, scheme: str, proxy: tuple[str, str] | None) -> httpx.AsyncClient:
        key = scheme, proxy and proxy[1]
        if key not in self._clients:
            import httpx

            # Loading the certificates takes longer than a call; plain http needs none.
            secure = scheme == "https" or (proxy is not None and proxy[1].startswith("https:"))
            verify = _certificates() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._clients[key] = httpx.AsyncClient(
                transport=self._transport,
                headers={
                    "User-Agent": "dbc-iac",
                    "Accept-Encoding": "identity",
                    **{name: value.reveal() for name, value in self._headers.items()},
                },
                proxy=None if proxy is None else _proxy(*proxy, verify),
                verify=verify,
                timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
                limits=httpx.Limits(
                    max_keepalive_connections=None if self._keep_alive else 0, keepalive_expiry=self._keep_alive
                ),
                trust_env=False,  # no proxy and no .netrc by accident
                follow_redirects=False,
            )
        return self._clients[key]


def _split(url: str) -> tuple[str, str]:
    """Scheme and host. Raises NotConnectedError."""
    with suppress(ValueError):
        split = urlsplit(url)
        if split.scheme in {"http", "https"} and split.hostname:
            return split.scheme, split.hostname
    raise NotConnectedError("its address is not an http or https URL")


def _request(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    content: bytes,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
) -> httpx.Request:
    import httpx

    try:
        return client.build_request(method, url, content=content, params=params, headers=headers)
    except (httpx.InvalidURL, ValueError):
        raise NotConnectedError("its address is not an http or https URL") from None


def _proxy(variable: str, address: str, verify: ssl.SSLContext) -> httpx.Proxy:
    """Raises SettingError without the address, which may hold a password."""
    import httpx

    try:
        proxy = httpx.Proxy(address, ssl_context=verify if address.startswith("https:") else None)
    except (ValueError, httpx.InvalidURL):
        raise SettingError(f"{variable} is no address of a proxy") from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise SettingError(f"{variable} names a SOCKS proxy, for which the package socksio is not installed")
    return proxy


def _certificates() -> ssl.SSLContext:
    """Those of SSL_CERT_FILE or SSL_CERT_DIR, else those that certifi brings."""
    import httpx

    try:
        return httpx.create_ssl_context()
    except OSError as error:
        names = [n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(n)]
        why = error.strerror if not isinstance(error, ssl.SSLError) else "it contains no certificates"
        raise SettingError(f"{' or '.join(names)} names a file that cannot be used ({why})") from None


def proxy_of(scheme: str, host: str) -> tuple[str, str] | None:
    """The proxy that the environment wants for a host, after the name of its variable; None if it wants none."""
    from urllib.request import getproxies

    proxies = getproxies()
    found = next((key for key in (scheme, "all") if proxies.get(key)), None)
    if found is None or _bypassed(host, proxies.get("no", "")):
        return None
    address = proxies[found]
    return f"{found.upper()}_PROXY", address if "://" in address else f"http://{address}"


def _bypassed(host: str, listed: str) -> bool:
    """Whether NO_PROXY has a host: as a name or the end of one, as an address or its network."""
    from urllib.request import proxy_bypass

    for entry in listed.split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(" []"), strict=False):
                return True
    return bool(proxy_bypass(host))


def reason(error: BaseException) -> str:
    """Why a connection could not be made, or broke."""
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_WITHIN:g} s"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
    for cause in causes:
        match cause:
            case ssl.SSLError():
                text = getattr(cause, "reason", None) or "failed"
                plain_http = text == "WRONG_VERSION_NUMBER"
                return "it does not speak TLS" if plain_http else f"TLS: {text.replace('_', ' ').lower()}"
            case socket.gaierror():
                return f"its name does not resolve ({(cause.strerror or 'no address').lower()})"
            case OSError() if cause.errno:
                return os.strerror(cause.errno).lower()
    text = str(error)
    match error:
        case httpx.ProxyError():
            return f"the proxy answered with {text[:3]}" if text[:3].isdecimal() else "the proxy refused it"
        case httpx.RemoteProtocolError() if text.startswith("Server disconnected"):
            return "connection closed without an answer"
        case httpx.RemoteProtocolError() if text.startswith("peer closed"):
            return "connection closed in the middle of an answer"
        case httpx.RemoteProtocolError():
            return "the answer is not HTTP"
    return "connection closed"


def _causes(error: BaseException, *seen: BaseException) -> Iterator[BaseException]:
    """An exception and all that it came from."""
    if error in seen:
        return
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for cause in (error.__cause__, error.__context__, *inner):
        if cause is not None:
            yield from _causes(cause, *seen, error)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop of its own: the caller may block another one, and only a loop can cancel a call midway."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="http", daemon=True).start()
    return loop


def _waited(work: Coroutine[Any, Any, T]) -> T:
    found = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return found.result()
    except BaseException:
        found.cancel()
        raise
