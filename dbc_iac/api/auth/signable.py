"""The two texts that keys sign: nonces of dbc-iac, and checked session ids. Pure.

A wallet's key also signs transactions of the chain, in the same scheme over raw bytes. So a key signs no text that
another party chose freely. Both texts are Base58Check of a UUID: always 55 letters and digits. No transaction has this
form: its signed payload contains two 32-byte block hashes, or is the 32-byte hash of a longer payload.
"""

from __future__ import annotations

import re
from typing import final
from uuid import UUID

from msgspec import Struct

from dbc_iac.api.auth.base58 import b58check_decode, b58check_encode
from dbc_iac.api.secret import SecretText

_LENGTH = 55
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@final
class Nonce(Struct, frozen=True):
    """A nonce in the form of DBC's own tool. Made of a UUID, never of a given text."""

    uuid: UUID

    @property
    def text(self) -> str:
        return b58check_encode(str(self.uuid).encode())


@final
class SessionId(Struct, frozen=True):
    """A session id as nodes make them. Raises ValueError for any other text."""

    secret: SecretText

    def __post_init__(self) -> None:
        text = self.secret.reveal()
        # The length comes first: decoding takes time with the square of it.
        if len(text) != _LENGTH or not _UUID.fullmatch(b58check_decode(text)):
            raise ValueError("not a session id")

    @property
    def text(self) -> str:
        return self.secret.reveal()


Signable = Nonce | SessionId
