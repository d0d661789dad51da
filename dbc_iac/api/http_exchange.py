"""The exchanges of `http.HttpClient`, by httpx. Imported with the first request: `plan --refresh=false` makes none."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from dbc_iac.api.http import (
    CONNECT_WITHIN,
    BrokenError,
    ExchangeError,
    Limits,
    NoAnswerError,
    NotConnectedError,
    Reply,
    SettingError,
    check_coding,
    system_reason,
    too_long,
)
from dbc_iac.secret import SecretText

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
"""Its own command line, which it can do without: with rich and pygments it takes longer to import than the rest."""
import httpx  # noqa: E402


class Exchanges:
    """Exchanges of one `HttpClient`, with a connection pool per scheme and proxy."""

    def __init__(
        self,
        limits: Limits,
        headers: Mapping[str, SecretText],
        keep_alive: float,
        proxies: bool,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._limits = limits
        self._headers = headers
        self._keep_alive = keep_alive
        self._proxies = proxies
        self._transport = transport
        self._clients: dict[tuple[str, str | None], httpx.AsyncClient] = {}

    async def request(
        self,
        method: str,
        url: str,
        content: bytes,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Reply:
        """One exchange. Raises ExchangeError, and nothing else."""
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

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _read(self, response: httpx.Response) -> Reply:
        check_coding(response.status_code, response.headers.get("Content-Encoding", ""))
        received = bytearray()
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > self._limits.size:
                raise too_long(response.status_code, self._limits.size)
        return Reply(response.status_code, response.headers, bytes(received))

    def _client(self, scheme: str, proxy: tuple[str, str] | None) -> httpx.AsyncClient:
        key = scheme, proxy and proxy[1]
        if key not in self._clients:
            # Loading the certificates takes longer than a call; plain http needs none.
            secure = scheme == "https" or (proxy is not None and proxy[1].startswith("https:"))
            verify = _certificates() if secure else _no_certificates()
            self._clients[key] = httpx.AsyncClient(
                transport=self._transport,
                headers={
                    "User-Agent": "dbc-iac",
                    **({} if self._keep_alive else {"Connection": "close"}),
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
    try:
        return client.build_request(method, url, content=content, params=params, headers=headers)
    except (httpx.InvalidURL, ValueError):
        raise NotConnectedError("its address is not an http or https URL") from None


def _proxy(variable: str, address: str, verify: ssl.SSLContext) -> httpx.Proxy:
    """Raises SettingError without the address, which may hold a password."""
    try:
        proxy = httpx.Proxy(address, ssl_context=verify if address.startswith("https:") else None)
    except (ValueError, httpx.InvalidURL):
        raise SettingError(f"{variable} is no address of a proxy") from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise SettingError(f"{variable} names a SOCKS proxy, for which the package socksio is not installed")
    return proxy


@cache
def _no_certificates() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _certificates() -> ssl.SSLContext:
    """Those of SSL_CERT_FILE or SSL_CERT_DIR, else those that certifi brings."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        names = [n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(n)]
        why = error.strerror if not isinstance(error, ssl.SSLError) else "it contains no certificates"
        raise SettingError(f"{' or '.join(names)} names a file that cannot be used ({why})") from None


def proxy_of(scheme: str, host: str) -> tuple[str, str] | None:
    """The proxy that the environment wants for a host, after the name of its variable; None if it wants none."""
    proxies = getproxies()
    found = next((key for key in (scheme, "all") if proxies.get(key)), None)
    if found is None or _bypassed(host, proxies.get("no", "")):
        return None
    address = proxies[found]
    return f"{found.upper()}_PROXY", address if "://" in address else f"http://{address}"


def _bypassed(host: str, listed: str) -> bool:
    """Whether NO_PROXY has a host: as a name or the end of one, as an address or its network."""
    for entry in listed.split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(" []"), strict=False):
                return True
    return bool(proxy_bypass(host))


def reason(error: BaseException) -> str:
    """Why a connection could not be made, or broke."""
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
            case OSError() if cause.errno:
                return system_reason(cause)
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
