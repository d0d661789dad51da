"""`auto` ports, chosen at plan time from the node's range and kept: never one that anything in sight uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.kinds import Inventory, kind_of
from dbc_iac.kinds.node import auto_ports, no_free_port
from dbc_iac.plan.auto import AUTO, kept
from dbc_iac.plan.candidates import Candidate
from dbc_iac.plan.refresh import World
from dbc_iac.values import Json

STRIDE = 16
"""How far on `auto` goes when a creation was refused: a VM that we cannot see may hold the ports from there."""


def choose_ports(inventory: Inventory, world: World, problems: Diagnostics) -> dict[str, dict[str, Json]]:
    """The desired fields of every resource, with each `auto` replaced by the port it has or gets."""
    candidates = world.candidates
    desired = {
        a: kind_of(c.kind).desired(c.resource, inventory) for a, c in candidates.items() if c.resource is not None
    }
    taken = {
        target: {port for holding in others.values() for _, port in holding.ports}
        for target, others in world.strangers.items()
    }
    for address, candidate in candidates.items():
        seen = world.observations.get(address)
        if candidate.binding is not None and candidate.place.target == candidate.reach.target:
            _keep(inventory, candidate, desired.get(address, {}), candidate.binding.applied)
        elif candidate.binding is None and seen is not None and seen.present:
            _keep(inventory, candidate, desired.get(address, {}), seen.values)
        fields = {k: v for k, v in desired.get(address, {}).items() if v != AUTO}
        held = kind_of(candidate.kind).holds(fields).ports
        if candidate.binding is not None:
            held |= kind_of(candidate.kind).holds(candidate.binding.applied).ports
        taken.setdefault(candidate.reach.target, set()).update(port for _, port in held)
    for address, candidate in candidates.items():
        for path in [p for p, v in desired.get(address, {}).items() if v == AUTO]:
            used = taken[candidate.reach.target]
            port = _free(inventory, candidate, path, used)
            if port is None:
                assert candidate.resource is not None  # noqa: S101 - it has desired fields
                problems.add(no_free_port(candidate.resource, candidate.reach.name, path))
                del desired[address][path]
            else:
                used.add(port)
                desired[address][path] = port
    return desired


def _keep(inventory: Inventory, candidate: Candidate, fields: dict[str, Json], had: Mapping[str, Json]) -> None:
    """An `auto` port stays what it was, as long as the machine does."""
    kind = kind_of(candidate.kind)
    for path in [p for p, v in fields.items() if v == AUTO]:
        port = kept(kind, had, path, auto_ports(candidate.reach.name, inventory, path))
        if port is not None:
            fields[path] = port


def _free(inventory: Inventory, candidate: Candidate, path: str, used: set[int]) -> int | None:
    free = (p for p in auto_ports(candidate.reach.name, inventory, path) if p not in used)
    if candidate.binding is not None or candidate.generation == 1:
        return next(free, None)
    left = list(free)
    return left[(candidate.generation - 1) * STRIDE % len(left)] if left else None
