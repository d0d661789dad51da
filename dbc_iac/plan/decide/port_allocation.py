"""Allocation of `auto` ports from the range of the node; a port in use is never chosen. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.json import Json
from dbc_iac.kinds import Inventory, Observation, kind_of
from dbc_iac.kinds.framework.capabilities import capacity, power_of
from dbc_iac.kinds.framework.capacity import Allocations
from dbc_iac.kinds.node import AUTO, HOST_PORTS, auto_ports, kept_auto_port, no_free_port
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import TrackedObject

STRIDE = 16
"""Distance between the ports of two tries: a VM that this wallet cannot see may hold those of the first."""


def choose_ports(
    inventory: Inventory, refreshed: RefreshedState, problems: Diagnostics
) -> Mapping[str, Mapping[str, Json]]:
    """Desired fields of every resource, with a port for each `auto`."""
    tracked_objects = refreshed.tracked_objects
    desired = {
        a: kind_of(c.kind).desired(c.resource, inventory) for a, c in tracked_objects.items() if c.resource is not None
    }
    automatic = {a: dict(fields) for a, fields in desired.items() if AUTO in fields.values()}
    chosen = {
        a: _keep(inventory, tracked_objects[a], fields, refreshed.observations.get(a))
        for a, fields in automatic.items()
    }
    desired |= automatic
    # A VM that does not run gets another port where one that does has it: those that keep theirs are first.
    off = set[str]()
    for address in (a for a, kept in chosen.items() if kept):
        seen, kind = refreshed.observations.get(address), kind_of(tracked_objects[address].kind)
        if seen is not None and (seen.present is False or power_of(kind, seen.values) == "off"):
            off.add(address)
    if not off and not any(AUTO in fields.values() for fields in automatic.values()):
        return desired
    held: defaultdict[str, Allocations] = defaultdict(Allocations)
    for target, others in refreshed.unmanaged.items():
        for identity, other in others.items():
            held[target].add(identity, other)
    for address in sorted(tracked_objects, key=off.__contains__):
        tracked, kind = tracked_objects[address], kind_of(tracked_objects[address].kind)
        fields, there = desired.get(address, {}), held[tracked.route.target]
        if address in off:
            taken = there.contested(capacity(kind, fields))
            automatic[address].update({path: AUTO for path in chosen[address] if fields[path] in taken})
        there.add(address, capacity(kind, {k: v for k, v in fields.items() if v != AUTO}))
        if tracked.binding is not None:
            held[tracked.place.target].add(address, capacity(kind, tracked.binding.applied))
    free = {target: _FreePorts(holdings.ports | HOST_PORTS | inventory.own_ports) for target, holdings in held.items()}
    for address, fields in automatic.items():
        tracked = tracked_objects[address]
        for path in [p for p, v in fields.items() if v == AUTO]:
            ports = auto_ports(tracked.route.name, inventory, path)
            first_try = tracked.binding is not None or tracked.generation == 1
            skip = 0 if first_try else (tracked.generation - 1) * STRIDE
            port = free[tracked.route.target].take(ports, skip)
            if port is None:
                assert tracked.resource is not None  # noqa: S101 - it has desired fields
                problems.add(no_free_port(tracked.resource, tracked.route.name, path))
                del fields[path]
            else:
                fields[path] = port
    return desired


def _keep(
    inventory: Inventory, tracked: TrackedObject, fields: dict[str, Json], seen: Observation | None
) -> tuple[str, ...]:
    """Paths of `auto` ports that are kept: as long as the machine is the same."""
    had: Mapping[str, Json]
    if tracked.binding is not None and tracked.place.target == tracked.route.target:
        had = tracked.binding.applied
    elif tracked.binding is None and seen is not None and seen.present:
        had = seen.values
    else:
        return ()
    kind, paths = kind_of(tracked.kind), [p for p, v in fields.items() if v == AUTO]
    ports = {p: kept_auto_port(kind, had, p, tracked.route.name, inventory) for p in paths}
    fields.update({path: port for path, port in ports.items() if port is not None})
    return tuple(path for path, port in ports.items() if port is not None)


class _FreePorts:
    """Ports of one machine that nobody uses, in order, by the range that they are chosen from."""

    def __init__(self, used: Iterable[int]) -> None:
        self._used = set(used)
        self._free: dict[range, list[int]] = {}

    def take(self, ports: range, skip: int) -> int | None:
        """A free port of a range, which is used from now on; None if there is none. `skip`: number of free ports to
        pass over, around the end of the range."""
        if ports not in self._free:
            self._free[ports] = [p for p in ports if p not in self._used]
        free = self._free[ports]
        if not free:
            return None
        port = free[skip % len(free)]
        self._used.add(port)
        for other in self._free.values():
            place = bisect_left(other, port)
            if place < len(other) and other[place] == port:
                del other[place]
        return port
