"""Names of operating systems, rewritten by the called node in a create for the GPU node's version.

The quoted words are replaced everywhere, including in keys and descriptions, at any depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LAST_OLD = "0.3.9.7"
_NEW = {"ubuntu": "linux", "win": "windows"}
_OLD = {new: old for old, new in _NEW.items()}


def for_version(additional: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Versions are compared as texts, as in the original."""
    names = _NEW if version > _LAST_OLD else _OLD
    renamed = _keys_renamed(additional, names)
    open_: list[Any] = [renamed]
    while open_:
        owner = open_.pop()
        for place, value in list(owner.items() if isinstance(owner, dict) else enumerate(owner)):
            if isinstance(value, dict | list):
                owner[place] = _keys_renamed(value, names) if isinstance(value, dict) else list(value)
                open_.append(owner[place])
            elif isinstance(value, str):
                owner[place] = names.get(value, value)
    return renamed


def _keys_renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
