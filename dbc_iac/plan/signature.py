"""Signed plan files: Ed25519 over the bytes of a plan, checked before anything of it is read. Pure.

The first line of a signed file is a JSON object with the public key and the signature (hex); the plan is all that
follows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from nacl.encoding import HexEncoder
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import load_json
from dbc_iac.secret import SecretText

_MARK, _VERSION = "dbcIacSignedPlan", 1
_HEX = re.compile(r"[0-9a-f]{64}")
_CONTEXT = b"dbc-iac plan\x00"
"""Signed with it, so that a signature for something else is none for a plan."""


def new_key() -> SecretText:
    """A new private key: 64 hex digits."""
    return SecretText(SigningKey.generate().encode(HexEncoder).decode())


def public_key(key: SecretText) -> str:
    """The public key of a private key, as in `trustedPlanKeys`. Raises DiagnosticError for an invalid key."""
    return _signing_key(key).verify_key.encode(HexEncoder).decode()


def sign(plan: bytes, key: SecretText) -> bytes:
    """The signed file. Raises DiagnosticError for an invalid key."""
    signature = _signing_key(key).sign(_CONTEXT + plan).signature.hex()
    head = {_MARK: _VERSION, "key": public_key(key), "signature": signature}
    return json.dumps(head).encode() + b"\n" + plan


def verified(file: bytes, trusted: Sequence[str]) -> bytes:
    """The plan in a file. Raises DiagnosticError if its signature is wrong, or not by a trusted key.

    Without trusted keys an unsigned file is accepted; an existing signature is verified in any case.
    """
    head, _, plan = file.partition(b"\n")
    if f'"{_MARK}"'.encode() not in head:
        if trusted:
            raise _refused("plan-unsigned", "the plan is not signed, and the project trusts signed plans only")
        return file
    try:
        header = load_json(head)
        if type(header[_MARK]) is not int or header[_MARK] != _VERSION:
            raise _unknown_version()
        key, signature = str(header["key"]), bytes.fromhex(header["signature"])
        VerifyKey(key.encode(), HexEncoder).verify(_CONTEXT + plan, signature)
    except (BadSignatureError, ValueError, KeyError, TypeError):
        raise _refused("plan-altered", "the signature does not match the plan: one of them was altered") from None
    if trusted and key not in trusted:
        raise _refused(
            "plan-untrusted", "the plan is signed with an untrusted key", f"trustedPlanKeys does not list {key}. "
        )
    return plan


def _signing_key(key: SecretText) -> SigningKey:
    text = key.reveal().strip()
    if not _HEX.fullmatch(text):
        raise failure(
            "signing-key",
            "the signing key is not 64 hex digits",
            remedy="Create one with `dbc-iac signing-key new FILE`.",
        )
    return SigningKey(text.encode(), HexEncoder)


def _unknown_version() -> DiagnosticError:
    return failure(
        "plan-format",
        "the plan has an unsupported signature format",
        f"This dbc-iac knows version {_VERSION} of signatures. The plan was not read.",
        "Use the dbc-iac that signed it, or plan again with this version.",
        exit_code=ExitCode.REFUSED,
    )


def _refused(code: str, summary: str, reason: str = "") -> DiagnosticError:
    return failure(
        code,
        summary,
        f"{reason}The plan was not read.",
        "Plan again with `-o FILE` and a signing key that the project file trusts (trustedPlanKeys).",
        exit_code=ExitCode.REFUSED,
    )
