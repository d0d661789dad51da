"""A sealed document: a JSON object with a header in the clear and its content under XChaCha20-Poly1305.

The header is associated data: a document with a changed or foreign header cannot be decrypted.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, NoReturn

from msgspec import Struct
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.utils import random

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.json import load_json
from dbc_iac.state.encryption.keys import SIZE, Keyring, Wrapped, excess
from dbc_iac.state.sealed import MARK, is_sealed

FORMAT = 1
NONCE = 24


class Header(Struct, frozen=True):
    """Header of a sealed document. `of` is `state` or `plan`."""

    of: str
    stack: str
    lineage: str
    serial: int
    keys: tuple[Wrapped, ...] = ()
    folded: str = ""
    """Of a state: digest of the journal that was folded into it when its key last changed."""

    def text(self) -> bytes:
        """Canonical JSON. These bytes are the associated data."""
        header = {
            MARK: FORMAT, "cipher": "XChaCha20-Poly1305", "of": self.of, "stack": self.stack, "lineage": self.lineage,
            "serial": self.serial, "keys": [dict(entry) for entry in self.keys],
            **({"folded": self.folded} if self.folded else {}),
        }  # fmt: skip
        return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def seal(content: bytes, header: Header, key: bytes) -> bytes:
    """The sealed document, as JSON."""
    parts = load_json(header.text())
    return json.dumps({**parts, "sealed": encrypted(content, header.text(), key)}).encode() + b"\n"


def sealed_header(content: bytes, place: str) -> Header | None:
    """The header of a sealed document; None for an unencrypted one. Raises DiagnosticError if it is neither."""
    if not is_sealed(content):
        return None
    return _parsed(content, place)[0]


def open_sealed(content: bytes, place: str, keys: Keyring) -> tuple[Header, bytes, bytes]:
    """The header, the content, and the key that decrypts it. Raises DiagnosticError."""
    header, text = _parsed(content, place)
    if problem := excess(header.keys):
        raise _too_many(place, problem)
    try:
        key = keys.unwrap(header.keys)
    except (KeyError, ValueError, TypeError):
        refuse_altered(place)
    if key is None or len(key) != SIZE:
        raise DiagnosticError(
            *keys.missing,
            Diagnostic(
                "wrong-key",
                Severity.ERROR,
                f"no key of this project opens {place}",
                "It is encrypted for: " + ", ".join(_name(entry) for entry in header.keys) + ". Nothing was changed.",
                "Add the key it is encrypted with to `encryption`, or to `encryption.fallback` if it is an older key.",
            ),
        )
    return header, decrypted(text, header.text(), key, place), key


def encrypted(content: bytes, associated: bytes, key: bytes) -> str:
    nonce = random(NONCE)
    return b64encode(nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(content, associated, nonce, key)).decode()


def decrypted(text: str, associated: bytes, key: bytes, place: str) -> bytes:
    """The plain content. Raises DiagnosticError if the text or its associated data was altered."""
    try:
        content = b64decode(text, validate=True)
        opened: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(content[NONCE:], associated, content[:NONCE], key)
    except (CryptoError, ValueError, TypeError):
        refuse_altered(place)
    return opened


def refuse_altered(place: str) -> NoReturn:
    raise failure(
        "state-altered",
        f"{place} was altered, truncated or replaced",
        "Any change to an encrypted file makes it unreadable. Nothing was changed.",
        "Restore it from an older version or a backup, and find out who wrote it.",
        exit_code=ExitCode.ERROR,
    )


def _parsed(content: bytes, place: str) -> tuple[Header, str]:
    try:
        parts: dict[str, Any] = load_json(content)
        version = parts[MARK]
        if type(version) is int and version > FORMAT:
            _newer(place, version)
        header = Header(
            str(parts["of"]), str(parts["stack"]), str(parts["lineage"]), parts["serial"],
            tuple(map(dict, parts["keys"])), str(parts.get("folded", "")),
        )  # fmt: skip
        if load_json(header.text()) != {k: v for k, v in parts.items() if k != "sealed"}:
            refuse_altered(place)
        return header, str(parts["sealed"])
    except (ValueError, KeyError, TypeError, AttributeError):
        refuse_altered(place)


def _too_many(place: str, problem: str) -> DiagnosticError:
    return failure(
        "state-altered",
        f"{place} is encrypted for {problem}",
        "dbc-iac writes no such file: each entry costs time and memory to try. Nothing was changed.",
        "Restore it from an older version or a backup, and find out who wrote it.",
        exit_code=ExitCode.ERROR,
    )


def _newer(place: str, version: int) -> NoReturn:
    raise failure(
        "state-newer",
        f"{place} has encryption format {version} (supported: up to {FORMAT})",
        remedy="Install the version of dbc-iac that wrote it, or a newer one. Nothing was changed.",
        exit_code=ExitCode.ERROR,
    )


def _name(entry: Wrapped) -> str:
    named = entry.get("id") or entry.get("publicKey") or ""
    return f"{entry.get('kind')} {named}".strip()
