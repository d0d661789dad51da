"""Planning, from beginning to end: check, look, compare, cascade, preflight, rails, steps. Reads only."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError
from types import MappingProxyType

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.reader import Reader
from dbc_iac.kinds.spec import BeforeOffline
from dbc_iac.plan.begun import settled
from dbc_iac.plan.cascade import cascade
from dbc_iac.plan.decide import DOWN_REASON, Decisions, decide, unreadable
from dbc_iac.plan.draft import Draft
from dbc_iac.plan.graph import check_inventory
from dbc_iac.plan.model import Action, Change, Plan, Step, canonical_digest
from dbc_iac.plan.ports import choose_ports
from dbc_iac.plan.preflight import preflight
from dbc_iac.plan.rails import rails, stays_on
from dbc_iac.plan.refresh import World, refresh, remembered
from dbc_iac.plan.renames import likely_renames
from dbc_iac.plan.session import Options, Session
from dbc_iac.plan.standing import spare_used, with_users
from dbc_iac.plan.steps import compile_steps
from dbc_iac.plan.targets import check_named, leave_holders, left_out, left_with, targeted
from dbc_iac.values import Json


async def make_plan(session: Session, options: Options) -> Plan:
    """The plan that leads from what is to what is wanted.

    Raises DiagnosticError with every problem found: of the manifests, of what cannot be done, of a rail.
    """
    problems = Diagnostics()
    session = with_known(session)
    if not options.destroy:
        problems.extend(check_inventory(session.inventory, session.identities))
        problems.raise_errors()
    reader = Reader(session.connect)
    world = remembered(session, reader) if options.offline else await refresh(session, reader)
    session, decisions = decided(session, world, options)
    named = check_named(decisions.changes, options)
    named.raise_errors()
    problems.extend(named)
    changes = targeted(decisions.changes, options)
    problems.extend(left_with(decisions.changes, changes, options))
    problems.extend(p for p in decisions.problems if not left_out(p.address, changes, options))
    for change in changes.values():
        if change.action is Action.UNKNOWN:
            problems.add(unreadable(change))
    if not options.offline:
        problems.extend(await preflight(session, world, changes))
    problems.extend(rails(session, changes, options))
    changes, used = spare_used(session, decisions.changes, changes)
    problems.extend(used)
    changes = with_users(changes)
    problems.extend(likely_renames(changes))
    problems = _placed(problems, session, world)
    problems.raise_errors()
    drafts = _steps(changes)
    problems.extend(stays_on(session, changes, drafts))
    problems.raise_errors()
    return _plan(session, world, options, changes, drafts, problems)


def _placed(problems: Diagnostics, session: Session, world: World) -> Diagnostics:
    """Every problem of a resource that has a document points into it.

    Of what may exist already only that is told: a port conflict with the object itself would be one of the others.
    """
    found = Diagnostics()
    asked = {p.address: p.code for p in world.problems if p.severity is Severity.ERROR}
    for problem in problems:
        if asked.get(problem.address, problem.code) != problem.code:
            continue
        resource = session.inventory.resources.get(problem.address or "")
        if resource is not None and problem.source is None:
            problem = replace(problem, source=resource.where(""))  # noqa: PLW2901 - the same one, with its place
        found.add(weighed(problem, session.refused))
    return found


def weighed(problem: Diagnostic, refused: Collection[str]) -> Diagnostic:
    """A warning that the project refuses is an error."""
    if problem.severity is not Severity.WARNING or problem.code not in refused:
        return problem
    remedy = f"{problem.remedy} `thresholds.refuse` of the project file refuses {problem.code}.".strip()
    return replace(problem, severity=Severity.ERROR, remedy=remedy, exit_code=ExitCode.REFUSED)


def with_known(
    session: Session,
    moving: frozenset[str] = frozenset(),
    found: Mapping[str, Mapping[str, Json]] = MappingProxyType({}),
) -> Session:
    """The session whose inventory knows what the state, or the API (`found`), tells of all addresses that stay.

    `moving`: the addresses that are created or replaced.
    """
    bound = {a: {"id": b.id, **b.resolved} for a, b in session.state.bindings.items()}
    known = {a: k for a, k in {**found, **bound}.items() if a not in moving}
    return replace(session, inventory=replace(session.inventory, known=known))


def decided(session: Session, world: World, options: Options) -> tuple[Session, Decisions]:
    """Decide, and again for as long as one replacement follows from another: by `replaceOn`, or since what another
    document refers to will be known only when it is made."""
    moving: frozenset[str] = frozenset()
    while True:
        session = with_known(session, moving, world.found)
        found = Diagnostics()
        decisions = decide(session, world, choose_ports(session.inventory, world, found), options)
        leave_holders(decisions.changes, options)
        cascade(decisions)
        made = {a for a, c in decisions.changes.items() if c.action in {Action.CREATE, Action.REPLACE}}
        replaced = {a for a in made if decisions.changes[a].action is Action.REPLACE}
        following = {
            r.address
            for r in session.inventory.resources.values()
            if replaced & set(r.spec.lifecycle.replace_on) and r.address not in replaced | options.replace
        }
        if not following and made <= moving:
            decisions.problems.extend(found)
            return session, decisions
        moving |= made
        options = replace(options, replace=options.replace | following)


def _steps(changes: Mapping[str, Change]) -> dict[str, Draft]:
    try:
        return compile_steps(changes)
    except CycleError as error:
        ring = " -> ".join(reversed(error.args[1]))
        problems = Diagnostics()
        problems.add(
            Diagnostic(
                "no-order",
                Severity.ERROR,
                "there is no order in which this could be done",
                f"A VM's disks are added in one offline window, and the steps around it wait for each other: {ring}.",
                "Remove a `dependsOn`, or apply in two runs with --target.",
                exit_code=ExitCode.CONFIGURATION,
            )
        )
        problems.raise_errors()
        raise


def _hooks(session: Session, steps: Iterable[Step]) -> dict[str, BeforeOffline]:
    """What is run before machines of these steps are powered off, by their addresses."""
    touched = {a for step in steps for a in (step.address, *(goal.address for goal in step.goals))}
    resources = (r for a, r in sorted(session.inventory.resources.items()) if a in touched)
    return {r.address: hook for r in resources if (hook := r.spec.lifecycle.before_offline) is not None}


def _plan(
    session: Session,
    world: World,
    options: Options,
    changes: Mapping[str, Change],
    drafts: Mapping[str, Draft],
    problems: Diagnostics,
) -> Plan:
    steps = tuple(d.step() for d in drafts.values())
    running = {a for a, c in changes.items() if c.observed.get("power") != "off"}
    off = {s.address for s in steps if s.kind == "window"} & running
    hooks = _hooks(session, steps)
    shown = tuple(
        replace(
            c,
            power_off=a in off or (c.pending and bool({c.holder, c.old_holder} & off)),
            notes=(*c.notes, f"before it is powered off: {shlex.join(hooks[a].command)}") if a in hooks else c.notes,
        )
        for a, c in sorted(changes.items())
    )
    documents: dict[str, Json] = {
        a: {"kind": r.kind, "spec": r.spec.model_dump(mode="json", by_alias=True, exclude_none=True)}
        for a, r in sorted(session.inventory.resources.items())
    }
    seen: dict[str, Json] = {
        a: {"present": o.present, "id": o.id, "values": dict(o.values)} for a, o in sorted(world.observations.items())
    }
    state = session.state
    waiting = frozenset(
        o.id for a, o in world.observations.items()
        if kind_of(world.candidates[a].kind).host and o.values.get("power") != "on"
    )  # fmt: skip
    closed = tuple(settled(state, changes, world.observations, waiting)) if not options.offline else ()
    down = tuple(f"{c.address}: {DOWN_REASON}" for c in shown if DOWN_REASON in c.reasons)
    recovery = down + tuple(
        f"{i.address}: the outcome of an earlier {i.goal} is not certain; it is looked at first"
        for i in state.open
        if i.number not in closed
    )
    return Plan(
        project=session.inventory.project,
        stack=session.inventory.stack,
        environment=session.environment,
        lineage=state.lineage,
        serial=state.serial,
        configuration=canonical_digest(documents),
        observation=canonical_digest(seen),
        changes=shown,
        steps=steps,
        diagnostics=tuple(problems),
        recovery=recovery,
        moves=tuple(f"{now} has what {before} had" for before, now in session.moves),
        settled=closed,
        hooks={a: hook.model_dump(mode="json", by_alias=True) for a, hook in hooks.items()},
        ways=session.ways,
        calls=world.reader.calls,
        destroy=options.destroy,
        targets=tuple(sorted(options.targets)),
        chosen=options.to_json(),
    )
