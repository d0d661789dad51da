"""Order of steps on one machine: restarts of its process, starts, and the release of capacity. Pure.

Most of this order is no dependency: a step waits for the end of another, not for its success (`StepBuilder.behind`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host, capacity
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.plan.model import Action, Change, StepKind
from dbc_iac.plan.schedule.step_builder import StepBuilder, removal_key, window_key


def order_nodes(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Add the order on each machine to the steps."""
    _order_process_ends(changes, builders)
    _order_moves(changes, builders)
    _order_starts(changes, builders)
    _order_capacity(changes, builders)


def _order_process_ends(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Put a step that ends the node's process after all others on that machine, except those that depend on it."""
    for ending in [d for d in builders.values() if any(g.ends_process for g in d.goals)]:
        needing, machine = following(ending.key, builders), _target(changes[ending.address])
        there = {key for key, builder in builders.items() if _target(changes[builder.address]) == machine}
        ending.after |= there - needing


def _order_moves(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Create a child on its new VM before it is deleted on the old one, unless two VMs swap theirs."""
    for change in changes.values():
        made, left = window_key(change.placement.parent), window_key(change.old_placement.parent)
        if (
            change.old_placement.parent
            and made != left
            and {made, left} <= set(builders)
            and made not in following(left, builders)
        ):
            builders[left].behind.add(made)


def _order_starts(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Start VMs before new ones are created: the node gives the GPUs of a VM that is off to others."""
    starts = {
        key for key, builder in builders.items()
        if any(g.powers == "on" for g in builder.goals) and changes[builder.address].observed_power == "off"
    }  # fmt: skip
    for key, builder in builders.items():
        change = changes[builder.address]
        if not any(g.creates and g.address == builder.address for g in builder.goals):
            continue
        there = {s for s in starts if _target(changes[builders[s].address]) == _target(change)}
        builder.behind |= there - following(key, builders) if isinstance(kind_of(change.kind), Host) else set()


def _order_capacity(changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Put steps that release GPUs, ports or a public address before those that acquire them."""
    given: dict[Json, dict[str, Capacity]] = {}
    taken: dict[Json, dict[str, Capacity]] = {}
    for key, builder in builders.items():
        change = changes[builder.address]
        gives, takes = (
            _capacity_changes(key, builder, change) if isinstance(kind_of(change.kind), Host) else (None, None)
        )
        for passes, there in ((gives, given), (takes, taken)):
            if passes is not None:
                there.setdefault(_target(change), {})[key] = passes
    for target, takers in taken.items():
        for taker, needs in takers.items() if target in given else ():
            fitting = {k for k, has in given[target].items() if (needs.gpus and has.gpus) or needs.clashes(has)}
            builders[taker].behind |= fitting - following(taker, builders)


def _capacity_changes(key: str, builder: StepBuilder, change: Change) -> tuple[Capacity | None, Capacity | None]:
    """Capacity that the step of a host releases, and capacity that it acquires."""
    kind = kind_of(change.kind)
    before, after = capacity(kind, {**change.applied, **change.observed}), capacity(kind, change.desired)
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


def following(key: str, builders: Mapping[str, StepBuilder]) -> set[str]:
    """A step and all steps that come after it, directly or not."""
    found = {key}
    while more := {k for k, d in builders.items() if k not in found and d.first & found}:
        found |= more
    return found
