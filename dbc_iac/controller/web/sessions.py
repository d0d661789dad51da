"""Sessions of people in the page: signed cookies, which any worker of a fleet can check.

Their time is that of the database: the clocks of workers may differ.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from itsdangerous import BadSignature, Signer, URLSafeSerializer
from msgspec import Struct

from dbc_iac.controller.web.access import same
from dbc_iac.secret import SecretText

COOKIE = "dbc_iac_session"
SECONDS = 12 * 3600
"""Length of a session."""


class Session(Struct, frozen=True):
    """A person who has signed in. `csrf`: the value that each form of this session sends back.

    `started`: seconds since 1970.
    """

    name: str
    csrf: str
    started: int

    def matches(self, given: str) -> bool:
        """Whether a form has the value of this session."""
        return same(given, self.csrf)

    def lasts(self, now: datetime) -> bool:
        """Whether the session has not ended."""
        return now.timestamp() - self.started <= SECONDS


class Sessions:
    """Sessions signed with the token: another token ends all of them."""

    def __init__(self, token: SecretText) -> None:
        self._token = token

    def has_token(self, given: str) -> bool:
        return same(given, self._token.reveal())

    def start(self, name: str, now: datetime) -> str:
        """The cookie of a new session."""
        return self._signed().dumps([name, int(now.timestamp()), secrets.token_hex(8)])

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None if this token has not signed it."""
        try:
            name, started, _ = self._signed().loads(cookie)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(str(name), Signer(self._key, salt="csrf").get_signature(cookie).decode(), int(started))

    def _signed(self) -> URLSafeSerializer:
        return URLSafeSerializer(self._key, salt="session")

    @property
    def _key(self) -> str:
        return self._token.reveal()
