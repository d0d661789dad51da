"""The one shared type of plain values: what JSON can hold. Imports nothing of the project."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
