"""Order of steps on one machine: restarts of its process, starts, and the release of capacity. Pure.

Most of this order is no dependency: a step waits for the end of another, not for its success (`StepBuilder.behind`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from msgspec.structs import replace

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, capacity
from dbc_iac.kinds.framework.capacity import Allocations, Capacity
from dbc_iac.plan.dependencies import closure
from dbc_iac.plan.model import Action, Change, StepKind
from dbc_iac.plan.schedule.step_builder import StepBuilder, removal_key, window_key


def order_nodes(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Add the order on each machine to the steps. Raises CycleError."""
    there: defaultdict[str, list[StepBuilder]] = defaultdict(list)
    endings: defaultdict[str, list[str]] = defaultdict(list)
    for builder in builders.values():
        target = changes[builder.address].target
        there[target].append(builder)
        if any(g.ends_process for g in builder.goals):
            endings[target].append(builder.key)
    moved = [c for c in changes.values() if c.old_placement.parent]
    hosts = [[s for s in steps if isinstance(kind_of(changes[s.address].kind), Host)] for steps in there.values()]
    shared = [steps for steps in hosts if len({s.address for s in steps}) > 1]
    if not (endings or moved or shared):
        return
    order = _Order(builders)
    for target, keys in endings.items():
        _order_endings(keys, there[target], order)
    _order_moves(moved, order)
    for steps in shared:
        _order_starts(changes, steps, order)
    for steps in shared:
        _order_capacity(changes, steps, order)


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

    def put_after(self, key: str, step: str) -> None:
        """Let a step wait for the success of another, which must not come after it."""
        self._add(key, {step}, self.builders[key].after)

    def following(self, keys: Iterable[str]) -> Iterable[str]:
        """Steps, and all that come after them, in order. Raises CycleError."""
        first = dict.fromkeys(keys)
        found = closure(first, self._waiting)
        graph = {key: sorted(self.builders[key].first & found) for key in (*first, *sorted(found - first.keys()))}
        return TopologicalSorter(graph).static_order()

    def _add(self, key: str, steps: set[str], waits: set[str]) -> None:
        waits.update(steps)
        for before in steps:
            self._waiting[before].append(key)


def _order_endings(endings: Iterable[str], steps: Iterable[StepBuilder], order: _Order) -> None:
    """Put steps that end the process of a machine after all its others, one after the other.

    A step that comes after some of them precedes only the next one.
    """
    last, chain = frozenset(endings), list[str]()
    place: dict[str, int] = {}  # by step: how many of the chain precede it, itself included
    for key in order.following(endings):
        if key in last:
            chain.append(key)
        place[key] = len(chain) if key in last else max(place.get(k, 0) for k in order.builders[key].first)
    for step in steps:
        if (number := place.get(step.key, 0)) < len(chain):
            order.put_after(chain[number], step.key)


def _order_moves(moved: Iterable[Change], order: _Order) -> None:
    """Create a child on its new VM before it is deleted on the old one, unless two VMs swap theirs."""
    for change in moved:
        made, left = window_key(change.placement.parent), window_key(change.old_placement.parent)
        if made != left and made in order.builders and left in order.builders:
            order.put_behind(left, {made})


def _order_starts(changes: Mapping[str, Change], steps: Iterable[StepBuilder], order: _Order) -> None:
    """Start VMs before new ones are created: the node gives the GPUs of a VM that is off to others."""
    off = (s for s in steps if changes[s.address].observed_power == "off")
    starts = {s.key for s in off if any(g.powers == "on" for g in s.goals)}
    for step in steps if starts else ():
        if any(g.creates and g.address == step.address for g in step.goals):
            order.put_behind(step.key, starts)


def _order_capacity(changes: Mapping[str, Change], steps: Iterable[StepBuilder], order: _Order) -> None:
    """Put steps that release GPUs, ports or a public address before those that acquire them."""
    given, with_gpus = Allocations(), set[str]()
    taken: list[tuple[str, Capacity]] = []
    for step in steps:
        gives, takes = _capacity_changes(step, changes[step.address])
        if gives is not None:
            given.add(step.key, gives)
            with_gpus |= {step.key} if gives.gpus else set()
        if takes is not None:
            taken.append((step.key, takes))
    for taker, needs in taken:
        order.put_behind(taker, given.clashing(needs) | (with_gpus if needs.gpus else set()))


def _capacity_changes(builder: StepBuilder, change: Change) -> tuple[Capacity | None, Capacity | None]:
    """Capacity that the step of a host releases, and capacity that it acquires."""
    kind = kind_of(change.kind)
    before, after = capacity(kind, {**change.applied, **change.observed}), capacity(kind, change.desired)
    if builder.key == removal_key(builder.address):
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
