"""Order of steps on one machine: restarts of its process, starts, and the release of capacity. Pure.

Most of this order is no dependency: a step waits for the end of another, not for its success (`StepBuilder.behind`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.framework.capacity import Allocations, Capacity
from dbc_iac.plan.check.references import closure
from dbc_iac.plan.model import Action, Change, StepKind
from dbc_iac.plan.schedule.step_builder import StepBuilder, removal_key, window_key


def order_nodes(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Add the order on each machine to the steps."""
    order = _Order(builders)
    _order_process_ends(changes, order)
    _order_moves(changes, order)
    _order_starts(changes, order)
    _order_capacity(changes, order)


class _Order:
    """The steps with an index of those that wait for each, so that no order is added that would close a cycle."""

    def __init__(self, builders: Mapping[str, StepBuilder]) -> None:
        self.builders = builders
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        for key, builder in builders.items():
            for before in builder.first:
                self._waiting[before].append(key)

    def not_after(self, key: str, steps: set[str]) -> set[str]:
        """Those of the steps that do not come after a step, directly or not."""
        return steps - closure({key}, self._waiting) if steps else steps

    def put_behind(self, key: str, steps: set[str]) -> None:
        """Let a step wait for the end of those steps that do not come after it."""
        self._add(key, self.not_after(key, steps), self.builders[key].behind)

    def put_after(self, key: str, steps: set[str]) -> None:
        """Let a step wait for the success of those steps that do not come after it."""
        self._add(key, self.not_after(key, steps), self.builders[key].after)

    def _add(self, key: str, steps: set[str], waits: set[str]) -> None:
        waits |= steps
        for before in steps:
            self._waiting[before].append(key)


def _order_process_ends(changes: Mapping[str, Change], order: _Order) -> None:
    """Put a step that ends the node's process after all others on that machine, except those that depend on it."""
    endings = [d for d in order.builders.values() if any(g.ends_process for g in d.goals)]
    machines = {_target(changes[ending.address]) for ending in endings}
    there: dict[Json, set[str]] = {machine: set() for machine in machines}
    for key, builder in order.builders.items() if endings else ():
        if (machine := _target(changes[builder.address])) in there:
            there[machine].add(key)
    for ending in endings:
        order.put_after(ending.key, there[_target(changes[ending.address])])


def _order_moves(changes: Mapping[str, Change], order: _Order) -> None:
    """Create a child on its new VM before it is deleted on the old one, unless two VMs swap theirs."""
    for change in changes.values():
        made, left = window_key(change.placement.parent), window_key(change.old_placement.parent)
        if change.old_placement.parent and made != left and made in order.builders and left in order.builders:
            order.put_behind(left, {made})


def _order_starts(changes: Mapping[str, Change], order: _Order) -> None:
    """Start VMs before new ones are created: the node gives the GPUs of a VM that is off to others."""
    starts: defaultdict[Json, set[str]] = defaultdict(set)
    for key, builder in order.builders.items():
        change = changes[builder.address]
        if change.observed_power == "off" and any(g.powers == "on" for g in builder.goals):
            starts[_target(change)].add(key)
    for key, builder in order.builders.items() if starts else ():
        change = changes[builder.address]
        if isinstance(kind_of(change.kind), Host) and any(
            g.creates and g.address == builder.address for g in builder.goals
        ):
            order.put_behind(key, starts.get(_target(change), set()))


def _order_capacity(changes: Mapping[str, Change], order: _Order) -> None:
    """Put steps that release GPUs, ports or a public address before those that acquire them."""
    given: defaultdict[Json, Allocations] = defaultdict(Allocations)
    with_gpus: defaultdict[Json, set[str]] = defaultdict(set)
    taken: list[tuple[Json, str, Capacity]] = []
    for key, builder in order.builders.items():
        change = changes[builder.address]
        if not isinstance(kind_of(change.kind), Host):
            continue
        gives, takes = _capacity_changes(key, builder, change)
        if gives is not None:
            given[_target(change)].add(key, gives)
            with_gpus[_target(change)] |= {key} if gives.gpus else set()
        if takes is not None:
            taken.append((_target(change), key, takes))
    for target, taker, needs in taken:
        if target in given:
            order.put_behind(taker, given[target].clashing(needs) | (with_gpus[target] if needs.gpus else set()))


def _capacity_changes(key: str, builder: StepBuilder, change: Change) -> tuple[Capacity | None, Capacity | None]:
    """Capacity that the step of a host releases, and capacity that it acquires."""
    kind = kind_of(change.kind)
    before, after = kind.capacity({**change.applied, **change.observed}), kind.capacity(change.desired)
    if key == removal_key(builder.address):
        return before, None
    if change.action is Action.CREATE:
        return None, after
    if change.action is not Action.UPDATE:
        return None, None
    more = after.gpus - before.gpus if builder.kind is StepKind.WINDOW else 0
    gives, takes = before.less(after), after.less(before)
    if any(g.powers == "on" for g in builder.goals):  # a start acquires all of it
        takes = replace(takes, ports=after.ports, start_ports=after.start_ports)
    return replace(gives, gpus=max(0, -more)), replace(takes, gpus=max(0, more))


def _target(change: Change) -> Json:
    return (change.placement.route or change.old_placement.route).get("target")
