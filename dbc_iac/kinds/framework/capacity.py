"""Capacity of GPU nodes: what a resource takes of its machine, and the machine as preflight sees it. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct, field

from dbc_iac.api.responses import NodeHardware, RentOrder
from dbc_iac.json import Json
from dbc_iac.kinds.framework.inventory import Inventory
from dbc_iac.kinds.framework.route import Route

GPUS, CPUS, MEMORY = "gpus", "cpus", "memory"
"""Parts of a capacity, and the spec fields that state them."""


class Machine(Struct, frozen=True):
    """A GPU node as preflight sees it. None for values that could not be read. `whole`: the order covers every GPU."""

    route: Route
    hardware: NodeHardware | None
    orders: tuple[RentOrder, ...] | None
    whole: bool | None
    observed: Mapping[str, Json] = field(default_factory=dict)
    """Observed values of the resource to check."""
    image_servers: tuple[str, ...] | None = None
    """Ids of the image servers that their client node knows; None if not read."""
    inventory: Inventory | None = None
    image_server_files: frozenset[str] | None = None
    """Files of the image server that the resource is fetched from; None if not read."""
    unheard_lans: frozenset[str] = frozenset()
    """Existing LANs that the resource joins and this machine does not know."""


class Capacity(Struct, frozen=True):
    """Part of a machine that a resource takes. Memory in GiB; `space` in GiB by directory of the host, at full size of
    the disk files; `ports` as (protocol, host port)."""

    gpus: int = 0
    cpus: int = 0
    memory: int = 0
    space: Mapping[str, int] = field(default_factory=dict)
    ports: frozenset[tuple[str, int]] = frozenset()
    start_ports: frozenset[tuple[str, int]] = frozenset()
    """Host ports that must be free at each start, also if they are not forwarded."""
    addresses: frozenset[str] = frozenset()
    """Public addresses, which are taken also while it is off."""

    def less(self, other: Capacity) -> Capacity:
        """The ports and addresses that only this one has."""
        return Capacity(
            ports=self.ports - other.ports,
            start_ports=self.start_ports - other.start_ports,
            addresses=self.addresses - other.addresses,
        )

    def clashes(self, other: Capacity) -> tuple[str, ...]:
        """Contested ports and public addresses, for people."""
        ports = (f"{protocol} port {port}" for protocol, port in sorted(self._contested(other)))
        return (*ports, *(f"public address {address}" for address in sorted(self.addresses & other.addresses)))

    def _contested(self, other: Capacity) -> frozenset[tuple[str, int]]:
        both = self.ports & other.ports
        return both | (self.start_ports & other.ports) | (self.ports & other.start_ports)


class Allocations(Struct):
    """Ports and public addresses of one machine by holder: conflicts are found without comparing each pair."""

    _ports: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    _start_ports: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    _addresses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, holder: str, capacity: Capacity) -> None:
        """Add what a holder has, to what it has already."""
        for port in capacity.ports:
            self._ports[port].add(holder)
        for port in capacity.start_ports:
            self._start_ports[port].add(holder)
        for address in capacity.addresses:
            self._addresses[address].add(holder)

    @property
    def ports(self) -> set[int]:
        """All ports that a holder has, or needs free at its start."""
        return {port for _, port in (*self._ports, *self._start_ports)}

    def clashing(self, capacity: Capacity) -> set[str]:
        """Holders of ports and public addresses that a resource would contest."""
        found: set[str] = set()
        for port in capacity.ports:
            found.update(self._ports.get(port, ()), self._start_ports.get(port, ()))
        for port in capacity.start_ports:
            found.update(self._ports.get(port, ()))
        for address in capacity.addresses:
            found.update(self._addresses.get(address, ()))
        return found

    def contested(self, capacity: Capacity) -> set[int]:
        """Ports of a resource that keep it from running at the same time as a holder."""
        held = {p for p in capacity.ports if p in self._ports or p in self._start_ports}
        return {port for _, port in held | {p for p in capacity.start_ports if p in self._ports}}
