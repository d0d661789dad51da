"""Durations as text, such as `90s` or `3d`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from dbc_iac.manifest.validators import wrong

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: Any) -> int:
    if not isinstance(value, str) or not (match := _DURATION.fullmatch(value)):
        remedy = "Write a whole number followed by s, m, h or d, such as 30s."
        raise wrong("expected a duration, such as 90s, 15m, 2h or 3d", remedy)
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds < 1:
        raise wrong("must be at least 1s", "Write a duration such as 15m, or remove the field.")
    return seconds


Seconds = Annotated[
    int,
    BeforeValidator(_seconds),
    PlainSerializer(lambda s: f"{s}s", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}(s|m|h|d)$", "examples": ["90s", "15m"]}),
]
