"""Text that must never be shown. Imports nothing of the project.

A `SecretText` can be compared and passed on, but no accident shows it: not `repr`, `str`, formatting, pickling or JSON.
Only `reveal()` gives the text, at the one place where it is put on the wire, in a file or on the user's own screen.
"""

from __future__ import annotations

import hmac
from typing import Any, NoReturn, final


@final
class SecretText:
    """A secret. Equality is compared in constant time; the hash is good for sets within one process."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a secret is text, not {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        """The text itself. Every call site is a place to review."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash(("SecretText", self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "SecretText(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __copy__(self) -> SecretText:
        return self

    def __deepcopy__(self, memo: object) -> SecretText:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def refuse_secrets(value: Any) -> None:
    """The last check of a value before it is written to a file. Raises TypeError, without the secret: it is a bug."""
    if isinstance(value, SecretText):
        raise TypeError("a secret was about to be written to a file")
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_secrets(key)
            refuse_secrets(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            refuse_secrets(inner)
