"""What a repeat of a call does: the call classes, and the record of a call for whoever looks on. No I/O, no rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CallClass(StrEnum):
    """How a call may be repeated when its outcome is unknown."""

    READ = "read"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """A repeat brings about the same again."""
    KEYED = "keyed"
    """Names what it makes or removes; a repeat is refused as existing or absent."""
    STATE_CONDITIONED = "state-conditioned"
    """Refused when the object is in that state already."""
    BLIND = "blind"
    """A repeat does it twice."""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One request that was tried through one client node. Never holds a body, a credential or the text of a reply.

    `started` and `ended` are seconds of the event loop's clock; `outcome` is `done`, `refused`, `notSent` or `unknown`.
    """

    method: str
    path: str
    target: str
    client: str
    call_class: CallClass
    started: float
    ended: float
    outcome: str
