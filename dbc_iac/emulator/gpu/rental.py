"""What the GPU node knows of rentals: its cache of orders, and the chain it fills the cache from.

The cache answers who rents which cards; it is filled by every authority check and by the pruning loop, and keeps an
order that the chain no longer has. The objects belong to `emulator/authority.py` and `emulator/chain.py`.
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
    """The node's own cache, and its questions to the chain about this machine."""

    def cached(self) -> Mapping[str, Order]:
        """By key."""
        ...

    def in_order(self) -> Sequence[Order]:
        """In the order the node lists them."""
        ...

    def refresh(self, rent_order: str) -> None:
        """Asks the chain for one order (empty: the machine-level one) and caches it."""
        ...

    def machine_status(self) -> str:
        """The chain's word for the machine; empty when it cannot be asked or does not know it."""
        ...

    def listed_orders(self) -> Sequence[str] | None:
        """Ids of the machine's orders; None when the chain gives no answer to that question."""
        ...

    def current_renter(self) -> tuple[str, int]:
        """Renter and end of the machine-level order; `("", 0)` when there is none."""
        ...

    def block(self) -> int: ...


def order_of(rentals: Rentals, rent_order: str, wallet: str) -> Order | None:
    """The cached order of a wallet; without an order id the wallet's machine-level one."""
    order = rentals.cached().get(rent_order or wallet)
    return order if order is not None and order.renter == wallet else None


def is_renting(rentals: Rentals, rent_order: str, wallet: str) -> bool:
    order = order_of(rentals, rent_order, wallet)
    return order is not None and order.status in RENTING


def rented_indexes(rentals: Rentals, rent_order: str, wallet: str) -> list[int]:
    """Indexes of the cards of a wallet's order."""
    order = order_of(rentals, rent_order, wallet)
    return list(order.gpu_index) if order is not None else []


def rent_end(rentals: Rentals, rent_order: str, wallet: str) -> int:
    order = order_of(rentals, rent_order, wallet)
    return order.end if order is not None else 0
