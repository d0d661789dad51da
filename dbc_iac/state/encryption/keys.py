"""Readers of encrypted documents: wrapping and unwrapping of a document's key for each of them.

A document has a random key of its own. It is wrapped once for each reader: under a key that Argon2id derives from a
passphrase, under a key of 32 bytes, or in a box from a writer's private key to a reader's public one. A public key is
known to many, so a box is accepted only from a known writer. Constructions are libsodium's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from msgspec import Struct, field
from nacl import pwhash
from nacl.encoding import HexEncoder, RawEncoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b
from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import SecretBox
from nacl.utils import random

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.json import Json
from dbc_iac.secret import SecretText

SIZE = 32
"""Bytes of every key."""
OPERATIONS, MEMORY = 3, 64 * 1024 * 1024
"""Argon2id: passes and bytes for a passphrase."""
MAX_OPERATIONS, MAX_MEMORY = 10, 1024 * 1024 * 1024
"""Limits of one entry: a file must not be able to exhaust its reader."""
MAX_ENTRIES, MAX_PASSPHRASES = 64, 4
"""Limits of one header: each entry for a passphrase costs Argon2id once for every passphrase that is tried."""
_HEX = re.compile(r"[0-9a-f]{64}")
_ANY_KEY = b"\1" * SIZE
"""A private key to try public keys with: libsodium refuses a weak public key with every private key."""

Wrapped = Mapping[str, Json]
"""An entry of a header: `kind`, identification of the reader's key, and `key` (hex)."""


def new_secret_key() -> SecretText:
    """A new key: 64 hex digits."""
    return SecretText(random(SIZE).hex())


class KeyReader(Protocol):
    """A reader of sealed documents."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Identification of this reader's entries; empty if only opening shows whose they are."""

    def wrap(self, key: bytes) -> dict[str, Json]:
        """An entry from which this reader can unwrap the key."""

    def unwrap(self, entry: Wrapped) -> bytes | None:
        """The key in an entry; None if the entry is for another reader or was altered."""


class Passphrase(Struct):
    """Argon2id, with a salt for each document key. Derived keys are remembered, since deriving is slow by design."""

    __repr__ = object.__repr__  # derived keys

    text: SecretText
    kind: ClassVar[str] = "passphrase"
    name: ClassVar[str] = ""
    _made: dict[tuple[bytes, int, int], bytes] = field(default_factory=dict)

    def wrap(self, key: bytes) -> dict[str, Json]:
        salt = random(pwhash.argon2id.SALTBYTES)
        wrapped = SecretBox(self._key(salt, OPERATIONS, MEMORY)).encrypt(key).hex()
        return {"kind": self.kind, "salt": salt.hex(), "operations": OPERATIONS, "memory": MEMORY, "key": wrapped}

    def unwrap(self, entry: Wrapped) -> bytes | None:
        operations, memory = int(str(entry["operations"])), int(str(entry["memory"]))
        salt = bytes.fromhex(str(entry["salt"]))
        if not (0 < operations <= MAX_OPERATIONS and 0 < memory <= MAX_MEMORY) or len(salt) != 16:
            return None
        return _opened(SecretBox(self._key(salt, operations, memory)), entry)

    def _key(self, salt: bytes, operations: int, memory: int) -> bytes:
        parameters = (salt, operations, memory)
        if parameters not in self._made:
            text = self.text.reveal().encode()
            try:
                self._made[parameters] = pwhash.argon2id.kdf(SIZE, text, salt, opslimit=operations, memlimit=memory)
            except RuntimeError:
                raise DiagnosticError(_no_memory(memory)) from None
        return self._made[parameters]


class SecretKey(Struct, frozen=True):
    """A key of 32 bytes, as 64 hex digits. Raises DiagnosticError for any other text."""

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


class Recipient(Struct, frozen=True):
    """A public key (64 hex digits). Documents for it are written with the private key `writer`."""

    public: str
    writer: SecretText | None = None
    kind: ClassVar[str] = "recipient"

    def __post_init__(self) -> None:
        """Raises DiagnosticError for a public key with which everybody shares the same secret, such as zeros."""
        try:
            Box(PrivateKey(_ANY_KEY), PublicKey(self.public.encode(), HexEncoder))
        except CryptoError:
            raise DiagnosticError(_weak(self.public)) from None

    def wrap(self, key: bytes) -> dict[str, Json]:
        """Raises DiagnosticError without a private key: readers could not verify the writer."""
        if self.writer is None:
            raise _no_writer()
        box = _box(self.writer, self.public)
        return {
            "kind": self.kind, "publicKey": self.public, "from": public_of(self.writer), "key": box.encrypt(key).hex(),
        }  # fmt: skip

    def unwrap(self, entry: Wrapped) -> bytes | None:
        return None

    @property
    def name(self) -> str:
        return self.public


class Private(Struct, frozen=True):
    """A private key (64 hex digits). Opens entries for it from one of the `writers` (public keys) or from itself."""

    text: SecretText
    writers: frozenset[str] = frozenset()
    kind: ClassVar[str] = "recipient"

    def __post_init__(self) -> None:
        _bytes(self.text, "the private key")

    def wrap(self, key: bytes) -> dict[str, Json]:
        return Recipient(self.name, self.text).wrap(key)

    def unwrap(self, entry: Wrapped) -> bytes | None:
        sender = str(entry["from"])
        if entry["publicKey"] != self.name or sender not in self.writers | {self.name}:
            return None
        return _opened(_box(self.text, sender), entry)

    @property
    def name(self) -> str:
        return public_of(self.text)


