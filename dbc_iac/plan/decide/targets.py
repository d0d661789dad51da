"""The addresses named on the command line; what `--target` takes of them, and `--exclude` leaves. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.model import Action, Change


def targeted(changes: Mapping[str, Change], options: PlanOptions) -> dict[str, Change]:
    """The changes that the options ask for: the targets, what they need, and what goes with them.

    The VM of a disk is always included, unchanged: it has the window. Children of an adopted VM are adopted with it, or
    the next plan would create them again.
    """
    changes = _without(changes, options.excludes)
    if not options.targets:
        return changes
    wanted = _reached(changes, options.targets)
    wanted |= {changes[a].placement.parent for a in wanted} & set(changes)
    wanted |= {a for a, c in changes.items() if c.action is Action.ADOPT and c.placement.parent in wanted}
    return {a: c for a, c in changes.items() if a in wanted}


def left_with(
    decided: Mapping[str, Change], changes: Mapping[str, Change], options: PlanOptions
) -> Iterator[Diagnostic]:
    """Warnings of changes that `--exclude` excludes without naming them."""
    for address, change in decided.items():
        named = {address, Address(address).group} & options.excludes
        if options.excludes and not options.targets and change.pending and address not in changes and not named:
            yield Diagnostic(
                "left-out",
                Severity.WARNING,
                f"{address} is excluded too",
                f"Its {change.action.value} depends on an excluded resource.",
                address=address,
                exit_code=ExitCode.OK,
            )


def left_out(address: str | None, changes: Mapping[str, Change], options: PlanOptions) -> bool:
    """Whether what is wrong with an address is no matter of this run: it is not a target, and no target needs it."""
    if not (options.targets or options.excludes) or address is None:
        return False
    return address not in changes and all(address not in c.needed for c in changes.values())


def keep_parents(changes: dict[str, Change], options: PlanOptions) -> None:
    """Leave the VM alone whose disk is to go and which is not itself a target.

    Before cascades: a disk whose VM would go too would be taken for gone with it, and no call would be made for it.
    """
    if not options.targets:
        return
    wanted = _reached(changes, options.targets)
    for address in [changes[a].placement.parent for a in wanted if changes[a].action is Action.DELETE]:
        if address in changes and address not in wanted:
            changes[address] = _unchanged(changes[address])


def _unchanged(change: Change) -> Change:
    if change.action in {Action.UNKNOWN, Action.FORGET}:
        return change
    return replace(
        change,
        action=Action.NO_OP,
        reasons=(),
        fields=(),
        notes=(),
        losses=(),
        identity=replace(change.identity, id=change.identity.old_id or change.identity.id, old_id=""),
        placement=replace(change.placement, route=change.old_placement.route or change.placement.route),
        dependencies=change.old_dependencies or change.dependencies,
    )


def _reached(changes: Mapping[str, Change], targets: frozenset[str]) -> set[str]:
    """The targets (an address, or all instances of a `forEach`), what they need, and what goes with them."""
    wanted: set[str] = set()
    todo = [a for a in changes if {a, Address(a).resource, Address(a).group} & targets]
    while todo:
        address = todo.pop()
        if address in wanted:
            continue
        wanted.add(address)
        change = changes[address]
        if change.action is not Action.DELETE:
            todo += [d for d in (*change.needed, change.old_placement.parent) if d in changes]
        if change.action in {Action.DELETE, Action.REPLACE}:
            todo += [c.address for c in changes.values() if address in c.dependencies and c.pending]
    return wanted


def _without(changes: Mapping[str, Change], excluded: frozenset[str]) -> dict[str, Change]:
    """All but what is excluded, what needs that, and (of what goes) what that needs."""
    left = {a for a in changes if a in excluded or Address(a).group in excluded}
    while True:
        more = {
            c.address
            for c in changes.values()
            if c.address not in left
            and (
                left & {*c.needed, c.placement.parent, c.old_placement.parent}
                or any(_goes_under(c, changes[other]) for other in left)
            )
        }
        if not more:
            return {a: c for a, c in changes.items() if a not in left}
        left |= more


def _goes_under(change: Change, other: Change) -> bool:
    """Whether a change takes away what another resource needs."""
    going = change.action in {Action.DELETE, Action.REPLACE}
    return going and change.address in {*other.dependencies, other.placement.parent}


def check_named(changes: Mapping[str, Change], options: PlanOptions) -> Diagnostics:
    """A mistyped address would otherwise do nothing, without a word."""
    found = Diagnostics()
    instances = {str(Address(a).group) for a in changes}
    for flag, named, known in (
        ("--target", options.targets, changes.keys() | instances),
        ("--exclude", options.excludes, changes.keys() | instances),
        ("--replace", options.replace, changes.keys()),
        ("--destroy-identity", options.destroy_identity, changes.keys()),
        ("--unprotect", options.unprotect, changes.keys()),
    ):
        # What was destroyed is not there any more, and the same command, repeated, has nothing to do.
        severity = Severity.WARNING if flag == "--destroy-identity" else Severity.ERROR
        for address in sorted(named - known):
            close = difflib.get_close_matches(address, known, 1)
            remedy = "Use Kind/name, or Kind/name.key for one instance of a forEach."
            if close:
                remedy = f"Did you mean {close[0]}? {remedy}"
            summary = f"{flag} {address}: no such resource"
            found.add(Diagnostic("unknown-target", severity, summary, remedy=remedy))
    return found
