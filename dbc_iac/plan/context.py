"""Input of planning: options, manifests, state, and read access to the API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePath
from types import UnionType
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from dbc_iac.address import Address
from dbc_iac.diagnostics import failure
from dbc_iac.kinds import Inventory
from dbc_iac.kinds.framework.cached_reader import Connect
from dbc_iac.secret import SecretText
from dbc_iac.state.document import State

if TYPE_CHECKING:
    from dbc_iac.plan.chain import ChainClock


T = TypeVar("T")
_ADDRESSES = ("targets", "excludes", "replace", "destroy_identity", "unprotect")


def listed(option: str, values: Iterable[T], things: str, types: type | UnionType = str) -> tuple[T, ...]:
    """The values of an option. Raises DiagnosticError for one value instead of a list, and for values of other types.

    `things`: what the values are, in the plural.
    """
    expected = f"{option}: expected a list of {things}"
    remedy = f"Write `{option}=[...]`, also for one value."
    if isinstance(values, str | PurePath) or not isinstance(values, Iterable):
        raise failure("option-type", f"{expected}, got {type(values).__name__}", remedy=remedy)
    found = tuple(values)
    if wrong := next((value for value in found if not isinstance(value, types)), None):
        raise failure("option-type", f"{expected}, got one with {type(wrong).__name__}", remedy=remedy)
    return found


class PlanOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one plan. Addresses are `Kind/name`, in any collection; shares are whole percents."""

    destroy: bool = False
    targets: Collection[str] = frozenset()
    excludes: Collection[str] = frozenset()
    """Addresses that are not changed, with everything that depends on them."""
    offline: bool = False
    """Plan from the state, without the API."""
    forget_expired: bool = False
    """Remove from the state what is on machines whose rental has ended."""
    replace: Collection[str] = frozenset()
    destroy_identity: Collection[str] = frozenset()
    unprotect: Collection[str] = frozenset()
    """Addresses whose `preventDestroy` is ignored."""
    allow_empty: bool = False
    max_removals: int | None = None
    """Maximum share of the resources in the state to delete or replace, in percent; None: that of the project file."""

    def __post_init__(self) -> None:
        for name in _ADDRESSES:
            force_setattr(self, name, frozenset(map(str, listed(name, getattr(self, name), "addresses"))))


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

    def forgets(self, address: str) -> bool:
        """Whether `removed` names a resource, or the `forEach` of an instance."""
        return address in self.removed or (not Address(address).deposed and Address(address).group in self.removed)
