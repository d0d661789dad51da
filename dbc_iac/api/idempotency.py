"""Call classes (the effect of repeating a call), and the record of one request for observers. No I/O, no rules."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CallClass(StrEnum):
    """Effect of repeating a call whose outcome is unknown."""

    READ = "read"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """A repeat leads to the same result."""
    KEYED = "keyed"
    """Names the object that it creates or deletes; a repeat is refused as existing or absent."""
    STATE_CONDITIONED = "state-conditioned"
    """Refused when the object is in that state already."""
    BLIND = "blind"
    """A repeat has the effect a second time."""


class CallEvent(Struct, frozen=True):
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