class Keyring(Struct, frozen=True):
    """`readers` of written documents, and further `openers` of stored ones.

    `missing` are problems of unavailable keys: documents can be read with the other keys, but not written.
    """

    readers: Sequence[KeyReader]
    openers: Sequence[KeyReader] = ()
    missing: Sequence[Diagnostic] = ()

    def require_writable(self) -> None:
        """Raises DiagnosticError if a reader could not open a written document, or not verify its writer."""
        if self.missing:
            raise DiagnosticError(*self.missing)
        named = {reader.name for reader in self.readers}
        writers = {r.writer and public_of(r.writer) for r in self.readers if isinstance(r, Recipient)}
        if not writers <= named:
            raise _no_writer()

    def wrap(self, key: bytes) -> list[dict[str, Json]]:
        """Raises DiagnosticError as `require_writable` does."""
        self.require_writable()
        return [reader.wrap(key) for reader in self.readers]

    def unwrap(self, entries: Sequence[Wrapped]) -> bytes | None:
        """The key, if an entry is for one of these readers. Raises KeyError, ValueError for malformed entries."""
        for reader in (*self.readers, *self.openers):
            for entry in entries:
                if entry["kind"] == reader.kind and (key := reader.unwrap(entry)) is not None:
                    return key
        return None

    def written_for(self, entries: Sequence[Wrapped]) -> bool:
        """Whether exactly these readers can open a document with these entries."""
        senders = {str(entry["from"]) for entry in entries if "from" in entry}
        if self.missing or not senders <= self._known:
            return False
        kinds = sorted(str(entry["kind"]) for entry in entries)
        if kinds != sorted(reader.kind for reader in self.readers):
            return False
        named = {str(entry[name]) for entry in entries for name in ("id", "publicKey") if name in entry}
        ours = {reader.name for reader in self.readers if reader.name}
        phrases = [reader for reader in self.readers if reader.kind == "passphrase"]
        return named == ours and all(
            any(e["kind"] == r.kind and r.unwrap(e) is not None for e in entries) for r in phrases
        )

    @property
    def _known(self) -> set[str]:
        """Public keys of the readers with a private key."""
        return {reader.name for reader in (*self.readers, *self.openers) if reader.kind == Recipient.kind}


def public_of(private: SecretText) -> str:
    """The public key of a private one (64 hex digits). Raises DiagnosticError for any other text."""
    return bytes(PrivateKey(_bytes(private, "the private key")).public_key).hex()


def _box(private: SecretText, public: str) -> Box:
    return Box(PrivateKey(_bytes(private, "the private key")), PublicKey(public.encode(), HexEncoder))


def _no_writer() -> DiagnosticError:
    return failure(
        "no-private-key",
        "`encryption.recipients` needs a private key for writing",
        "Anyone who knows a public key could write for it, so readers accept documents of a recipient only.",
        "Set `encryption.privateKey` to the private key of one of the recipients.",
    )


def _no_memory(memory: int) -> Diagnostic:
    return Diagnostic(
        "no-memory",
        Severity.ERROR,
        f"not enough memory for the passphrase: {max(1, memory >> 20)} MiB needed",
        remedy="Free memory, or use `encryption.key`.",
        exit_code=ExitCode.ERROR,
    )


def _weak(public: str) -> Diagnostic:
    return Diagnostic(
        "encryption-key",
        Severity.ERROR,
        f"the recipient {public[:16]}... is not a usable public key",
        "Anybody could read a document that is encrypted for this key.",
        "Copy the public key that `dbc-iac state new-key` shows.",
    )


def excess(entries: Sequence[Wrapped]) -> str:
    """Reason to refuse a header with too many entries; empty if it is accepted."""
    phrases = sum(entry.get("kind") == Passphrase.kind for entry in entries)
    if phrases > MAX_PASSPHRASES:
        return f"{phrases} passphrases (at most {MAX_PASSPHRASES})"
    return f"{len(entries)} keys (at most {MAX_ENTRIES})" if len(entries) > MAX_ENTRIES else ""


def fingerprint(key: bytes) -> str:
    """Identification of a key that does not reveal it."""
    return blake2b(b"dbc-iac key", digest_size=8, key=key, encoder=HexEncoder).decode()


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose."""
    key_of_purpose: bytes = blake2b(purpose, digest_size=SIZE, key=key, encoder=RawEncoder)
    return key_of_purpose


def _opened(box: SecretBox | Box, entry: Wrapped) -> bytes | None:
    try:
        return box.decrypt(bytes.fromhex(str(entry["key"])))
    except CryptoError:
        return None


def _bytes(text: SecretText, what: str) -> bytes:
    digits = text.reveal().strip()
    if not _HEX.fullmatch(digits):
        raise failure(
            "encryption-key",
            f"{what} is not 64 hex digits",
            remedy="Create one with `dbc-iac state new-key FILE`.",
        )
    return bytes.fromhex(digits)
