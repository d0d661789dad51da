"""Rentals as seen by the GPU node: its cache of orders and the chain.

The cache maps renters to GPUs; it is updated by every authorisation and by the pruning loop, and keeps orders that the
chain no longer has. Implementations are in `emulator/authority.py` and `emulator/chain.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

RENTING = frozenset({"renting", "waitingVerifying"})


class Order(Protocol):
    """An order as cached. `key`: its id, or the renter's address for the machine-level order; `end`: a block."""

    @property
    def key(self) -> str: ...
    @property
    def renter(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def end(self) -> int: ...
    @property
    def gpu_num(self) -> int: ...
    @property
    def gpu_index(self) -> Sequence[int]: ...


class Rentals(Protocol):
    """Order cache of a node, and its chain queries about its machine."""

    def cached(self) -> Mapping[str, Order]:
        """Order by key."""
        ...

    def in_order(self) -> Sequence[Order]:
        """Orders in the node's list order."""
        ...

    def refresh(self, rent_order: str) -> None:
        """Query the chain for one order (empty: the machine-level one) and cache it."""
        ...

    def machine_status(self) -> str:
        """Status of the machine on the chain; empty if unreachable or unknown."""
        ...

    def listed_orders(self) -> Sequence[str] | None:
        """Ids of the machine's orders; None if that query fails."""
        ...

    def current_renter(self) -> tuple[str, int]:
        """Renter and end of the machine-level order; `("", 0)` when there is none."""
        ...

    def block(self) -> int: ...


def order_of(rentals: Rentals, rent_order: str, wallet: str) -> Order | None:
    """Cached order of a wallet; without an order id its machine-level one."""
    order = rentals.cached().get(rent_order or wallet)
    return order if order is not None and order.renter == wallet else None


def is_renting(rentals: Rentals, rent_order: str, wallet: str) -> bool:
    order = order_of(rentals, rent_order, wallet)
    return order is not None and order.status in RENTING


def rented_indexes(rentals: Rentals, rent_order: str, wallet: str) -> list[int]:
    """GPU indexes of a wallet's order."""
    order = order_of(rentals, rent_order, wallet)
    return list(order.gpu_index) if order is not None else []


def rent_end(rentals: Rentals, rent_order: str, wallet: str) -> int:
    order = order_of(rentals, rent_order, wallet)
    return order.end if order is not None else 0
