"""Sessions of people in the page: signed cookies, which any worker of a fleet can check."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer

from dbc_iac.api.secret import SecretText
from dbc_iac.controller.web.access import same

COOKIE = "dbc_iac_session"
SECONDS = 12 * 3600
"""Length of a session."""


@dataclass(frozen=True, slots=True)
class Session:
    """A person who has signed in. `csrf`: the value that each form of this session sends back."""

    name: str
    csrf: str

    def matches(self, given: str) -> bool:
        """Whether a form has the value of this session."""
        return same(given, self.csrf)


class Sessions:
    """Sessions signed with the token: another token ends all of them."""

    def __init__(self, token: SecretText) -> None:
        self._token = token

    def has_token(self, given: str) -> bool:
        return same(given, self._token.reveal())

    def start(self, name: str) -> str:
        """The cookie of a new session."""
        return self._signed().dumps([name, secrets.token_hex(8)])

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is not valid any more."""
        try:
            name, _ = self._signed().loads(cookie, max_age=SECONDS)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(str(name), Signer(self._key, salt="csrf").get_signature(cookie).decode())

    def _signed(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._key, salt="session")

    @property
    def _key(self) -> str:
        return self._token.reveal()
