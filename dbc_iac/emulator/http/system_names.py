"""Names of operating systems, as the asked node rewrites them in a create for the version of the GPU node.

It replaces the quoted words wherever they stand, names of keys and descriptions too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LAST_OLD = "0.3.9.7"
_NEW = {"ubuntu": "linux", "win": "windows"}
_OLD = {new: old for old, new in _NEW.items()}


def for_version(additional: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Versions are compared as texts, as the original does."""
    names = _NEW if version > _LAST_OLD else _OLD
    return {names.get(key, key): _renamed(value, names) for key, value in additional.items()}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {names.get(key, key): _renamed(inner, names) for key, inner in value.items()}
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
