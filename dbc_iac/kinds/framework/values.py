"""Values that pass between kinds and the engine: observations, lookups, and the input of goals. Frozen; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.framework.ownership_marker import Marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.secret import SecretText
from dbc_iac.state.document import Binding


class Observation(Struct, frozen=True):
    """An object as the API shows it.

    `present` is None if it could not be read (`reason` explains that). `values` are plain values by field path.
    `secrets` are compared in memory only. `busy` is a transitional status that has to end first.
    """

    present: bool | None
    id: str = ""
    values: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, SecretText] = field(default_factory=dict)
    status: str = ""
    busy: bool = False
    reason: str = ""
    authority: bool = False
    not_rented: bool = False
    marker: str = ""
    owner: str = ""
    members: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resolved: Mapping[str, Json] = field(default_factory=dict)
    made_with: Mapping[str, Json] = field(default_factory=dict)
    """Fields inferred from names: checked on import, but never a reason to replace the object."""
    unfinished: str = ""
    """The part of its creation that is not proved or not done; empty if it is complete."""
    partial: bool = False
    """Whether only a part of it exists. The call that creates it completes it."""
    failed_creation: bool = False
    """Whether its creation failed and left an object of no use, which holds what the next one needs."""
    stuck: str = ""
    """Why the node cannot delete it, and the remedy; empty if it can."""
    blocked: Mapping[str, str] = field(default_factory=dict)
    """Fields that cannot be set at present, with the reason."""
    hidden: frozenset[str] = frozenset()
    """Paths of secrets that are not shown at present, and so are not compared."""


def unread(identity: str, reading: Unreadable) -> Observation:
    """The observation of an object that could not be read."""
    return Observation(
        None, id=identity, reason=reading.reason, authority=reading.authority, not_rented=reading.not_rented
    )


class Lookup(Struct, frozen=True):
    """Location of an object: its id if known, its route, and its binding."""

    address: str
    route: Route
    id: str
    generation: int
    binding: Binding | None = None
    key: str = ""
    parent_id: str = ""


class Unmanaged(Struct, frozen=True):
    """An object without a binding that may be a resource's. `values` are fields that distinguish it from others.

    `marker` is its ownership marker, if that is of this project and stack; `derived`: its id proves it.
    """

    values: Mapping[str, Json] = field(default_factory=dict)
    marker: Marker | None = None
    derived: bool = False


class GoalInput(Struct, frozen=True):
    """Input of goals: one change of one resource, as planned."""

    address: str
    route: Route
    id: str
    old_id: str
    generation: int
    parent_id: str
    old_parent_id: str
    desired: Mapping[str, Json]
    applied: Mapping[str, Json]
    observed: Mapping[str, Json]
    changed: tuple[str, ...]
    secrets: Mapping[str, Json] = field(default_factory=dict)
    """References of secrets by path, never values. The state keeps the reference that was set."""
    old_route: Route | None = None
    marker: str = ""
    known: frozenset[str] = frozenset()
    timeout_seconds: float | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    """Objects made from the file that it deletes or overwrites, which go before it: id by address."""
