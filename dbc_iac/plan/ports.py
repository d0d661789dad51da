"""`auto` ports, chosen at plan time from the node's range and kept: never one that anything of ours uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import Diagnostic, Diagnostics
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.node import NodeSpec
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.refresh import Candidate
from dbc_iac.state.document import Binding
from dbc_iac.values import Json

AUTO = "auto"
SCREEN = "ports.vnc"
FIRST_SCREEN_PORT = 5900


def choose_ports(
    inventory: Inventory, candidates: Mapping[str, Candidate], problems: Diagnostics
) -> dict[str, dict[str, Json]]:
    """The desired fields of every resource, with each `auto` replaced by the port it has or gets."""
    desired = {
        a: kind_of(c.kind).desired(c.resource, inventory) for a, c in candidates.items() if c.resource is not None
    }
    taken: dict[str, set[int]] = {}
    for address, candidate in candidates.items():
        if candidate.binding is not None and candidate.place.target == candidate.reach.target:
            _keep(desired.get(address, {}), candidate.binding)
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


def _keep(fields: dict[str, Json], binding: Binding) -> None:
    """An `auto` port stays what it was, as long as the machine does."""
    for path, value in fields.items():
        if value == AUTO and isinstance(kept := binding.applied.get(path), int):
            fields[path] = kept


def _free(inventory: Inventory, candidate: Candidate, path: str, used: set[int]) -> int | None:
    node = inventory.resources.get(candidate.reach.name)
    spec = node.spec if node is not None else None
    ports = spec.ports() if isinstance(spec, NodeSpec) else range(0)
    lowest = FIRST_SCREEN_PORT if path == SCREEN else 1
    return next((p for p in ports if p >= lowest and p not in used), None)


def _none_left(resource: Resource[Spec], candidate: Candidate, path: str) -> Diagnostic:
    return resource.problem(
        "no-free-port",
        path,
        f"there is no port for {path}: auto on {candidate.reach.name}",
        detail="`auto` takes a free port of the Node's portRange.",
        remedy=f"Add or widen `portRange: 20000-29999` on {candidate.reach.name}, or write a port.",
    )
