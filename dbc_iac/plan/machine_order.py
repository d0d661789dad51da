"""The order of steps on one machine: what ends its process, what is off because of us, what gives up, what takes. Pure.

Most of it is no need: the one comes first, whatever becomes of it (`Draft.behind`), unless it has to come after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.kind import Holding
from dbc_iac.plan.draft import Draft, removal_key, window_key
from dbc_iac.plan.model import Action, Change, StepKind
from dbc_iac.values import Json


def order_machines(changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """Add to what the steps wait for."""
    _order_process_ends(changes, drafts)
    _order_moves(changes, drafts)
    _order_starts(changes, drafts)
    _order_books(changes, drafts)


def _order_process_ends(changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """What ends the node's process waits for everything on that machine but what needs it."""
    for ending in [d for d in drafts.values() if any(g.ends_process for g in d.goals)]:
        needing, machine = following(ending.key, drafts), _target(changes[ending.address])
        there = {key for key, draft in drafts.items() if _target(changes[draft.address]) == machine}
        ending.after |= there - needing


def _order_moves(changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """What comes anew on another VM is made there before the old one goes, unless two VMs swap."""
    for change in changes.values():
        made, left = window_key(change.holder), window_key(change.old_holder)
        if change.old_holder and made != left and {made, left} <= set(drafts) and made not in following(left, drafts):
            drafts[left].behind.add(made)


def _order_starts(changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """What is to run again is started before anything new comes: the node lends the cards of a VM that is off."""
    starts = {
        key for key, draft in drafts.items()
        if any(g.powers == "on" for g in draft.goals) and changes[draft.address].observed.get("power") == "off"
    }  # fmt: skip
    for key, draft in drafts.items():
        change = changes[draft.address]
        if not any(g.creates and g.address == draft.address for g in draft.goals):
            continue
        there = {s for s in starts if _target(changes[drafts[s].address]) == _target(change)}
        draft.behind |= there - following(key, drafts) if kind_of(change.kind).host else set()


def _order_books(changes: Mapping[str, Change], drafts: dict[str, Draft]) -> None:
    """What gives up GPUs, ports or a public address comes before what takes them."""
    given: dict[Json, dict[str, Holding]] = {}
    taken: dict[Json, dict[str, Holding]] = {}
    for key, draft in drafts.items():
        change = changes[draft.address]
        gives, takes = _passes(key, draft, change) if kind_of(change.kind).host else (None, None)
        for passes, there in ((gives, given), (takes, taken)):
            if passes is not None:
                there.setdefault(_target(change), {})[key] = passes
    for target, takers in taken.items():
        for taker, needs in takers.items() if target in given else ():
            fitting = {k for k, has in given[target].items() if (needs.gpus and has.gpus) or needs.clashes(has)}
            drafts[taker].behind |= fitting - following(taker, drafts)


def _passes(key: str, draft: Draft, change: Change) -> tuple[Holding | None, Holding | None]:
    """What a step of a host gives up of its machine, and what it takes."""
    kind = kind_of(change.kind)
    before, after = kind.holds({**change.applied, **change.observed}), kind.holds(change.desired)
    if key == removal_key(draft.address):
        return before, None
    if change.action is Action.CREATE:
        return None, after
    if change.action is not Action.UPDATE:
        return None, None
    more = after.gpus - before.gpus if draft.kind is StepKind.WINDOW else 0
    gives, takes = before.less(after), after.less(before)
    if any(g.powers == "on" for g in draft.goals):  # a start takes all that it has
        takes = replace(takes, ports=after.ports, start_ports=after.start_ports)
    return replace(gives, gpus=max(0, -more)), replace(takes, gpus=max(0, more))


def _target(change: Change) -> Json:
    return (change.reach or change.old_reach).get("target")


def following(key: str, drafts: Mapping[str, Draft]) -> set[str]:
    """A step, and every step that comes after it, however indirectly."""
    found = {key}
    while more := {k for k, d in drafts.items() if k not in found and d.first & found}:
        found |= more
    return found
