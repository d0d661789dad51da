"""Goals: a target state, its observation, and the one call that leads to it. Never a delta.

A kind yields goals; the engine (`dbc_iac.apply`) achieves them: it looks, acts, waits, repeats or proves, depending on
the call class only. `needs` is the power state of a VM that an act requires; the plan builds power-off windows from it.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal

from msgspec import Struct, StructMeta, field

from dbc_iac.api.channel import Channel
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.secret import SecretText
from dbc_iac.state.document import Binding

_IRREGULAR = {"setting": "set"}
"""Past participles that are not the stem and `ed`."""


class Needs(StrEnum):
    """Power state of its VM that an act requires."""

    ANY = "any"
    OFF = "off"
    RUNNING = "running"


class GoalStatus(StrEnum):
    """Result of a look at a goal."""

    MET = "met"
    UNMET = "unmet"
    WAITING = "waiting"
    BROKEN = "broken"
    """An error status: a failure after the goal's own act, before it a reason to act."""
    FAILED = "failed"
    UNKNOWN = "unknown"


class GoalState(Struct, frozen=True):
    """Observed state of a goal: `text` for people, `id` if the look showed the object's identity.

    `broken`: the creation failed and left an object of no use, which is still managed. `lost`: the node accepted
    the call and its job failed, so that it will not be carried out. `detail` and `remedy` explain a failure.
    `authority`: access was denied, and will be at the next look. `close`: the next look must follow within seconds.
    `warning`: a fault of an object whose goal is met.
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
    close: bool = False
    warning: Diagnostic | None = None


def unseen(reading: object, otherwise: str = "") -> GoalState:
    """The state of a goal that could not be read, with the reason; `otherwise` for a useless answer."""
    if isinstance(reading, Unreadable):
        return GoalState(GoalStatus.UNKNOWN, reading.reason, authority=reading.final)
    return GoalState(GoalStatus.UNKNOWN, otherwise)


class ActContext(Struct, frozen=True):
    """Context of an act: channels to targets, and secrets by field path of its own resource."""

    connect: Callable[[Route], Awaitable[Channel]]
    secrets: Mapping[str, SecretText]


class _AbstractStruct(StructMeta, ABCMeta):
    """Metaclass of structs with abstract methods."""


class Goal(Struct, metaclass=_AbstractStruct, frozen=True, kw_only=True):
    """One target state of a resource.

    `vm` is the task id of its VM, if there is one. `fields` are recorded as applied once it is met. `creates` and
    `deletes`: the resource's binding begins or ends with it.
    """

    name: ClassVar[str]
    call_class: ClassVar[CallClass]
    needs: ClassVar[Needs] = Needs.ANY
    creates: ClassVar[bool] = False
    deletes: ClassVar[bool] = False
    late: ClassVar[bool] = False
    """Whether it is pursued after the window of its VM."""
    power_cycles: ClassVar[bool] = False
    """Whether its act powers the VM off and on: meanwhile no other window of this apply is open on the machine, and no
    creation is queued."""
    queued_visibly: ClassVar[bool] = False
    """Whether a status shows its queued call. An accepted call without that status was lost with the node's queue, or
    undone: a repeat does no harm."""
    acknowledged: ClassVar[bool] = False
    """Whether the API does not show the effect: the goal is met when the node has accepted the act."""

    ends_process: ClassVar[bool] = False
    """Whether its call ends the node's process and loses its queue: it comes last on its machine."""

    address: str
    route: Route
    id: str = ""
    generation: int = 0
    vm: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    timeout_seconds: float = 3600.0
    temporary: bool = False
    """Whether the VM is powered off only to be changed: the state records that it has to be started again."""
    powers: Literal["", "on", "off"] = ""
    """The power state that it is; empty for other goals."""

    @property
    def spoils(self) -> FileAt | None:
        """The file that it deletes or overwrites, which breaks everything made from it; None if there is none."""
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
        """Observe whether it is met now."""

    @abstractmethod
    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        """Make the one call."""

    def informed(self, bindings: Mapping[str, Binding]) -> Goal:
        """The goal with what is known of other objects in this apply: their ids and resolved values."""
        return self

    async def primed(self, reader: CachedReader) -> tuple[Goal, dict[str, Json]]:
        """The goal right before its call, and the pre-image for the journal, from which the effect of a blind call is
        recognised later."""
        return self, {}

    def begins(self) -> Goal:
        """The goal once its call has been accepted: later looks show the outcome."""
        return self


class AcknowledgedGoal(Goal, frozen=True, kw_only=True):
    """A goal whose effect the API never shows: the node's ok is all there is."""

    acknowledged = True

    async def look(self, reader: CachedReader) -> GoalState:
        return GoalState(GoalStatus.UNMET)
