"""From changes to steps: one per change, one offline window per VM, and the order between them. Pure.

The engine builds windows from what goals need, and from nothing else: a goal that needs its VM off goes into that VM's
window, whichever resource it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.goal import DOWN, Goal, Needs
from dbc_iac.plan.draft import Draft, removal_key, window_key
from dbc_iac.plan.graph import order
from dbc_iac.plan.machine_order import order_machines
from dbc_iac.plan.model import Action, Change, StepKind
from dbc_iac.plan.tasks import Goals, goals_of, same_again, task_of
from dbc_iac.state.document import LEFT

_GOING = frozenset({Action.DELETE, Action.REPLACE, Action.FORGET})


def compile_steps(changes: Mapping[str, Change]) -> dict[str, Draft]:
    """All steps by key, in an order that respects their dependencies."""
    drafts: dict[str, Draft] = {}
    pending = {a: c for a, c in changes.items() if c.pending}
    goals = {a: goals_of(c, holder_goes=_holder_goes(c, changes)) for a, c in pending.items()}
    for address, change in pending.items():
        _draft_change(change, goals[address], drafts)
    for address, change in pending.items():
        _draft_windows(change, goals[address], changes, drafts)
    for address, change in pending.items():
        _draft_after(change, goals[address], drafts)
    for change in pending.values():
        _order_creation(change, changes, drafts)
        _order_removal(change, changes, drafts)
        _order_users(change, changes, drafts)
    for draft in drafts.values():
        draft.after = {k for k in draft.after if k in drafts and k != draft.key}
    order_machines(changes, drafts)
    keys = order({k: tuple(sorted(d.first)) for k, d in drafts.items()})
    return {k: drafts[k] for k in keys}


def _holder_goes(change: Change, changes: Mapping[str, Change]) -> bool:
    holder = changes.get(change.old_holder or change.holder)
    if holder is None:
        return False
    return holder.action in _GOING or (holder.action is Action.CREATE and bool(holder.old_id))


def _draft_change(change: Change, goals: Goals, drafts: dict[str, Draft]) -> None:
    """The change's own step, and one for what goes. With parking both are one: off, create, delete."""
    parking = change.action is Action.REPLACE and kind_of(change.kind).parks and not change.delete_first
    own = Draft(change.address, StepKind.CHANGE, change.address, list(goals.before), node=change.node)
    if parking:
        own.goals = [*_parked(change), *own.goals, *goals.removal]
    if change.action not in {Action.DELETE, Action.FORGET}:
        drafts[own.key] = own
    if change.action in {Action.DELETE, Action.FORGET} or (change.action is Action.REPLACE and not parking):
        removal = [g for g in goals.removal if g.needs is not Needs.OFF]
        key = removal_key(change.address)
        drafts[key] = Draft(key, StepKind.CHANGE, change.address, removal, node=change.node)


def _parked(change: Change) -> list[Goal]:
    """The old machine is powered off first: the new one takes its GPUs and ports."""
    task = task_of(change)
    off = kind_of(change.kind).power(replace(task, id=task.old_id, reach=task.old_reach or task.reach), to="off")
    return [replace(off, fields={"power": DOWN})]


