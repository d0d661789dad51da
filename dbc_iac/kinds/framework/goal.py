"""Goals: what is to hold, how that is seen, and the one call that brings it about. Never a delta.

A kind yields goals; the engine (`dbc_iac.apply`) achieves them: it looks, acts, waits, repeats or proves, by the call
class and nothing else. `needs` says what an act requires of a VM; from it the plan builds offline windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from dbc_iac.api.channel import Channel
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import FileAt

_IRREGULAR = {"setting": "set"}
"""Past participles that are not the stem and `ed`."""


class Needs(StrEnum):
    """What an act requires of the VM it concerns."""

    ANY = "any"
    OFF = "off"
    RUNNING = "running"


class GoalStatus(StrEnum):
    """What a look at a goal tells."""

    MET = "met"
    UNMET = "unmet"
    WAITING = "waiting"
    BROKEN = "broken"
    """An error status: an act may mend it; after ours it is a failure."""
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GoalState:
    """The result of looking: `text` for people, `id` where the object's identity came to be known.

    `broken`: the creation has failed, and has left an object that is of no use: it is managed all the same.
    `lost`: the node accepted the call and its job failed: it will not be carried out any more. `detail` and `remedy`
    explain a failure. `authority`: we were turned away, and shall be at the next look. `warning`: what is wrong with an
    object though the goal holds.
    """

    sight: GoalStatus
    text: str = ""
    id: str = ""
    resolved: Mapping[str, Json] = field(default_factory=dict)
    broken: bool = False
    lost: bool = False
    detail: str = ""
    remedy: str = ""
    authority: bool = False
    warning: Diagnostic | None = None


def unseen(reading: object, otherwise: str = "") -> GoalState:
    """A look at what could not be read, and why; `otherwise` where it could, and told nothing of use."""
    if isinstance(reading, Unreadable):
        return GoalState(GoalStatus.UNKNOWN, reading.reason, authority=reading.final)
    return GoalState(GoalStatus.UNKNOWN, otherwise)


@dataclass(frozen=True, slots=True)
class ActContext:
    """What an act may use: channels to targets, and secrets by field path of its own resource."""

    connect: Callable[[Route], Awaitable[Channel]]
    secrets: Mapping[str, SecretText]


@dataclass(frozen=True, kw_only=True)
class Goal(ABC):
    """One thing that is to hold.

    `vm` is the task id of the VM concerned, where one is. `fields` is what is recorded as applied once it holds;
    `creates` and `deletes` tell that the resource's binding begins or ends with it. `patience` is in seconds.
    """

    name: ClassVar[str]
    call_class: ClassVar[CallClass]
    needs: ClassVar[Needs] = Needs.ANY
    creates: ClassVar[bool] = False
    deletes: ClassVar[bool] = False
    late: ClassVar[bool] = False
    """Pursued after the window of its VM, not before."""
    power_cycles: ClassVar[bool] = False
    """Where it does not hold already its VM is powered off and on: no other window is open on the machine then, and no
    creation of ours is queued."""
    queued_visibly: ClassVar[bool] = False
    """While its call is queued a status tells so. Accepted and not told, it was lost with the node's queue, or undone:
    a repeat does no harm."""
    acknowledged: ClassVar[bool] = False
    """The API does not show the effect: the goal holds when the node has said ok to the act."""

    ends_process: ClassVar[bool] = False
    """Its call ends the node's process, and loses what is queued there: it comes after all else on its machine."""

    address: str
    route: Route
    id: str = ""
    generation: int = 0
    vm: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    timeout_seconds: float = 3600.0
    temporary: bool = False
    """Whether the VM is powered off only to be changed: the state records that it has to be started again."""

    @property
    def powers(self) -> str:
        """`on` or `off` where the goal is a machine's power itself; else empty."""
        return ""

    @property
    def spoils(self) -> FileAt | None:
        """The file that it deletes or overwrites, and with it whatever is made from that; None where it does not."""
        return None

    @property
    @abstractmethod
    def action_text(self) -> str:
        """Action for plans and progress lines, in the present participle: `adding 40 GiB in /data`. Never a secret."""

    @property
    def done_text(self) -> str:
        """The completed action: `added 40 GiB in /data`."""
        verb, space, rest = self.action_text.partition(" ")
        return f"{_IRREGULAR.get(verb) or verb.removesuffix('ing') + 'ed'}{space}{rest}"

    @abstractmethod
    async def look(self, reader: CachedReader) -> GoalState:
        """Whether it holds now."""

    @abstractmethod
    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        """Make the one call."""

    async def before(self, reader: CachedReader) -> dict[str, Json]:
        """What the journal keeps before a blind call, so that its effect can be told later (a pre-image)."""
        return {}

    def informed(self, known: Callable[[str], Mapping[str, Json]]) -> Goal:
        """The goal with what other addresses came to be in this apply (`id`, and what was resolved), by address."""
        return self

    def excluding(self, taken: frozenset[str]) -> Goal:
        """The goal that takes nothing for its own that is bound already (`taken`: ids)."""
        return self

    def begins(self) -> Goal:
        """The goal once its call has been accepted: what is seen from then on is the outcome."""
        return self

    def primed(self, detail: Mapping[str, Json]) -> Goal:
        """The goal with a pre-image from the journal."""
        return self
