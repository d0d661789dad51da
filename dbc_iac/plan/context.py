"""Input of planning: options, manifests, state, and read access to the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from dbc_iac.api.secret import SecretText
from dbc_iac.kinds import Inventory
from dbc_iac.kinds.framework.cached_reader import Connect
from dbc_iac.state.document import State

if TYPE_CHECKING:
    from dbc_iac.plan.chain import ChainClock


class PlanOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one plan. Addresses are `Kind/name`; shares are whole percents."""

    destroy: bool = False
    targets: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    """Addresses that are not changed, with everything that depends on them."""
    offline: bool = False
    """Plan from the state, without the API."""
    forget_expired: bool = False
    """Remove from the state what is on machines whose rental has ended."""
    replace: frozenset[str] = frozenset()
    destroy_identity: frozenset[str] = frozenset()
    unprotect: frozenset[str] = frozenset()
    """Addresses whose `preventDestroy` is ignored."""
    allow_empty: bool = False
    max_removals: int | None = None
    """Maximum share of the resources in the state to delete or replace, in percent; None: that of the project file."""


class PlanContext(Struct, frozen=True):
    """Manifests, state, and channels to the API (planning only reads).

    `secret` gives the value of a resource's secret field, or None if it is not available.
    """

    inventory: Inventory
    state: State
    """With the journal of interrupted applies."""
    connect: Connect
    secret: Callable[[str, str], SecretText | None]
    environment: str = ""
    identities: Mapping[str, str] = field(default_factory=dict)
    """Type of each identity (wallet, multisig, sessions, nodeKey), by name."""
    max_removals: int = 50
    refused: frozenset[str] = frozenset()
    """Codes of warnings that are errors in this project."""
    moves: tuple[tuple[str, str], ...] = ()
    """Renames that are applied to `state`, but not written yet: (before, now)."""
    removed: frozenset[str] = frozenset()
    """Addresses that are removed from the state, and not deleted, once they are not in the manifests."""
    wallets: Callable[[str], frozenset[str]] = lambda identity: frozenset()
    """SS58 addresses of an identity; empty if unknown."""
    access: Mapping[str, str] = field(default_factory=dict)
    """Digests of `clients` and `identities` of the project file."""
    journal_records: int = 0
    """Number of records in that journal."""
    chain: ChainClock | None = None
    """The chain that dates the ends of rentals."""
