"""`auto` ports, chosen at plan time from the node's range and kept: never one that anything in sight uses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.kinds import Inventory, Observation, kind_of
from dbc_iac.kinds.kind import Holding
from dbc_iac.kinds.node import HOST_PORTS, auto_ports, no_free_port
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
    chosen = {a: _keep(inventory, c, desired.get(a, {}), world.observations.get(a)) for a, c in candidates.items()}
    held = {target: [*others.values()] for target, others in world.strangers.items()}
    # A VM that does not run gets another port where one that does has it: those that keep theirs are first.
    for address in sorted(candidates, key=lambda a: bool(chosen[a]) and _stands(world.observations.get(a))):
        candidate, kind = candidates[address], kind_of(candidates[address].kind)
        fields, there = desired.get(address, {}), held.setdefault(candidates[address].reach.target, [])
        if _stands(world.observations.get(address)):
            taken = {port for other in there for port in kind.holds(fields).contested(other)}
            fields.update({path: AUTO for path in chosen[address] if fields[path] in taken})
        there.append(kind.holds({k: v for k, v in fields.items() if v != AUTO}))
        if candidate.binding is not None:
            held.setdefault(candidate.place.target, []).append(kind.holds(candidate.binding.applied))
    used = {target: _used(holdings) | HOST_PORTS | inventory.own_ports for target, holdings in held.items()}
    for address, candidate in candidates.items():
        for path in [p for p, v in desired.get(address, {}).items() if v == AUTO]:
            port = _free(inventory, candidate, path, used[candidate.reach.target])
            if port is None:
                assert candidate.resource is not None  # noqa: S101 - it has desired fields
                problems.add(no_free_port(candidate.resource, candidate.reach.name, path))
                del desired[address][path]
            else:
                used[candidate.reach.target].add(port)
                desired[address][path] = port
    return desired


def _keep(
    inventory: Inventory, candidate: Candidate, fields: dict[str, Json], seen: Observation | None
) -> tuple[str, ...]:
    """The paths of `auto` ports that stay what they were: as long as the machine does."""
    had: Mapping[str, Json]
    if candidate.binding is not None and candidate.place.target == candidate.reach.target:
        had = candidate.binding.applied
    elif candidate.binding is None and seen is not None and seen.present:
        had = seen.values
    else:
        return ()
    kind, paths = kind_of(candidate.kind), [p for p, v in fields.items() if v == AUTO]
    ports = {p: kept(kind, had, p, auto_ports(candidate.reach.name, inventory, p)) for p in paths}
    fields.update({path: port for path, port in ports.items() if port is not None})
    return tuple(path for path, port in ports.items() if port is not None)


def _stands(seen: Observation | None) -> bool:
    """Whether it is known not to run."""
    return seen is not None and (seen.present is False or seen.values.get("power") == "off")


def _used(holdings: Iterable[Holding]) -> set[int]:
    return {port for holding in holdings for _, port in holding.ports | holding.start_ports}


def _free(inventory: Inventory, candidate: Candidate, path: str, used: set[int]) -> int | None:
    free = (p for p in auto_ports(candidate.reach.name, inventory, path) if p not in used)
    if candidate.binding is not None or candidate.generation == 1:
        return next(free, None)
    left = list(free)
    return left[(candidate.generation - 1) * STRIDE % len(left)] if left else None
