"""Removal of secrets from values before they are shown.

Plans, events and reports hold no secrets by construction. But a node may return a password in an error, a name or a
description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from dbc_iac.api.secret import SecretText

T = TypeVar("T")
SHORTEST = 6
"""Characters; shorter secrets are not searched, since they are part of too many words."""
HIDDEN = "***"


class Redaction(Struct, frozen=True):
    """Removes secrets from values. `secrets`: those read so far."""

    __repr__ = object.__repr__  # its function has the secrets

    secrets: Callable[[], Iterable[SecretText]] = tuple

    def also(self, *secrets: SecretText) -> Redaction:
        """A redaction of these secrets too."""
        return Redaction(lambda: (*self.secrets(), *secrets))

    def __call__(self, shown: T) -> T:
        """The value without secrets: texts, lists, mappings and structs at any depth."""
        words = [s.reveal() for s in self.secrets()]
        hidden = sorted((w for w in words if len(w) >= SHORTEST), key=len, reverse=True)
        result: T = _without(shown, hidden) if hidden else shown
        return result


def _without(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, str):
        for word in hidden if not isinstance(value, Enum) else ():
            value = value.replace(word, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {_without(k, hidden): _without(v, hidden) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_without(v, hidden) for v in value)
    if isinstance(value, Struct):
        return type(value)(**{name: _without(item, hidden) for name, item in asdict(value).items()})
    return value
