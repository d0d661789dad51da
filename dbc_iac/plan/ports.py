"""`auto` ports, chosen at plan time from the node's range and kept: never one that anything in sight uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import Diagnostic, Diagnostics
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.node import NodeSpec
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.candidates import Candidate
from dbc_iac.plan.refresh import World
from dbc_iac.values import Json

AUTO = "auto"
SCREEN = "ports.vnc"
FIRST_SCREEN_PORT = 5900
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
            _keep(desired.get(address, {}), candidate.binding.applied)
        elif candidate.binding is None and seen is not None and seen.present:
            _keep(desired.get(address, {}), seen.values)
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
                problems.add(_none_left(candidate.resource, candidate, path))
                del desired[address][path]
            else:
                used.add(port)
                desired[address][path] = port
    return desired


def _keep(fields: dict[str, Json], had: Mapping[str, Json]) -> None:
    """An `auto` port stays what it was, as long as the machine does."""
    for path, value in fields.items():
        if value == AUTO and isinstance(kept := had.get(path), int):
            fields[path] = kept


def _free(inventory: Inventory, candidate: Candidate, path: str, used: set[int]) -> int | None:
    node = inventory.resources.get(candidate.reach.name)
    spec = node.spec if node is not None else None
    ports = spec.ports() if isinstance(spec, NodeSpec) else range(0)
    lowest = FIRST_SCREEN_PORT if path == SCREEN else 1
    free = (p for p in ports if p >= lowest and p not in used)
    if candidate.binding is not None or candidate.generation == 1:
        return next(free, None)
    left = list(free)
    return left[(candidate.generation - 1) * STRIDE % len(left)] if left else None


def _none_left(resource: Resource[Spec], candidate: Candidate, path: str) -> Diagnostic:
    return resource.problem(
        "no-free-port",
        path,
        f"there is no port for {path}: auto on {candidate.reach.name}",
        detail="`auto` takes a free port of the Node's portRange.",
        remedy=f"Add or widen `portRange: 20000-29999` on {candidate.reach.name}, or write a port.",
    )
