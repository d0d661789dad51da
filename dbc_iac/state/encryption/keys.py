"""Who may read: each reader's own way to wrap the key of a document, and to unwrap it again. No document here.

A document has a random key of its own. It is wrapped once for each reader: under a key that Argon2id makes of a
passphrase, under a key of 32 bytes, or in a sealed box for a public key. Constructions and parameters are libsodium's.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nacl import pwhash
from nacl.encoding import HexEncoder, RawEncoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.utils import random

from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.values import Json

SIZE = 32
"""Bytes of every key."""
OPERATIONS, MEMORY = 3, 64 * 1024 * 1024
"""Argon2id: passes and bytes for a passphrase."""
MOST_OPERATIONS, MOST_MEMORY = 10, 1024 * 1024 * 1024
"""What a header may ask for. Who can write a file must not be able to exhaust whoever reads it."""
_HEX = re.compile(r"[0-9a-f]{64}")

Wrapped = Mapping[str, Json]
"""An entry of a header: `kind`, what tells the reader's key from others, and `key` (hex)."""


def new_secret_key() -> SecretText:
    """A new key: 64 hex digits."""
    return SecretText(random(SIZE).hex())


class Reader(ABC):
    """One who may open what is sealed."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """What an entry for this reader is known by; empty where only opening it tells."""
        return ""

    @abstractmethod
    def wrap(self, key: bytes) -> dict[str, Json]:
        """An entry from which this reader gets the key back."""

    @abstractmethod
    def unwrap(self, entry: Wrapped) -> bytes | None:
        """The key in an entry; None where the entry is not for this reader, or was altered."""


@dataclass
class Passphrase(Reader):
    """Argon2id, with a salt for each document key. What it made is remembered: it is slow by design."""

    text: SecretText
    kind: ClassVar[str] = "passphrase"
    _made: dict[tuple[bytes, int, int], bytes] = field(default_factory=dict, repr=False)

    def wrap(self, key: bytes) -> dict[str, Json]:
        salt = random(pwhash.argon2id.SALTBYTES)
        wrapped = SecretBox(self._key(salt, OPERATIONS, MEMORY)).encrypt(key).hex()
        return {"kind": self.kind, "salt": salt.hex(), "operations": OPERATIONS, "memory": MEMORY, "key": wrapped}

    def unwrap(self, entry: Wrapped) -> bytes | None:
        operations, memory = int(str(entry["operations"])), int(str(entry["memory"]))
        salt = bytes.fromhex(str(entry["salt"]))
        if not (0 < operations <= MOST_OPERATIONS and 0 < memory <= MOST_MEMORY) or len(salt) != 16:
            return None
        return _opened(SecretBox(self._key(salt, operations, memory)), entry)

    def _key(self, salt: bytes, operations: int, memory: int) -> bytes:
        parameters = (salt, operations, memory)
        if parameters not in self._made:
            text = self.text.reveal().encode()
            self._made[parameters] = pwhash.argon2id.kdf(SIZE, text, salt, opslimit=operations, memlimit=memory)
        return self._made[parameters]


@dataclass(frozen=True)
class SecretKey(Reader):
    """A key of 32 bytes, as 64 hex digits. Raises DiagnosticError for what is none."""

    text: SecretText
    kind: ClassVar[str] = "key"

    def __post_init__(self) -> None:
        _bytes(self.text, "the encryption key")

    def wrap(self, key: bytes) -> dict[str, Json]:
        return {"kind": self.kind, "id": self.name, "key": SecretBox(self._key).encrypt(key).hex()}

    def unwrap(self, entry: Wrapped) -> bytes | None:
        return _opened(SecretBox(self._key), entry) if entry["id"] == self.name else None

    @property
    def _key(self) -> bytes:
        return _bytes(self.text, "the encryption key")

    @property
    def name(self) -> str:
        return fingerprint(self._key)


@dataclass(frozen=True)
class Recipient(Reader):
    """A public key (64 hex digits): anybody can seal for it. Opens only where its private key is at hand."""

    public: str = ""
    private: SecretText | None = None
    kind: ClassVar[str] = "recipient"

    def __post_init__(self) -> None:
        if self.private is not None:
            _bytes(self.private, "the private key")

    def wrap(self, key: bytes) -> dict[str, Json]:
        box = SealedBox(PublicKey(self.name.encode(), HexEncoder))
        return {"kind": self.kind, "publicKey": self.name, "key": box.encrypt(key).hex()}

    def unwrap(self, entry: Wrapped) -> bytes | None:
        if self.private is None or entry["publicKey"] != self.name:
            return None
        return _opened(SealedBox(PrivateKey(_bytes(self.private, "the private key"))), entry)

    @property
    def name(self) -> str:
        if self.public or self.private is None:
            return self.public
        return bytes(PrivateKey(_bytes(self.private, "the private key")).public_key).hex()


@dataclass(frozen=True)
class Keyring:
    """Who may read what is written, and who else is asked to open what is there."""

    readers: Sequence[Reader]
    openers: Sequence[Reader] = ()

    def wrap(self, key: bytes) -> list[dict[str, Json]]:
        return [reader.wrap(key) for reader in self.readers]

    def unwrap(self, entries: Sequence[Wrapped]) -> bytes | None:
        """The key, where one of the entries is for one of us. Raises KeyError, ValueError for what is no entry."""
        for reader in (*self.readers, *self.openers):
            for entry in entries:
                if entry["kind"] == reader.kind and (key := reader.unwrap(entry)) is not None:
                    return key
        return None

    def written_for(self, entries: Sequence[Wrapped]) -> bool:
        """Whether just these readers can open what has these entries."""
        kinds = sorted(str(entry["kind"]) for entry in entries)
        if kinds != sorted(reader.kind for reader in self.readers):
            return False
        named = {str(entry[name]) for entry in entries for name in ("id", "publicKey") if name in entry}
        ours = {reader.name for reader in self.readers if reader.name}
        phrases = [reader for reader in self.readers if reader.kind == "passphrase"]
        return named == ours and all(
            any(e["kind"] == r.kind and r.unwrap(e) is not None for e in entries) for r in phrases
        )


def fingerprint(key: bytes) -> str:
    """What tells a key from others and says nothing about it."""
    return blake2b(b"dbc-iac key", digest_size=8, key=key, encoder=HexEncoder).decode()


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose."""
    made: bytes = blake2b(purpose, digest_size=SIZE, key=key, encoder=RawEncoder)
    return made


def _opened(box: SecretBox | SealedBox[Any], entry: Wrapped) -> bytes | None:
    try:
        return box.decrypt(bytes.fromhex(str(entry["key"])))
    except CryptoError:
        return None


def _bytes(text: SecretText, what: str) -> bytes:
    said = text.reveal().strip()
    if not _HEX.fullmatch(said):
        raise DiagnosticError(
            Diagnostic(
                "encryption-key",
                Severity.ERROR,
                f"{what} is not 64 hex digits",
                remedy="Make one with `dbc-iac state new-key FILE`.",
            )
        )
    return bytes.fromhex(said)
