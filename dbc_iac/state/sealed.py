"""Recognition of encrypted documents and journal lines where the project has no key. See `encryption`."""

from __future__ import annotations

from typing import NoReturn

from dbc_iac.diagnostics import failure

MARK = "dbcIacSealed"
"""Key of the format version in the header of a sealed document."""


def is_sealed(content: bytes) -> bool:
    """Whether a file is a sealed document."""
    return f'"{MARK}"'.encode() in content[:4096]


def refuse_sealed(value: object, place: str) -> None:
    """Raises DiagnosticError for a sealed document or journal line, when there is no key."""
    if isinstance(value, dict) and (MARK in value or ("sealed" in value and "type" not in value)):
        encrypted_without_key(place)


def encrypted_without_key(place: str) -> NoReturn:
    raise failure(
        "state-encrypted",
        f"{place} is encrypted, but no key is configured",
        remedy="Add `encryption` with its key to the project file. Nothing was changed.",
    )
