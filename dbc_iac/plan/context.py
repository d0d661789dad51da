"""What one run of planning works on, and what it may choose. Built by the command line; values but for the readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dbc_iac.api.secret import SecretText
from dbc_iac.json import Json
from dbc_iac.kinds import Inventory
from dbc_iac.kinds.framework.cached_reader import Connect
from dbc_iac.plan.decoding import decoded
from dbc_iac.state.document import State


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user chose for this run. Addresses are `Kind/name`; shares are whole percents."""

    destroy: bool = False
    targets: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    """Addresses that are left as they are, with all that needs them."""
    offline: bool = False
    """Plan from what state keeps, without asking the API."""
    forget_expired: bool = False
    """Forget what is on machines that are not rented any more."""
    replace: frozenset[str] = frozenset()
    destroy_identity: frozenset[str] = frozenset()
    unprotect: frozenset[str] = frozenset()
    """Addresses whose `preventDestroy` does not hold for this run."""
    allow_empty: bool = False
    max_removals: int | None = None
    """How many percent of the resources in state may be deleted or replaced at once; None: what the project says."""

    def to_json(self) -> dict[str, Json]:
        """As a plan keeps them, by field name; sets are sorted."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PlanOptions:
        """The inverse of `to_json`. Raises WrongTypeError."""
        return decoded(cls, dict(value))


@dataclass(frozen=True, slots=True)
class PlanContext:
    """The manifests, the state, and the way to the API (reads only while planning).

    `secret` gives the value of a resource's secret field, or None where it is not at hand.
    """

    inventory: Inventory
    state: State
    connect: Connect
    secret: Callable[[str, str], SecretText | None]
    environment: str = ""
    identities: Mapping[str, str] = field(default_factory=dict)
    """What each identity is made of (wallet, multisig, sessions, nodeKey), by name."""
    max_removals: int = 50
    refused: frozenset[str] = frozenset()
    """Codes of warnings that stop the run."""
    moves: tuple[tuple[str, str], ...] = ()
    """Addresses that `state` has under a new name already, and the document on disk not yet: (before, now)."""
    removed: frozenset[str] = frozenset()
    """Addresses whose objects are forgotten when their documents are gone."""
    wallets: Callable[[str], frozenset[str]] = lambda identity: frozenset()
    """The SS58 addresses that an identity may own things under; empty where unknown."""
    ways: Mapping[str, str] = field(default_factory=dict)
    """As a plan has them: digests of what the project file says about client nodes and identities."""
