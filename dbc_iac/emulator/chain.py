"""The chain as seen by nodes: machine states, rent orders, renters; and each node's cache of it.

Changed by the world file, the admin API, and by time, which adds blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.crypto import address, node_id_of
from dbc_iac.emulator.world import MachineSpec, OrderSpec, WorldSpec

VERIFYING = frozenset({"addingCustomizeInfo", "distributingOrder", "committeeVerifying", "committeeRefused"})
UNRENTED = frozenset({"waitingFulfill", "online"})
RENTED = frozenset({"creating", "rented"})
RENTING = frozenset({"renting", "waitingVerifying"})
BLOCK_SECONDS = 6.0
VERIFY_BLOCKS = 2400
RENTAL_BLOCKS = 1_000_000
"""Duration of an order without an explicit end."""


class Order(Struct):
    """A rent order. `key`: its id, or the renter's address for the machine-level order; `end`: a block."""

    key: str
    renter: str
    status: str
    end: int
    gpu_num: int
    gpu_index: tuple[int, ...]


class Chain(Struct):
    """Statuses and machine-level orders by machine id, orders by id."""

    clock: Clock
    gpus: Mapping[str, int]
    block_at_start: int
    statuses: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    machine_orders: dict[str, Order] = field(default_factory=dict)
    listed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Order ids that the chain reports for a machine; the query fails for a machine that is missing here."""
    verifiers: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    """First blocks of verify windows, by machine and wallet."""
    reachable: bool = True

    @classmethod
    def of(cls, world: WorldSpec, clock: Clock) -> Chain:
        chain = cls(clock, {n.id: len(n.gpu_pci) or n.gpus for n in world.gpu_nodes}, world.block)
        chain.set(world.orders, world.machines, {w.name: wallet_address(w.seed, w.address) for w in world.wallets})
        return chain

    def set(
        self,
        orders: Mapping[str, OrderSpec],
        machines: Mapping[str, MachineSpec] | None,
        wallets: Mapping[str, str],
    ) -> None:
        """Replace the whole state. Without `machines`, each machine with an order is rented. Renters are names of
        `wallets`, or addresses.
        """
        self.orders = {key: self._order(key, spec, wallets) for key, spec in orders.items()}
        if machines is None:
            machines = {
                o.machine: MachineSpec(orders=tuple(k for k, other in orders.items() if other.machine == o.machine))
                for o in orders.values()
            }
        self.statuses = {machine: spec.status for machine, spec in machines.items()}
        self.listed = {machine: spec.orders for machine, spec in machines.items() if spec.orders is not None}
        self.verifiers = {m: {wallets.get(w, w): v for w, v in s.verifiers.items()} for m, s in machines.items()}
        self.machine_orders = {}
        for machine, spec in machines.items():
            if spec.renter:
                renter = wallets.get(spec.renter, spec.renter)
                indexes = tuple(range(self.gpus.get(machine, 0)))
                self.machine_orders[machine] = Order(
                    renter, renter, spec.rent_status, self._end(spec.end), len(indexes), indexes
                )

    def _order(self, key: str, spec: OrderSpec, wallets: Mapping[str, str]) -> Order:
        indexes = spec.gpus if spec.gpus is not None else tuple(range(self.gpus.get(spec.machine, 0)))
        number = spec.gpu_num if spec.gpu_num is not None else len(indexes)
        return Order(key, wallets.get(spec.renter, spec.renter), spec.status, self._end(spec.end), number, indexes)

    def _end(self, end: int | None) -> int:
        return self.block() + RENTAL_BLOCKS if end is None else end

    def block(self) -> int:
        return self.block_at_start + int(self.clock.now() / BLOCK_SECONDS)

    def status(self, machine: str) -> str:
        """Status of a machine; empty if the chain is unreachable or the machine unknown."""
        return self.statuses.get(machine, "") if self.reachable else ""

    def order(self, machine: str, rent_order: str) -> Order | None:
        """An order; with an empty id the machine-level one. The machine of an order is not compared."""
        if not self.reachable:
            return None
        return self.orders.get(rent_order) if rent_order else self.machine_orders.get(machine)

    def verifies_now(self, machine: str, wallet: str) -> bool:
        block = self.block()
        return any(v < block <= v + VERIFY_BLOCKS for v in self.verifiers.get(machine, {}).get(wallet, ()))

    def to_state(self) -> dict[str, Any]:
        return {
            "statuses": self.statuses,
            "orders": [order_state(order) for order in self.orders.values()],
            "machineOrders": {machine: order_state(order) for machine, order in self.machine_orders.items()},
            "listed": {machine: list(orders) for machine, orders in self.listed.items()},
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        self.statuses = dict(state["statuses"])
        self.orders = {one["key"]: order_of(one) for one in state["orders"]}
        self.machine_orders = {machine: order_of(one) for machine, one in state["machineOrders"].items()}
        self.listed = {machine: tuple(orders) for machine, orders in state["listed"].items()}


class OrderCache(Struct):
    """Order cache of one process: filled by authorisation, never emptied."""

    chain: Chain
    orders: dict[str, Order] = field(default_factory=dict)

    def refresh(self, machine: str, rent_order: str) -> None:
        order = self.chain.order(machine, rent_order)
        if order is not None:
            self.orders[order.key] = replace(order)

    def renting(self, wallet: str, rent_order: str) -> Order | None:
        """Cached order that authorises a wallet. Its machine is not compared."""
        order = self.orders.get(rent_order or wallet)
        good = order is not None and order.renter == wallet and order.status in RENTING
        return order if good else None

    def in_order(self) -> list[Order]:
        """Orders as `/rent_orders` lists them: numbered ones newest first, then machine-level ones by their renter."""
        return sorted(self.orders.values(), key=lambda order: -int(order.key) if order.key.isdecimal() else 1)

    def to_state(self) -> list[dict[str, Any]]:
        return [order_state(order) for order in self.orders.values()]

    def from_state(self, state: Sequence[dict[str, Any]]) -> None:
        self.orders = {one["key"]: order_of(one) for one in state}


class MachineRentals:
    """Chain queries of one GPU node: its cache, and the chain's data of its machine (see `gpu.rental.Rentals`)."""

    def __init__(self, machine: str, cache: OrderCache) -> None:
        self._machine = machine
        self._cache = cache
        self._chain = cache.chain

    def cached(self) -> Mapping[str, Order]:
        return self._cache.orders

    def in_order(self) -> Sequence[Order]:
        return self._cache.in_order()

    def refresh(self, rent_order: str) -> None:
        self._cache.refresh(self._machine, rent_order)

    def machine_status(self) -> str:
        return self._chain.status(self._machine)

    def listed_orders(self) -> Sequence[str] | None:
        return self._chain.listed.get(self._machine) if self._chain.reachable else None

    def current_renter(self) -> tuple[str, int]:
        order = self._chain.order(self._machine, "")
        return ("", 0) if order is None else (order.renter, order.end)

    def block(self) -> int:
        return self._chain.block() if self._chain.reachable else 0


def wallet_address(seed: str, given: str = "") -> str:
    """Address of a wallet of the world file."""
    return given or address(bytes.fromhex(node_id_of(seed)))


def order_state(order: Order) -> dict[str, Any]:
    return {
        "key": order.key,
        "renter": order.renter,
        "status": order.status,
        "end": order.end,
        "gpuNum": order.gpu_num,
        "gpuIndex": list(order.gpu_index),
    }


def order_of(state: Mapping[str, Any]) -> Order:
    return Order(
        state["key"], state["renter"], state["status"], state["end"], state["gpuNum"], tuple(state["gpuIndex"])
    )
