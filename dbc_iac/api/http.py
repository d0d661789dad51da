"""Limits, replies and errors of HTTP exchanges: with client nodes, the server of a state, a forge.

An answer is bounded: no Content-Encoding is asked for or accepted (9 kB of gzip become 1.7 GB), bytes
are counted while they are read, and one deadline holds for the whole exchange, however slowly a server sends. Reasons
are texts of `http_exchange`: a text of the server could contain anything.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from dbc_iac.json import load_json
from dbc_iac.secret import SecretText

MIB = 1024 * 1024
CONNECT_WITHIN = 10.0
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
PLAIN_URL = re.compile(
    r"http://(?P<server>(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?)"
    r"(?P<target>(?!.*/\.)/[A-Za-z0-9_~./-]*(\?[A-Za-z0-9_~.=&-]*)?)?"
)
"""An http address that is sent as written: without a user, characters to escape, and dots to resolve."""


class Limits(Struct, frozen=True):
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


class Reply(Struct, frozen=True):
    """An answer. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON. Raises ValueError, also for what is nested too deeply."""
        return load_json(self.body)

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


def check_coding(status: int, coding: str) -> None:
    """Refuse an answer with a Content-Encoding."""
    if coding.strip().lower() not in {"", "identity"}:
        raise UnusableError(status, "it has a Content-Encoding, which was not asked for")


def too_long(status: int, size: int) -> UnusableError:
    return UnusableError(status, f"it is longer than {size // MIB} MiB")


def system_reason(error: BaseException) -> str:
    """Why the operating system made no connection, or ended one."""
    if isinstance(error, socket.gaierror):
        return f"its name does not resolve ({(error.strerror or 'no address').lower()})"
    # asyncio joins the errors of several addresses into a text.
    number = getattr(error, "errno", None) or next(map(int, re.findall(r"\[Errno (\d+)\]", str(error))), 0)
    if number:
        return os.strerror(number).lower()
    return f"no connection within {CONNECT_WITHIN:g} s" if isinstance(error, TimeoutError) else "connection closed"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def basic(user: str, password: SecretText) -> SecretText:
    """The value of an Authorization header."""
    return SecretText("Basic " + b64encode(f"{user}:{password.reveal()}".encode()).decode())
