"""The addresses named on the command line; what `--target` takes of them, and `--exclude` leaves. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from msgspec.structs import replace

from dbc_iac.address import Address, close_address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.model import Action, Change

_NOUNS = {Action.CREATE: "creation", Action.REPLACE: "replacement", Action.DELETE: "deletion"}


def targeted(changes: Mapping[str, Change], options: PlanOptions) -> dict[str, Change]:
    """The changes that the options ask for: the targets, what they need, and what goes with them.

    The VM of a disk is always included, unchanged: it has the window. Children of an adopted VM are adopted with it, or
    the next plan would create them again.
    """
    if options.excludes:
        changes = _without(changes, options.excludes)
    if not options.targets:
        return dict(changes)
    wanted = _reached(changes, options.targets)
    wanted |= {changes[a].placement.parent for a in wanted} & set(changes)
    wanted |= {a for a, c in changes.items() if c.action is Action.ADOPT and c.placement.parent in wanted}
    return {a: c for a, c in changes.items() if a in wanted}


def left_with(
    decided: Mapping[str, Change], changes: Mapping[str, Change], options: PlanOptions
) -> Iterator[Diagnostic]:
    """Warnings of changes that `--exclude` excludes without naming them."""
    for address, change in decided.items():
        named = {address, Address(address).group}.intersection(options.excludes)
        if options.excludes and not options.targets and change.pending and address not in changes and not named:
            yield Diagnostic(
                "excluded-too",
                Severity.WARNING,
                f"{address} is excluded too",
                f"Its {_NOUNS.get(change.action, change.action.value)} depends on an excluded resource.",
                "To include it, remove --exclude of the resource that it depends on.",
                address=address,
                exit_code=ExitCode.OK,
            )


def of_this_run(problems: Iterable[Diagnostic], changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """The problems without those of addresses that are no target, and that no target needs."""
    concerned = {*changes, *(a for c in changes.values() for a in c.needed)}
    return (p for p in problems if p.address is None or p.address in concerned)


def keep_parents(changes: dict[str, Change], targets: Collection[str]) -> None:
    """Leave the VM alone whose disk is to go and which is not itself a target.

    Before cascades: a disk whose VM would go too would be taken for gone with it, and no call would be made for it.
    """
    wanted = _reached(changes, targets)
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


def _reached(changes: Mapping[str, Change], targets: Collection[str]) -> set[str]:
    """The targets (an address, or all instances of a `forEach`), what they need, and what goes with them."""
    wanted: set[str] = set()
    dependents = by_need(changes, lambda c: (*c.dependencies, c.old_placement.parent) if c.pending else ())
    todo = [a for a in changes if not {a, Address(a).resource, Address(a).group}.isdisjoint(targets)]
    while todo:
        address = todo.pop()
        if address in wanted:
            continue
        wanted.add(address)
        change = changes[address]
        if change.action is not Action.DELETE:
            todo += [d for d in (*change.needed, change.old_placement.parent) if d in changes]
        if change.action in {Action.DELETE, Action.REPLACE}:
            todo += dependents[address]
    return wanted


def _without(changes: Mapping[str, Change], excluded: Collection[str]) -> dict[str, Change]:
    """All but what is excluded, what needs that, and (of what goes) what that needs."""
    left: set[str] = set()
    todo = [a for a in changes if a in excluded or Address(a).group in excluded]
    needing = by_need(changes, lambda c: (*c.needed, c.placement.parent, c.old_placement.parent))
    while todo:
        address = todo.pop()
        if address in left:
            continue
        left.add(address)
        todo += needing[address]
        change = changes[address]
        needed = {*change.dependencies, change.placement.parent, change.old_placement.parent}
        todo += [a for a in needed if a in changes and changes[a].action in {Action.DELETE, Action.REPLACE}]
    return {a: c for a, c in changes.items() if a not in left}


def by_need(changes: Mapping[str, Change], needed: Callable[[Change], Iterable[str]]) -> defaultdict[str, list[str]]:
    """Addresses of the changes that need an address, by that address."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for change in changes.values():
        for address in needed(change):
            found[address].append(change.address)
    return found


def check_named(changes: Mapping[str, Change], options: PlanOptions) -> Diagnostics:
    """Refuse addresses of no resource: a mistyped one would have no effect."""
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
        for address in sorted({*named} - known):
            close = close_address(address, known)
            remedy = "Use Kind/name, or Kind/name.key for one instance of a forEach."
            if close:
                remedy = f"Did you mean {close}? {remedy}"
            summary = f"{flag} {address}: no such resource"
            found.add(Diagnostic("unknown-target", severity, summary, remedy=remedy))
    return found
