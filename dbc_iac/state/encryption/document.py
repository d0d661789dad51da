"""A sealed document: a JSON object that says in the clear what it is, and all else under XChaCha20-Poly1305.

The header is associated data: whoever changes a word of it, or puts a document in the place of another one's, has a
document that does not open.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, NoReturn

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.utils import random

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import load_json
from dbc_iac.state.encryption.keys import SIZE, Keyring, Wrapped, excess

FORMAT = 1
MARK = "dbcIacSealed"
NONCE = 24


@dataclass(frozen=True)
class Header:
    """What a sealed document is: `of` is state or plan."""

    of: str
    stack: str
    lineage: str
    serial: int
    keys: tuple[Wrapped, ...] = ()
    folded: str = ""
    """Of a state: the digest of the whole journal that its last change of key has made good for nothing."""

    def text(self) -> bytes:
        """Canonical: these bytes are the associated data."""
        said = {
            MARK: FORMAT, "cipher": "XChaCha20-Poly1305", "of": self.of, "stack": self.stack, "lineage": self.lineage,
            "serial": self.serial, "keys": [dict(entry) for entry in self.keys],
            **({"folded": self.folded} if self.folded else {}),
        }  # fmt: skip
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def seal(content: bytes, header: Header, key: bytes) -> bytes:
    """The document, as JSON."""
    said = load_json(header.text())
    return json.dumps({**said, "sealed": encrypted(content, header.text(), key)}).encode() + b"\n"


def sealed_header(content: bytes, place: str) -> Header | None:
    """The header of a sealed document; None of one in the clear. Raises DiagnosticError where it is neither."""
    if f'"{MARK}"'.encode() not in content[:4096]:
        return None
    return _parsed(content, place)[0]


def open_sealed(content: bytes, place: str, keys: Keyring) -> tuple[Header, bytes, bytes]:
    """The header, the content, and the key that opened it. Raises DiagnosticError."""
    header, text = _parsed(content, place)
    if problem := excess(header.keys):
        raise DiagnosticError(_too_many(place, problem))
    try:
        key = keys.unwrap(header.keys)
    except (KeyError, ValueError, TypeError):
        altered(place)
    if key is None or len(key) != SIZE:
        raise DiagnosticError(
            *keys.missing,
            Diagnostic(
                "wrong-key",
                Severity.ERROR,
                f"none of the keys of this project opens {place}",
                "It is encrypted for: " + ", ".join(_name(entry) for entry in header.keys) + ". Nothing was changed.",
                "Give the key that it was written with, under `encryption.fallback` if it is an older one.",
            ),
        )
    return header, decrypted(text, header.text(), key, place), key


def refuse_sealed(said: object, place: str) -> None:
    """Raises DiagnosticError where a document, or a line of a journal, is sealed: no key was given."""
    if isinstance(said, dict) and (MARK in said or ("sealed" in said and "type" not in said)):
        encrypted_without_key(place)


def encrypted_without_key(place: str) -> NoReturn:
    raise DiagnosticError(
        Diagnostic(
            "state-encrypted",
            Severity.ERROR,
            f"{place} is encrypted, and the project file has no `encryption`",
            remedy="Put `encryption` with its key into the project file. Nothing was changed.",
        )
    )


def encrypted(content: bytes, said: bytes, key: bytes) -> str:
    nonce = random(NONCE)
    return b64encode(nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(content, said, nonce, key)).decode()


def decrypted(text: str, said: bytes, key: bytes, place: str) -> bytes:
    """Raises DiagnosticError where the text, or what was said with it, is not what was written."""
    try:
        content = b64decode(text, validate=True)
        opened: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(content[NONCE:], said, content[:NONCE], key)
    except (CryptoError, ValueError, TypeError):
        altered(place)
    return opened


def altered(place: str) -> NoReturn:
    raise DiagnosticError(
        Diagnostic(
            "state-altered",
            Severity.ERROR,
            f"{place} is not as it was written: altered, cut short, or put in the place of another",
            "What is encrypted is whole, or it does not open. Nothing was changed.",
            "Restore it from an older version or a backup, and find out who wrote it.",
            exit_code=ExitCode.ERROR,
        )
    )


def _parsed(content: bytes, place: str) -> tuple[Header, str]:
    try:
        said: dict[str, Any] = load_json(content)
        version = said[MARK]
        if type(version) is int and version > FORMAT:
            _newer(place, version)
        header = Header(
            str(said["of"]), str(said["stack"]), str(said["lineage"]), said["serial"],
            tuple(map(dict, said["keys"])), str(said.get("folded", "")),
        )  # fmt: skip
        if load_json(header.text()) != {k: v for k, v in said.items() if k != "sealed"}:
            altered(place)
        return header, str(said["sealed"])
    except (ValueError, KeyError, TypeError, AttributeError):
        altered(place)


def _too_many(place: str, problem: str) -> Diagnostic:
    return Diagnostic(
        "state-altered",
        Severity.ERROR,
        f"{place} is encrypted for {problem}",
        "dbc-iac writes no such file: each entry costs time and memory to try. Nothing was changed.",
        "Restore it from an older version or a backup, and find out who wrote it.",
        exit_code=ExitCode.ERROR,
    )


def _newer(place: str, version: int) -> NoReturn:
    raise DiagnosticError(
        Diagnostic(
            "state-newer",
            Severity.ERROR,
            f"{place} is sealed in format {version}, and this dbc-iac knows up to {FORMAT}",
            remedy="Use the newer dbc-iac that wrote it. Nothing was changed.",
            exit_code=ExitCode.ERROR,
        )
    )


def _name(entry: Wrapped) -> str:
    named = entry.get("id") or entry.get("publicKey") or ""
    return f"{entry.get('kind')} {named}".strip()