def _draft_windows(change: Change, goals: Goals, changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """Goals that need the VM off go into its window, together with those of all other resources."""
    _join_window(changes.get(change.holder, change), list(goals.offline), drafts)
    removal = [g for g in goals.removal if g.needs is Needs.OFF]
    _join_window(changes.get(change.old_holder or change.holder, change), removal, drafts)


def _join_window(host: Change, offline: list[Goal], drafts: dict[str, Draft]) -> None:
    if not offline:
        return
    key = window_key(host.address)
    new = Draft(key, StepKind.WINDOW, host.address, node=host.node, power=wanted_power(host))
    window = drafts.setdefault(key, new)
    window.goals.extend(offline)
    window.after.add(host.address)
    # The window leaves the VM as it is wanted: started by its own step, it would be powered off once more.
    if host.address in drafts:
        own = drafts[host.address]
        own.goals = [g for g in own.goals if g.powers != "on"]


def wanted_power(host: Change) -> str:
    """How a machine is to be left: as its document says, else as it was found."""
    return str(host.desired.get("power") or host.observed.get("power") or "on")


def _draft_after(change: Change, goals: Goals, drafts: dict[str, Draft]) -> None:
    """Goals that need the VM running: at once where it runs, else when its window has closed."""
    if not goals.after:
        return
    key = f"{change.address}#running"
    draft = Draft(key, StepKind.CHANGE, change.address, list(goals.after), node=change.node)
    draft.after = {change.address, window_key(change.holder or change.address)}
    drafts[key] = draft


def ends(change: Change, drafts: Mapping[str, Draft]) -> set[str]:
    """The steps after which a resource is there, whole."""
    keys = {change.address, f"{change.address}#running"} & set(drafts)
    window = window_key(change.holder or change.address)
    if window in drafts:
        keys.add(window)
    return keys


def _order_creation(change: Change, changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    if change.address not in drafts:
        return
    own = drafts[change.address]
    if change.holder and change.action is Action.ADOPT and not change.applied:
        # It is bound as it is, and before its VM: on a VM that the state knows, nothing tells whose a disk is.
        if change.holder in drafts and changes[change.holder].action is Action.ADOPT:
            drafts[change.holder].behind.add(change.address)
        return
    for needed in change.needed:
        cause = changes.get(needed)
        if cause is None or not cause.pending:
            continue
        if needed == change.holder:
            own.after.add(needed)
        else:
            own.after |= ends(cause, drafts)
    if not change.holder:  # what is left of an earlier try holds what the new one needs
        own.after |= {removal_key(a) for a in changes if a.partition(LEFT)[0] == change.address != a}
    window = window_key(change.holder) if change.holder else ""
    if window in drafts and change.address in drafts:
        drafts[window].after.add(change.address)
    if change.action is Action.REPLACE and removal_key(change.address) in drafts:
        _order_replacement(change, drafts)


def _order_replacement(change: Change, drafts: dict[str, Draft]) -> None:
    """Delete first where asked, or where both have the same identity; else the old goes when the new stands."""
    removal = drafts[removal_key(change.address)]
    same = same_again(change)
    hosted = bool(change.holder)
    if same or (change.delete_first and kind_of(change.kind).parks):
        drafts[change.address].after.add(removal.key)
    elif hosted:
        removal.after |= {change.address, window_key(change.holder), window_key(change.old_holder)}
    else:
        removal.after.add(change.address)


def _order_removal(change: Change, changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """What goes waits for all that needed it to be gone, or to need it no more."""
    removal = drafts.get(removal_key(change.address))
    if removal is None:
        return
    stays = kind_of(change.kind).outlives_holder  # what others took from it
    for other in changes.values() if not stays else ():
        needed = {*other.dependencies, *other.old_dependencies}
        if change.address not in needed or change.address in {other.holder, other.old_holder}:
            continue  # its old disks go with it
        going = removal_key(other.address)
        if going in drafts:
            removal.after.add(going)
        if other.action is Action.REPLACE and other.address in drafts and not _waits_for(other, change):
            removal.after.add(other.address)
    holder = changes.get(change.old_holder or change.holder)
    if holder is not None and not removal.goals:  # it goes when its VM does: in a step of its own, or with parking
        key = removal_key(holder.address)
        removal.after.add(key if key in drafts else holder.address)
    if window_key(change.holder) in drafts and change.action is Action.DELETE:
        removal.after.add(window_key(change.holder))


def _order_users(change: Change, changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """A file goes, or is overwritten, when what was made from it is gone, and what needs it just now has been made."""
    kind, removal = kind_of(change.kind), removal_key(change.address)
    own = drafts.get(removal) or drafts.get(change.address)
    if own is None:
        return
    own.after |= {removal_key(user) if removal_key(user) in drafts else user for user in change.users}
    brought = kind.brings(change.applied) if removal in drafts else frozenset()
    for other in changes.values() if brought else ():
        if other is not change and other.address in drafts and brought & kind_of(other.kind).made_of(other.desired):
            own.after |= ends(other, drafts)


def _waits_for(other: Change, change: Change) -> bool:
    """A replacement that needs the new one of the same identity cannot come before the old one is gone."""
    return same_again(change) and change.address in other.dependencies
