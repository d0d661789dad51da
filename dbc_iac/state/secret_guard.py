"""The last check before a file is written: it may hold no secret."""

from __future__ import annotations

from typing import Any

from dbc_iac.api.secret import SecretText


def refuse_secrets(value: Any) -> None:
    """Raise TypeError if a `SecretText` is anywhere in a value. A bug if it happens; never shows the secret."""
    if isinstance(value, SecretText):
        raise TypeError("a secret was about to be written to a file")
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_secrets(key)
            refuse_secrets(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            refuse_secrets(inner)
