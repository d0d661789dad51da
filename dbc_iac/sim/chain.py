"""The chain as nodes see it: machine states, rent orders, who rents. Changed only from outside."""

from __future__ import annotations

from dataclasses import dataclass, field

from dbc_iac.sim.crypto import address, node_id_of
from dbc_iac.sim.world import WorldSpec

VERIFYING = frozenset({"addingCustomizeInfo", "distributingOrder", "committeeVerifying", "committeeRefused"})
UNRENTED = frozenset({"waitingFulfill", "online"})
RENTED = frozenset({"creating", "rented"})
RENTING = frozenset({"renting", "waitingVerifying"})


@dataclass(slots=True)
class Order:
    """A rent order. `key` is its id, or the renter's address for one of the whole machine. `gpus`: indexes."""

    key: str
    renter: str
    machine: str
    status: str
    gpus: tuple[int, ...]
    end: int
    whole: bool = False


@dataclass(slots=True)
class Chain:
    """Statuses by machine id, orders by id, machine-level orders by machine id."""

    statuses: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    machine_orders: dict[str, Order] = field(default_factory=dict)
    listed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Order ids that the chain lists for a machine: its maintenance caches them."""
    reachable: bool = True

    @classmethod
    def of(cls, world: WorldSpec) -> Chain:
        names = {w.name: w.address or address(bytes.fromhex(node_id_of(w.seed))) for w in world.wallets}
        gpus = {n.id: n.gpus for n in world.gpu_nodes}
        chain = cls()
        for key, order in world.orders.items():
            indexes = order.gpus if order.gpus is not None else tuple(range(gpus.get(order.machine, 0)))
            renter = names.get(order.renter, order.renter)
            chain.orders[key] = Order(key, renter, order.machine, order.status, indexes, order.end)
            if world.machines is None:
                chain.statuses[order.machine] = "rented"
        for machine, spec in (world.machines or {}).items():
            chain.statuses[machine] = spec.status
            chain.listed[machine] = spec.orders
            if spec.renter:
                renter = names.get(spec.renter, spec.renter)
                everything = tuple(range(gpus.get(machine, 0)))
                chain.machine_orders[machine] = Order(
                    renter, renter, machine, spec.rent_status, everything, spec.end, True
                )
        return chain

    def status(self, machine: str) -> str:
        """Empty where the chain cannot be asked, or does not know the machine."""
        return self.statuses.get(machine, "") if self.reachable else ""

    def order(self, machine: str, rent_order: str) -> Order | None:
        return self.orders.get(rent_order) if rent_order else self.machine_orders.get(machine)
