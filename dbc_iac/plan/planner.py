"""Planning from the manifests to the plan: references, refresh, decision, preflight, guardrails, steps. Reads only.

`decide` and `complete` are pure; `make_plan` reads what they need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Host, power_of
from dbc_iac.plan.check.file_dependencies import spare_used, spoiling, with_users
from dbc_iac.plan.check.guardrails import check_guardrails, check_offline_never, likely_renames
from dbc_iac.plan.check.preflight import PreflightFacts, check_authority, check_preflight, read_facts
from dbc_iac.plan.check.references import check_inventory
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.decide.changes import POWERED_OFF_REASON, ChangeSet, decide_changes
from dbc_iac.plan.decide.port_allocation import choose_ports
from dbc_iac.plan.decide.propagation import propagate
from dbc_iac.plan.decide.targets import by_need, check_named, keep_parents, left_with, of_this_run, targeted
from dbc_iac.plan.decide.unreadable import unreadable
from dbc_iac.plan.dependencies import closure
from dbc_iac.plan.model import Action, Change, Plan, stream_digest
from dbc_iac.plan.observe.pending_operations import resolvable_operations
from dbc_iac.plan.observe.refresh import RefreshedState, refresh, remembered
from dbc_iac.plan.observe.rentals import read_rentals
from dbc_iac.plan.observe.state_recovery import outdated_bindings, state_outdated
from dbc_iac.plan.schedule.step_builder import CompiledPlan, StepBuilder
from dbc_iac.plan.schedule.steps import compile_steps, with_power_off


class Decision(Struct, frozen=True):
    """The changes of a plan before its checks. `change_set` also has those that the options leave out."""

    context: PlanContext
    change_set: ChangeSet
    changes: Mapping[str, Change]
    problems: Diagnostics


async def make_plan(context: PlanContext, options: PlanOptions) -> CompiledPlan:
    """Plan the changes from what is observed to the manifests.

    A change that is not possible, or that a guardrail refuses, is an error of the plan, which has no steps for it; a
    plan with an error is not applied. Raises DiagnosticError with every problem of the manifests.
    """
    context = with_resolved(context)
    problems = Diagnostics()
    if not options.destroy:
        problems.extend(check_inventory(context.inventory, context.identities))
        problems.raise_errors()
    reader = CachedReader(context.connect, repeats=True)
    if options.offline:
        refreshed = remembered(context, reader)
    else:
        context, refreshed = await refresh_current(context, reader, destroy=options.destroy)
        if refreshed.outdated:
            problems.add(state_outdated(sorted(refreshed.outdated), destroy=options.destroy))
    # In threads: a secret that is compared or checked may be printed by a program, which takes seconds.
    decision = await asyncio.to_thread(decide, context, refreshed, options, problems)
    facts = None if options.offline else await read_facts(decision.context, refreshed, decision.changes)
    compiled = await asyncio.to_thread(complete, decision, refreshed, options, facts)
    if options.offline:
        return compiled
    plan, builders = compiled.plan, compiled.steps
    denied = await check_authority(decision.context, reader, builders)
    rentals, unavailable = await read_rentals(decision.context, refreshed)
    diagnostics = (*plan.diagnostics, *denied, *(weighed(p, context.refused) for p in unavailable))
    changes = tuple(marked(plan.changes, denied)) if denied else plan.changes
    plan = replace(plan, changes=changes, calls=reader.calls, rentals=rentals, diagnostics=diagnostics)
    return CompiledPlan(plan, builders)


async def refresh_current(
    context: PlanContext, reader: CachedReader, *, destroy: bool = False
) -> tuple[PlanContext, RefreshedState]:
    """Observe everything. The context knows what was found, and has no binding of an older state: its object is found
    as that of a lost state. `destroy`: keep them, to remove them from the state."""
    refreshed = await refresh(context, reader)
    gone = (t for a, t in refreshed.tracked_objects.items() if refreshed.observations[a].present is False)
    outdated = await outdated_bindings(context, reader, gone)
    if outdated and not destroy:
        bindings = {a: b for a, b in context.state.bindings.items() if a not in outdated}
        context = with_resolved(replace(context, state=context.state.model_copy(update={"bindings": bindings})))
        refreshed = await refresh(context, reader)
    refreshed = replace(refreshed, outdated=outdated)
    return with_resolved(context, found=refreshed.found) if refreshed.found else context, refreshed


def decide(context: PlanContext, refreshed: RefreshedState, options: PlanOptions, problems: Diagnostics) -> Decision:
    """Decide the changes, of the targets only. Pure but for secrets. Raises DiagnosticError for an unknown target."""
    context, change_set = decide_until_stable(context, refreshed, options)
    if options.targets or options.excludes or options.replace or options.destroy_identity or options.unprotect:
        named = check_named(change_set.changes, options)
        named.raise_errors()
        problems.extend(named)
    changes: Mapping[str, Change] = change_set.changes
    if options.targets or options.excludes:
        changes = targeted(change_set.changes, options)
        problems.extend(left_with(change_set.changes, changes, options))
        problems.extend(of_this_run(change_set.problems, changes))
    else:
        problems.extend(change_set.problems)
    for change in changes.values():
        if change.action is Action.UNKNOWN:
            problems.add(unreadable(change))
    return Decision(context, change_set, changes, problems)


def complete(
    decision: Decision, refreshed: RefreshedState, options: PlanOptions, facts: PreflightFacts | None
) -> CompiledPlan:
    """Check the changes and order the steps of those that are possible. Pure but for secrets.

    `facts`: None to plan without the API.
    """
    context, changes = decision.context, dict(decision.changes)
    problems = Diagnostics()
    problems.extend(decision.problems)
    if facts is not None:
        problems.extend(check_preflight(context, refreshed, changes, facts))
    problems.extend(check_guardrails(context, changes, options))
    if spoiled := list(spoiling(changes)):
        changes, used = spare_used(context, decision.change_set.changes, changes, spoiled)
        problems.extend(used)
        changes = with_users(changes)
    changes = dict(sorted(changes.items()))  # the order that an apply of the plan compiles them in
    if any(c.action is Action.DELETE for c in changes.values()):
        problems.extend(likely_renames(changes))
    possible: Mapping[str, Change] = changes
    if problems:
        problems = _placed(problems, context, refreshed)
        refused = _refused(changes, problems)
        possible = {a: replace(c, action=Action.NO_OP) if a in refused else c for a, c in changes.items()}
    builders = compile_steps(possible)
    problems.extend(check_offline_never(context, changes, builders))
    if problems:
        changes = {c.address: c for c in marked(changes.values(), problems)}
    return CompiledPlan(_plan(decision, refreshed, options, changes, builders, problems), builders)


def _refused(changes: Mapping[str, Change], problems: Diagnostics) -> set[str]:
    """Addresses of the changes with an error, and of those that depend on them."""
    needing = by_need(changes, lambda c: {*c.dependencies, *c.old_dependencies, c.placement.parent})
    return closure((p.address for p in problems.errors if p.address), needing) & changes.keys()


def marked(changes: Iterable[Change], problems: Iterable[Diagnostic]) -> Iterator[Change]:
    """The changes, each with the codes of the errors that refuse it among its reasons."""
    codes: dict[str | None, dict[str, None]] = {}
    for problem in problems:
        if problem.severity is Severity.ERROR:
            codes.setdefault(problem.address, {})[problem.code] = None
    for change in changes:
        if change.address in codes and change.pending:
            reason = f"refused ({', '.join(codes[change.address])})"
            yield replace(change, reasons=(*change.reasons, reason))
        else:
            yield change


def _placed(problems: Diagnostics, context: PlanContext, refreshed: RefreshedState) -> Diagnostics:
    """The problems with places in the manifests, and with the warnings that the project refuses as errors.

    Of a resource that may exist already only that is reported: others may be conflicts with the object itself.
    """
    found = Diagnostics()
    asked = {p.address: p.code for p in refreshed.problems if p.severity is Severity.ERROR}
    for problem in problems:
        if asked.get(problem.address, problem.code) != problem.code:
            continue
        resource = context.inventory.resources.get(problem.address or "")
        if resource is not None and problem.source is None:
            problem = replace(problem, source=resource.where(""))  # noqa: PLW2901 - the same one, with its place
        found.add(weighed(problem, context.refused))
    return found


def weighed(problem: Diagnostic, refused: Collection[str]) -> Diagnostic:
    """The problem, as an error if the project refuses such warnings."""
    if problem.severity is not Severity.WARNING or problem.code not in refused:
        return problem
    remedy = f"{problem.remedy} `thresholds.refuse` of the project file refuses {problem.code}.".strip()
    return replace(problem, severity=Severity.ERROR, remedy=remedy, exit_code=ExitCode.REFUSED)


def with_resolved(
    context: PlanContext,
    moving: frozenset[str] = frozenset(),
    found: Mapping[str, Mapping[str, Json]] = MappingProxyType({}),
) -> PlanContext:
    """The context with an inventory that knows the ids of all addresses, from the state or the API (`found`), and the
    resolved values of those that stay.

    `moving`: addresses that are created or replaced.
    """
    bound = {a: b.known for a, b in context.state.bindings.items()}
    known = {a: k for a, k in {**found, **bound}.items() if a not in moving}
    ids = {a: str(k["id"]) for a, k in {**found, **bound}.items()}
    if (known, ids) == (context.inventory.known, context.inventory.bound):
        return context  # its inventory has computed values already
    return replace(context, inventory=replace(context.inventory, known=known, bound=ids))


def decide_until_stable(
    context: PlanContext, refreshed: RefreshedState, options: PlanOptions
) -> tuple[PlanContext, ChangeSet]:
    """Decide again for as long as one replacement follows from another: by `replaceOn`, or by a reference whose value
    is known only after the replacement."""
    moving: frozenset[str] = frozenset()
    requested = {address: f"--replace {address}" for address in options.replace}
    while True:
        context = with_resolved(context, moving, refreshed.found)
        found = Diagnostics()
        desired = choose_ports(context.inventory, refreshed, found)
        change_set = decide_changes(context, refreshed, desired, options, requested)
        if options.targets:
            keep_parents(change_set.changes, options.targets)
        propagate(change_set)
        made = {a for a, c in change_set.changes.items() if c.action in {Action.CREATE, Action.REPLACE}}
        replaced = {a for a in made if change_set.changes[a].action is Action.REPLACE}
        following = {
            r.address: f"replaceOn {', '.join(sorted(causes))}"
            for r in context.inventory.resources.values()
            if (causes := replaced & set(r.spec.lifecycle.replace_on)) and r.address not in replaced | requested.keys()
        }
        resolved = context.inventory.known.keys() & made  # only values that are known until then make a difference
        if not following and not resolved:
            change_set.problems.extend(found)
            return context, change_set
        moving |= made
        requested |= following


def _closed(decision: Decision, refreshed: RefreshedState, changes: Mapping[str, Change]) -> tuple[int, ...]:
    """Numbers of the pending operations that can be closed."""
    seen = ((kind_of(t.kind), refreshed.observations[a]) for a, t in refreshed.tracked_objects.items())
    waiting = frozenset(o.id for kind, o in seen if isinstance(kind, Host) and power_of(kind, o.values) != "on")
    decided, state = decision.change_set.changes, decision.context.state
    return tuple(resolvable_operations(state, changes, decided, refreshed.observations, waiting))


def _plan(
    decision: Decision,
    refreshed: RefreshedState,
    options: PlanOptions,
    changes: Mapping[str, Change],
    builders: Mapping[str, StepBuilder],
    problems: Diagnostics,
) -> Plan:
    context = decision.context
    steps = tuple(d.step() for d in builders.values())
    touched = {a for step in steps for a in (step.address, *(goal.address for goal in step.goals))}
    resources = context.inventory.resources
    before_offline = {
        a: hook for a in sorted(touched & resources.keys()) if (hook := resources[a].spec.lifecycle.before_offline)
    }
    shown = tuple(with_power_off((c for _, c in sorted(changes.items())), steps))
    manifests = (
        (a, r.kind, r.spec.model_dump_json(by_alias=True, exclude_none=True)) for a, r in sorted(resources.items())
    )
    seen = ((a, o.present, o.id, dict(o.values)) for a, o in sorted(refreshed.observations.items()))
    state = context.state
    closed = _closed(decision, refreshed, changes) if state.open and not options.offline else ()
    down = tuple(f"{c.address}: {POWERED_OFF_REASON}" for c in shown if POWERED_OFF_REASON in c.reasons)
    recovery = down + tuple(
        f"{i.address}: a previous {i.noun} may have succeeded; checking first"
        for i in state.open
        if i.number not in closed
    )
    return Plan(
        project=context.inventory.project,
        stack=context.inventory.stack,
        environment=context.environment,
        lineage=state.lineage,
        serial=state.serial,
        journal_records=context.journal_records,
        configuration=stream_digest(manifests),
        observation=stream_digest(seen),
        changes=shown,
        steps=steps,
        diagnostics=tuple(problems),
        recovery=recovery,
        moves=tuple(f"{before} to {now}" for before, now in context.moves),
        closed_operations=closed,
        hooks={a: hook.model_dump(mode="json", by_alias=True) for a, hook in before_offline.items()},
        access=context.access,
        destroy=options.destroy,
        targets=tuple(sorted(options.targets)),
        options=to_builtins(options, order="deterministic"),
    )
