"""Excuses: exchanges that may differ because of the recorded machine, each with a reason.

Sources: `excuses.yaml`, and marks in the recordings.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from dbc_iac.emulator.http.answer import Response
from tests.conformance.compare import read_body, value_at
from tests.conformance.recording import Exchange

FILE = Path(__file__).with_name("excuses.yaml")

Compared = Literal["no", "status and errcode only", "errcode and message only"]


class Excuse(BaseModel):
    """`compare`: parts that must still be equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recording: str
    exchange: int
    compare: Compared
    reason: str = Field(min_length=20)


@cache
def listed() -> tuple[Excuse, ...]:
    """Excuses of the file."""
    return tuple(
        Excuse.model_validate(one) for one in yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    )


def excuse_for(recording: str, line: Exchange) -> Excuse | None:
    """Excuse of an exchange, from the file or from its recording."""
    for one in listed():
        if (one.recording, one.exchange) == (recording, line.number):
            return one
    mark = line.values.get("compare")
    if mark not in {"no", "status and errcode only", "errcode and message only"}:
        return None
    why = f"marked in the recording: {line.values.get('why') or line.name}"
    return Excuse(recording=recording, exchange=line.number, compare=mark, reason=why)


def holds(excuse: Excuse, line: Exchange, answer: Response | None) -> bool:
    """Whether the parts outside of the excuse are equal."""
    if excuse.compare == "no":
        return True
    if answer is None or line.response["status"] is None:
        return False
    recorded, replayed = read_body(line.response["body"]), read_body(answer.body)
    if value_at(recorded, "errcode") != value_at(replayed, "errcode"):
        return False
    if excuse.compare == "errcode and message only":
        return bool(value_at(recorded, "message") == value_at(replayed, "message"))
    return bool(line.response["status"] == answer.status)
