"""Ownership markers in descriptions of created objects. Read only for objects without a binding."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

_MARKER = re.compile(r"\[(dbc-iac:([A-Za-z0-9._@-]+)/([A-Za-z0-9._@-]+)/([a-z0-9.-]+)/([0-9]+)/([0-9a-f]+))\]$")


class Marker(Struct, frozen=True):
    """Project, stack, name and generation of an object, and a digest of its fields that the API never shows."""

    project: str
    stack: str
    name: str
    generation: int
    digest: str

    def is_of(self, project: str, stack: str) -> bool:
        return (self.project, self.stack) == (project, stack)

    def __str__(self) -> str:
        return f"dbc-iac:{self.project}/{self.stack}/{self.name}/{self.generation}/{self.digest}"


def read_marker(description: str) -> tuple[str, Marker | None]:
    """A description as (the user's text, the marker)."""
    match = _MARKER.search(description)
    if not match:
        return description, None
    marker = Marker(match[2], match[3], match[4], int(match[5]), match[6])
    return description[: match.start()].removesuffix(" "), marker


def parse_marker(text: str) -> Marker | None:
    """A marker from the text of an observation."""
    return read_marker(f"[{text}]")[1]


def with_generation(text: str, generation: int) -> str:
    """A marker as text, for an object of another generation; a text without a marker stays."""
    marker = parse_marker(text)
    return text if marker is None else str(replace(marker, generation=generation))
