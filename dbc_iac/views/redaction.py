"""Removal of secrets from values before they are shown.

Plans, events and reports hold no secrets by construction. But a node may return a password in an error, a name or a
description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import asdict

from dbc_iac.secret import SecretText

T = TypeVar("T")
SHORTEST = 6
"""Characters; shorter secrets are not searched, since they are part of too many words."""
HIDDEN = "***"
_FEW = 16
"""Beginnings up to which each secret is searched in each text: faster than each beginning."""


class Redaction(Struct, eq=False):
    """Removes secrets from values: those added so far, of the project and of replies."""

    __repr__ = object.__repr__  # it has the secrets

    _by_beginning: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, secret: SecretText) -> None:
        """Remove this secret too, from now on. Safe in any thread."""
        word = secret.reveal()
        known = self._by_beginning.get(word[:SHORTEST], ())
        if len(word) >= SHORTEST and word not in known:
            self._by_beginning[word[:SHORTEST]] = (*known, word)

    def __call__(self, shown: T) -> T:
        """The value without secrets: texts, lists, mappings and structs at any depth."""
        result: T = _without(shown, self._in) if self._by_beginning else shown
        return result

    def _in(self, text: str) -> list[str]:
        """The secrets in a text, the longest first."""
        known = self._by_beginning
        if len(known) <= _FEW:
            found = [word for words in tuple(known.values()) for word in words if word in text]
        else:
            parts = {text[i : i + SHORTEST] for i in range(len(text) - SHORTEST + 1)}
            found = [word for part in parts if part in known for word in known[part] if word in text]
        return sorted(found, key=len, reverse=True) if len(found) > 1 else found


def _without(value: Any, secrets_in: Callable[[str], list[str]]) -> Any:
    if isinstance(value, str):
        for word in secrets_in(value) if not isinstance(value, Enum) else ():
            value = value.replace(word, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {_without(k, secrets_in): _without(v, secrets_in) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_without(v, secrets_in) for v in value)
    if isinstance(value, Struct):
        return type(value)(**{name: _without(item, secrets_in) for name, item in asdict(value).items()})
    return value
