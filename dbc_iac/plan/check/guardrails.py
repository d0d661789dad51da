"""Guardrails: dangerous changes that need an explicit flag, and deletions that look like renames. Pure.

A refusal names the flag or field.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import convert
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.plan.check.file_dependencies import spare_used, spoiling
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.schedule.step_builder import CompiledPlan, StepBuilder

_LISTED = 20
"""Number of addresses that a refusal lists."""
SMALL = 5
"""Number of resources in the state up to which no share of removals is refused."""
ALIKE = 0.8
"""Share of fields that are equal from which on a rename is likely."""


def check_guardrails(context: PlanContext, changes: Mapping[str, Change], options: PlanOptions) -> Iterator[Diagnostic]:
    removals = [c for c in changes.values() if c.action in {Action.DELETE, Action.REPLACE}]
    if removals:
        yield from _empty(context, changes, options)
        yield from _share(context, removals, options)
    for change in removals:
        yield from _protection(context, change, options)
    for change in changes.values():
        if (
            change.pending
            and change.action is not Action.FORGET
            and change.placement.parent
            and _is_foreign(context, change, changes)
        ):
            yield _unmanaged(context, change)


def _refusal(code: str, summary: str, detail: str, remedy: str, address: str | None = None) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, summary, detail, remedy, None, (), address, ExitCode.REFUSED)


def check_reviewed(reviewed: CompiledPlan, context: PlanContext) -> Iterator[Diagnostic]:
    """Errors of the guardrails for a plan of a file: its own diagnostics may have been removed."""
    plan = reviewed.plan
    changes, options = {c.address: c for c in plan.changes}, convert(plan.options, PlanOptions)
    found = [
        *check_guardrails(context, changes, options),
        *check_offline_never(context, changes, reviewed.steps),
        *(likely_renames(changes) if context.refused else ()),
    ]
    if spoiled := list(spoiling(changes)):
        kept = {a: Change(a, b.kind, Action.NO_OP, applied=b.applied) for a, b in context.state.bindings.items()}
        found += spare_used(context, {**kept, **changes}, changes, spoiled)[1]
    for problem in found:
        if problem.severity is Severity.ERROR or problem.code in context.refused:
            yield replace(problem, severity=Severity.ERROR, exit_code=ExitCode.REFUSED)


def _empty(context: PlanContext, changes: Mapping[str, Change], options: PlanOptions) -> Iterator[Diagnostic]:
    managed = [r for r in context.inventory.resources.values() if not kind_of(r.kind).read_only]
    if options.destroy or options.allow_empty:
        return
    if not managed or _leaves_nothing(context, changes, options):
        yield _refusal(
            "empty-manifests",
            "the manifests are empty, but the state is not",
            f"Resources in the state: {len(context.state.bindings)}. Usually the directory or `manifests` is wrong.",
            "Use `dbc-iac destroy`, or --allow-empty.",
        )


def _leaves_nothing(context: PlanContext, changes: Mapping[str, Change], options: PlanOptions) -> bool:
    """Whether nothing that the state or the manifests have is left: the manifests may be others than those of a plan
    file."""
    staying = context.state.bindings.keys() | {r.address for r in context.inventory.resources.values() if r.external}
    going = {a for a, c in changes.items() if c.action is Action.DELETE}
    return not (options.targets or options.excludes) and staying <= going == changes.keys()


def _share(context: PlanContext, removals: list[Change], options: PlanOptions) -> Iterator[Diagnostic]:
    total = len(context.state.bindings)
    if options.destroy or total <= SMALL:
        return
    share = 100 * len(removals) // total
    allowed = context.max_removals if options.max_removals is None else options.max_removals
    if share > allowed:
        yield _refusal(
            "too-many-removals",
            f"{len(removals)} of {total} resources ({share} %) would be deleted or replaced",
            f"The limit is {allowed} %. They are {_listing([c.address for c in removals])}.",
            f"Use --max-removals {share} to allow it.",
        )


def _listing(addresses: list[str]) -> str:
    shown = sorted(addresses)[:_LISTED]
    rest = len(addresses) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _protection(context: PlanContext, change: Change, options: PlanOptions) -> Iterator[Diagnostic]:
    binding = context.state.bindings.get(change.address)
    irreplaceable = kind_of(change.kind).irreplaceable
    if change.address in (options.destroy_identity if irreplaceable else options.unprotect):
        return
    resource = context.inventory.resources.get(change.address)
    said_now = resource is not None and resource.spec.lifecycle.prevent_destroy is True
    if binding is None or not (binding.protected or (said_now and change.action is Action.REPLACE)):
        return
    if irreplaceable:
        yield _refusal(
            "protected",
            f"{change.address} is protected: its on-chain identity would be lost",
            "Adding the server again gives it another node id. Running rentals are not visible here.",
            f"Use --destroy-identity {change.address} to delete it.",
            change.address,
        )
        return
    done = "replaced" if change.action is Action.REPLACE else "deleted"
    yield _refusal(
        "protected",
        f"{change.address} is protected by preventDestroy",
        f"It would be {done}: {'; '.join(change.reasons)}.",
        f"Use --unprotect {change.address} to allow it.",
        change.address,
    )


def _is_foreign(context: PlanContext, change: Change, changes: Mapping[str, Change]) -> bool:
    """Whether the VM of a child is not managed."""
    parent = context.inventory.resources.get(change.placement.parent)
    return change.placement.parent not in changes or (parent is not None and parent.external)


def _unmanaged(context: PlanContext, change: Change) -> Diagnostic:
    """The refusal of a change that needs a VM off which is not managed."""
    summary = f"{change.address} needs {change.placement.parent} powered off"
    detail = "External VMs are never changed, and disks only while their VM is off."
    remedy = f"Remove `external: true` of {change.placement.parent}, or remove {change.address}."
    if change.address not in context.inventory.resources:
        remedy = f"Remove `external: true` of {change.placement.parent}."
    path = kind_of(change.kind).parent_field
    return context.inventory.refusal(change.address, "external-parent", path, summary, detail, remedy)


def check_offline_never(
    context: PlanContext, changes: Mapping[str, Change], builders: Mapping[str, StepBuilder]
) -> Iterator[Diagnostic]:
    """Refuse to power off a running VM with `lifecycle.offline: never`, whichever resource needs it.

    Creation, deletion and `power: off` of the VM itself are allowed.
    """
    reported: set[str] = set()
    for builder in builders.values():
        host = context.inventory.resources.get(builder.address)
        runs = changes[builder.address].observed_power not in {"", "off"}
        if not runs or host is None or host.spec.lifecycle.offline != "never" or not builder.powers_off:
            continue
        replaced = changes[builder.address].action is Action.REPLACE  # its children are replaced with it
        needing = {builder.address} if replaced else {g.address for g in builder.goals}
        for address in sorted(needing - reported):
            reported.add(address)
            yield _needs_off(context, changes[address], host.address)


def _needs_off(context: PlanContext, change: Change, host: str) -> Diagnostic:
    causes = (f.path for f in change.fields if f.behaviour in {"offline", "cold-boot", "replace", "once"})
    cause = next(causes, "") if change.action in {Action.UPDATE, Action.REPLACE} else ""
    summary = f"{host} must not be powered off"
    detail = f"{cause or change.address} needs it powered off, but its lifecycle.offline is never."
    remedy = f"Set `offline: allow` in {host}, or revert this change."
    return context.inventory.refusal(change.address, "offline-never", cause, summary, detail, remedy)


def likely_renames(changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """One warning for each resource that goes while a like one comes."""
    coming: defaultdict[tuple[str, str], dict[str, Change]] = defaultdict(dict)
    for change in changes.values():
        if change.action is Action.CREATE and not change.identity.old_id:
            # Of those with the same fields the first one is named, so that a fleet is compared once.
            coming[change.kind, change.placement.node].setdefault(json.dumps(_comparable(change)), change)
    for going in changes.values():
        if going.action is not Action.DELETE or Address(going.address).deposed:
            continue
        likeness = [(_likeness(going, c), c) for c in coming[going.kind, going.placement.node].values()]
        alike = [(share, c) for share, c in likeness if share >= ALIKE]
        if alike:
            _, best = max(alike, key=lambda found: found[0])
            yield Diagnostic(
                "likely-rename",
                Severity.WARNING,
                f"possible rename of {going.address}",
                f"It is deleted, and {best.address}, which is similar, is created. A new name makes a new resource.",
                f"If it was renamed, add `moved: [{{from: {going.address}, to: {best.address}}}]` to the project file.",
                address=going.address,
            )


def _comparable(change: Change) -> dict[str, Json]:
    """The fields that show a likeness: without chosen ports, which always differ."""
    chosen = kind_of(change.kind).port_fields
    return {path: value for path, value in change.desired.items() if path not in chosen}


def _likeness(going: Change, coming: Change) -> float:
    paths = [(p, v) for p, v in _comparable(coming).items() if p in going.applied]
    return sum(going.applied[p] == v for p, v in paths) / len(paths) if paths else 0.0
