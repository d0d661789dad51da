"""Steps of a plan: one for each change, one offline window for each VM, and their order. Pure.

Windows follow from goals alone: a goal that needs its VM off is in the window of that VM, whichever resource it
belongs to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import zip_longest

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import build_files, host, provided_files
from dbc_iac.kinds.framework.goal import Goal, Needs
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.plan.schedule.node_ordering import order_nodes
from dbc_iac.plan.schedule.step_builder import (
    CompiledPlan,
    Goals,
    StepBuilder,
    goal_input,
    goals_of,
    removal_key,
    window_key,
)

_GOING = frozenset({Action.DELETE, Action.REPLACE, Action.FORGET})


def compile_steps(changes: Mapping[str, Change]) -> dict[str, StepBuilder]:
    """All steps by key, in an order that respects their dependencies. Raises DiagnosticError if there is none."""
    builders: dict[str, StepBuilder] = {}
    pending = {a: c for a, c in changes.items() if c.pending}
    goals = {
        a: goals_of(c, parent_deleted=bool(c.placement.parent) and _parent_deleted(c, changes))
        for a, c in pending.items()
    }
    for address, change in pending.items():
        _add_change(change, goals[address], builders)
    for address, change in pending.items():
        _add_windows(change, goals[address], changes, builders)
    for address, change in pending.items():
        if goals[address].after:
            _add_after(change, goals[address].after, builders)
    uses = _Uses(changes)
    for address, change in pending.items():
        removal = builders.get(removal_key(address))
        if address in builders:
            _order_creation(change, changes, uses, builders)
        if removal is not None:
            _order_removal(change, removal, changes, uses, builders)
        if removal is not None or change.users:
            _order_users(change, uses, builders)
    for builder in builders.values():
        builder.after = {k for k in builder.after if k in builders and k != builder.key}
    try:
        order_nodes(changes, builders)
        keys = [*TopologicalSorter({k: sorted(b.first) for k, b in builders.items()}).static_order()]
    except CycleError as error:
        raise _no_order(error.args[1]) from None
    return {k: builders[k] for k in keys}


def with_power_off(changes: Iterable[Change], steps: Iterable[Step]) -> list[Change]:
    """The changes, each with whether a step powers off its VM, which runs."""
    changes, windows = list(changes), {s.address for s in steps if s.kind is StepKind.WINDOW}
    off = windows - {c.address for c in changes if c.observed_power == "off"}
    return [replace(c, power_off=c.address in off or (c.pending and bool(_hosts(c) & off))) for c in changes]


def _hosts(change: Change) -> set[str]:
    return {change.placement.parent, change.old_placement.parent}


def recompiled(plan: Plan) -> CompiledPlan:
    """A plan that was made earlier, with the goals of its steps.

    It has its steps as text: the goals are compiled again, which another version may do in another way. Raises
    DiagnosticError that names the first step that differs.
    """
    builders = compile_steps({c.address: c for c in plan.changes})
    compiled = [builder.step() for builder in builders.values()]
    for planned, now in zip_longest(plan.steps, compiled):
        if planned != now:
            raise _other_steps(planned, now)
    return CompiledPlan(plan, builders)


def _other_steps(planned: Step | None, now: Step | None) -> DiagnosticError:
    step = planned or now
    assert step is not None  # noqa: S101 - one of the two was given
    return failure(
        "plan-stale",
        f"the steps of {step.address} differ from the plan",
        f"Planned: {_described(planned)}. Now: {_described(now)}. Nothing was sent.",
        "Run `dbc-iac plan -o FILE` again with this version, and review the new plan.",
        address=step.address,
        exit_code=ExitCode.REFUSED,
    )


def _described(step: Step | None) -> str:
    if step is None:
        return "no such step"
    goals = "; ".join(f"{g.address} {g.text} ({g.call}, VM {g.needs})" for g in step.goals) or "no call"
    window = f", with the VM powered off and left {step.power}" if step.kind is StepKind.WINDOW else ""
    after = f", after {', '.join(step.after)}" if step.after else ""
    return f"{step.key}: {goals}{window}{after}"


def _no_order(ring: list[str]) -> DiagnosticError:
    return failure(
        "no-order",
        "the steps form a dependency cycle",
        "The disks of a VM share one power-off window, and these steps wait for each other: "
        f"{' -> '.join(reversed(ring))}.",
        "Remove a `dependsOn`, or apply in two parts with --target.",
        exit_code=ExitCode.CONFIGURATION,
    )


class _Uses:
    """Uses of resources and files by the changes of a plan, and the deposed objects of each resource."""

    def __init__(self, changes: Mapping[str, Change]) -> None:
        self._changes = changes
        self.dependents: defaultdict[str, list[Change]] = defaultdict(list)
        """Changes that depend on an address, now or before."""
        self.deposed: defaultdict[str, set[str]] = defaultdict(set)
        """Addresses of deposed objects, by that of their resource."""
        for address, change in changes.items():
            for needed in {*change.dependencies, *change.old_dependencies}:
                self.dependents[needed].append(change)
            if Address(address).deposed:
                self.deposed[Address(address).resource].add(address)

    @cached_property
    def built_from(self) -> Mapping[FileAt, list[Change]]:
        """Changes that need a file when their object is created."""
        found: defaultdict[FileAt, list[Change]] = defaultdict(list)
        for change in self._changes.values():
            for file in build_files(kind_of(change.kind), change.desired):
                found[file].append(change)
        return found


def _parent_deleted(change: Change, changes: Mapping[str, Change]) -> bool:
    parent = changes.get(change.old_placement.parent or change.placement.parent)
    if parent is None:
        return False
    return parent.action in _GOING or (parent.action is Action.CREATE and bool(parent.identity.old_id))


def _add_change(change: Change, goals: Goals, builders: dict[str, StepBuilder]) -> None:
    """Add the step of a change, and one for the deletion. A replacement in place is one step: off, create, delete."""
    parking = change.action is Action.REPLACE and kind_of(change.kind).replace_in_place_last and not change.delete_first
    own = StepBuilder(change.address, StepKind.CHANGE, change.address, list(goals.before), node=change.placement.node)
    own.adopts = change.action is Action.ADOPT
    if parking:
        own.goals = [*_power_off_old_vm(change), *own.goals, *goals.removal]
    if change.action not in {Action.DELETE, Action.FORGET}:
        builders[own.key] = own
    if change.action in {Action.DELETE, Action.FORGET} or (change.action is Action.REPLACE and not parking):
        removal = [g for g in goals.removal if g.needs is not Needs.OFF]
        key = removal_key(change.address)
        builders[key] = StepBuilder(key, StepKind.CHANGE, change.address, removal, node=change.placement.node)


def _power_off_old_vm(change: Change) -> list[Goal]:
    """Power the old VM off first: the new one acquires its GPUs and ports."""
    task = goal_input(change)
    old = replace(task, id=task.old_id, route=task.old_route or task.route)
    return [host(change.kind).power(old, to="off", temporary=True)]


def _add_windows(change: Change, goals: Goals, changes: Mapping[str, Change], builders: dict[str, StepBuilder]) -> None:
    """Add goals that need the VM off to its window, with those of all other resources."""
    removal = [g for g in goals.removal if g.needs is Needs.OFF]
    old_parent = change.old_placement.parent or change.placement.parent
    for parent, offline in ((change.placement.parent, goals.offline), (old_parent, removal)):
        if not offline:
            continue
        host = changes.get(parent, change)
        key = window_key(host.address)
        new = StepBuilder(key, StepKind.WINDOW, host.address, node=host.placement.node, power=final_power(host))
        window = builders.setdefault(key, new)
        window.goals.extend(offline)
        window.after.add(host.address)
        # The window leaves the VM in the desired state: if its own step started it, the window would power it off
        # again.
        if host.address in builders:
            own = builders[host.address]
            own.goals = [g for g in own.goals if g.powers != "on"]


def final_power(host: Change) -> str:
    """Power state after the apply: that of the manifest, else the observed one."""
    return host.desired_power or host.observed_power or "on"


def _add_after(change: Change, running: Sequence[Goal], builders: dict[str, StepBuilder]) -> None:
    """Add a step for goals that need the VM running, after its window."""
    key = f"{change.address}#running"
    builder = StepBuilder(key, StepKind.CHANGE, change.address, list(running), node=change.placement.node)
    builder.after = {change.address, window_key(change.placement.parent or change.address)}
    builders[key] = builder


def ends(change: Change, builders: Mapping[str, StepBuilder]) -> set[str]:
    """Keys of the steps after which a resource is complete."""
    keys = (change.address, f"{change.address}#running", window_key(change.placement.parent or change.address))
    return {key for key in keys if key in builders}


def _order_creation(
    change: Change, changes: Mapping[str, Change], uses: _Uses, builders: dict[str, StepBuilder]
) -> None:
    own = builders[change.address]
    if change.placement.parent and change.action is Action.ADOPT and not change.applied:
        # Adopted before its VM: on a VM that is in the state, the owner of a disk cannot be determined.
        if change.placement.parent in builders and changes[change.placement.parent].action is Action.ADOPT:
            builders[change.placement.parent].behind.add(change.address)
        return
    for needed in change.needed:
        cause = changes.get(needed)
        if cause is None or not cause.pending:
            continue
        if needed == change.placement.parent:
            own.after.add(needed)
        else:
            own.after |= ends(cause, builders)
    if not change.placement.parent:  # a deposed object holds the capacity that the new one needs
        own.after |= {removal_key(a) for a in uses.deposed.get(change.address, ())}
    window = window_key(change.placement.parent) if change.placement.parent else ""
    if window in builders:
        builders[window].after.add(change.address)
    if change.action is Action.REPLACE and removal_key(change.address) in builders:
        _order_replacement(change, builders)


def _order_replacement(change: Change, builders: dict[str, StepBuilder]) -> None:
    """Delete first where the manifest says so, or where both have the same identity; else create first."""
    removal = builders[removal_key(change.address)]
    same = change.keeps_identity
    hosted = bool(change.placement.parent)
    if same or (change.delete_first and kind_of(change.kind).replace_in_place_last):
        builders[change.address].after.add(removal.key)
    elif hosted:
        removal.after |= {change.address, window_key(change.placement.parent), window_key(change.old_placement.parent)}
    else:
        removal.after.add(change.address)


def _order_removal(
    change: Change,
    removal: StepBuilder,
    changes: Mapping[str, Change],
    uses: _Uses,
    builders: dict[str, StepBuilder],
) -> None:
    """Delete an object after everything that depended on it is deleted or replaced."""
    stays = kind_of(change.kind).survives_parent  # its users have a copy
    for other in uses.dependents.get(change.address, ()) if not stays else ():
        if change.address in {other.placement.parent, other.old_placement.parent}:
            continue  # deleted with it
        going = removal_key(other.address)
        if going in builders:
            removal.after.add(going)
        if other.action is Action.REPLACE and other.address in builders and not _waits_for(other, change):
            removal.after.add(other.address)
    parent = changes.get(change.old_placement.parent or change.placement.parent)
    if parent is not None and not removal.goals:  # it is deleted with its VM
        key = removal_key(parent.address)
        removal.after.add(key if key in builders else parent.address)
    if window_key(change.placement.parent) in builders and change.action is Action.DELETE:
        removal.after.add(window_key(change.placement.parent))


def _order_users(change: Change, uses: _Uses, builders: dict[str, StepBuilder]) -> None:
    """Delete or overwrite a file after its users are deleted, and after everything that is built from it is created."""
    kind, removal = kind_of(change.kind), removal_key(change.address)
    own = builders.get(removal) or builders.get(change.address)
    if own is None:
        return
    own.after |= {removal_key(user) if removal_key(user) in builders else user for user in change.users}
    brought = provided_files(kind, change.applied) if removal in builders else frozenset()
    for other in (c for file in brought for c in uses.built_from.get(file, ())):
        if other is not change and other.address in builders:
            own.after |= ends(other, builders)


def _waits_for(other: Change, change: Change) -> bool:
    """Whether a replacement needs the new object, whose identity is free only after the deletion."""
    return change.keeps_identity and change.address in other.dependencies
