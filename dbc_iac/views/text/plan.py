"""A plan as text: summary, data loss and disruption first, then each change, the steps, and the summary again."""

from __future__ import annotations

import shlex
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence

from msgspec import convert

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.decide.deletions import DESTROY
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.views.disruption import Disruption, Disruptions, Effect, disruptions, length
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.text.fields import MEMBERS, changed_field_lines, common_field_lines, named, new_field_lines
from dbc_iac.views.text.lines import Line, Tone
from dbc_iac.views.text.problems import problems
from dbc_iac.views.wording import RENTALS, Detail, count, duration, grouped, rental_texts, some

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.ADOPT: "=",
    Action.FORGET: "x",
    Action.UNKNOWN: "?",
}
_TONES = {
    Action.CREATE: Tone.ADDED,
    Action.UPDATE: Tone.CHANGED,
    Action.REPLACE: Tone.REMOVED,
    Action.DELETE: Tone.REMOVED,
    Action.UNKNOWN: Tone.UNSEEN,
}
VERBS = {a: a.value for a in Action} | {Action.FORGET: "remove from the state", Action.UNKNOWN: "not read"}
"""Actions as shown."""
_COUNTED = (Action.CREATE, Action.UPDATE, Action.DELETE)
"""Actions that are counted even if there are none."""
ORDER = (Action.DELETE, Action.REPLACE, Action.UPDATE, Action.CREATE, Action.ADOPT, Action.FORGET, Action.UNKNOWN)
"""Display order: the gravest first."""
_LATER = "(known after apply)"
_MAX = 40
"""Lines of a list without `--full`."""
_MAX_ALIKE = 10
"""Lines of a list of similar sentences without `--full`."""
_OFF = frozenset({Effect.CYCLED, Effect.STAYS_OFF, Effect.REPLACED})
"""Effects that power a machine off."""
_PROBLEMS = {Severity.ERROR: Tone.LOSS, Severity.WARNING: Tone.CHANGED, Severity.NOTE: Tone.HEAD}


def summary(plan: Plan) -> str:
    """Number of changes by action, in one line."""
    unread = plan.count(Action.UNKNOWN)
    if plan.empty and not unread:
        return "No changes. The infrastructure matches the manifests."
    order = (*_COUNTED, *(a for a in ORDER if a not in {*_COUNTED, Action.UNKNOWN} and plan.count(a)))
    counts = [f"{plan.count(a):,} to {VERBS[a]}" for a in order] if plan.pending or unread else []
    if plan.moves:
        counts.append(f"{len(plan.moves):,} to move")
    if unread:
        counts.append(f"{unread:,} could not be read")
    return f"Plan: {', '.join(counts)}."


def scope(plan: Plan, disrupted: Disruptions) -> str:
    """Project, stack and environment of a plan, with the expected number of power-offs and API calls."""
    parts = [
        f"{'Destroy project' if plan.destroy else 'Project'} {plan.project}",
        f"stack {plan.stack}{'' if plan.lineage else ' (new)'}",
    ]
    if plan.environment:
        parts.append(f"environment {plan.environment}")
    text = f"{', '.join(parts)}."
    if off := [d for d in disrupted.machines if d.effect in _OFF and d.step]:
        text += f" {machines(off)} will be powered off."
    windows = sum(2 if s.power == "on" else 1 for s in plan.steps if s.kind is StepKind.WINDOW)
    if calls := windows + sum(len(s.goals) for s in plan.steps):
        text += f" About {count(calls, 'API call')}."
    if lifting := [*_lifting(convert(plan.options, PlanOptions))]:
        text += f" Guardrails are lifted by {', '.join(lifting)}."
    return text


def machines(found: Sequence[Disruption]) -> str:
    """Number of VMs and of servers: `2 VMs and 1 server`; empty for none."""
    vms = sum(isinstance(kind_of(Address(d.address).kind), Host) for d in found)
    return " and ".join(count(n, noun) for n, noun in ((vms, "VM"), (len(found) - vms, "server")) if n)


def disruption_texts(found: Sequence[Disruption], detail: Detail) -> Iterator[str]:
    """Lines of the disruptions; machines with the same disruption share a line."""
    for members in grouped(found, lambda d: (d.effect, d.seconds, len(d.causes), d.causes[:1]), detail):
        first = members[0]
        off = f", off for about {duration(first.seconds)}" if first.seconds else ""
        why = f" ({', '.join(first.causes)})" if first.causes and len({d.causes for d in members}) == 1 else ""
        if len(members) == 1:
            place = f" on {first.node}" if first.node else ""
            yield f"  {first.address}{place}: {first.effect.value}{off}{why}"
        else:
            yield f"  {machines(members)}: each {first.effect.value}{off}{why}"
            yield f"    {some([d.address for d in members])}"
    if len(found) > 1 and (whole := whole_length(found)):
        yield f"  {whole}"


def whole_length(found: Sequence[Disruption]) -> str:
    """Expected time until the last window closes; empty for fewer than two windows."""
    if sum(bool(d.seconds) for d in found) < 2:
        return ""
    return f"One window at a time on each machine, about {duration(length(found))} in total."


def _lifting(options: PlanOptions) -> Iterator[str]:
    """The options of a plan that lift guardrails."""
    if options.allow_empty:
        yield "--allow-empty"
    if options.max_removals is not None:
        yield f"--max-removals {options.max_removals}"
    yield from (f"--unprotect {address}" for address in sorted(options.unprotect))
    yield from (f"--destroy-identity {address}" for address in sorted(options.destroy_identity))


def plan_lines(plan: Plan, detail: Detail = Detail.GROUPED, *, reported: bool = False) -> Iterator[Line]:
    """Lines of a plan. `reported`: its diagnostics have been printed elsewhere and are left out."""
    plan, disrupted = named(plan), disruptions(plan)
    head = Line(summary(plan), Tone.HEAD)
    yield head
    yield Line(scope(plan, disrupted), Tone.ASIDE)
    for told in () if reported else problems(plan.diagnostics, detail):
        yield from _sections([(told.title, _PROBLEMS[told.severity], [f"  ! {line}" for line in told.lines])], detail)
    if plan.recovery or plan.moves:
        yield from _before(plan, detail)
    before = (
        ("Data loss:", Tone.LOSS, [f"  ! {loss}" for change in plan.pending for loss in change.losses]),
        ("Disruption:", Tone.CHANGED, [*disruption_texts(disrupted.machines, detail)]),
        (f"{PROGRAMS}:", Tone.CHANGED, [f"  {text}" for text in program_texts(plan)]),
    )
    yield from _sections(before, detail)
    for title, changes in split_changes(plan).items():
        if changes and title != INTENDED:
            yield Line()
            yield Line(f"{title}:", Tone.HEAD)
        for members in grouped(changes, likeness, detail):
            if title == INTENDED:
                yield Line()
            yield from group_lines(members)
    after = (
        ("Refused:", Tone.LOSS, [f"  ! {text}" for text in _refusals(plan.errors)] if reported and plan.errors else []),
        (f"{RENTALS}:", Tone.HEAD, [f"  {text}" for text in rental_texts(plan.rentals)]),
        (
            "Notes on unchanged resources:",
            Tone.HEAD,
            [f"  {c.address}: {n}" for c in plan.changes if c.action is Action.NO_OP for n in c.notes],
        ),
    )
    yield from _sections(after, detail)
    if disrupted.steps:
        yield Line()
        yield Line("Steps:", Tone.HEAD)
        yield from schedule_lines(disrupted, detail)
    if not plan.empty:
        yield Line()
        yield head


def _sections(sections: Iterable[tuple[str, Tone, Sequence[str]]], detail: Detail) -> Iterator[Line]:
    """Lists with a heading; nothing for an empty list."""
    for title, tone, lines in sections:
        if not lines:
            continue
        yield Line()
        yield Line(title, tone)
        most = len(lines) if detail is Detail.FULL else _MAX
        yield from (Line(text, tone if tone is Tone.LOSS else Tone.PLAIN) for text in lines[:most])
        if most < len(lines):
            yield Line(f"  ... and {len(lines) - most:,} more (--full shows them)", tone)


def _refusals(errors: Iterable[Diagnostic]) -> Iterator[str]:
    """One line for each error that has been printed in full elsewhere."""
    for one in errors:
        whom = f"{one.address}: " if one.address and one.address not in one.summary else ""
        yield f"{whom}{one.summary} ({one.code})"


def _before(plan: Plan, detail: Detail) -> Iterator[Line]:
    """Recovery of interrupted applies, and moves."""
    for word, found in (("Recovery", plan.recovery), ("Moved", plan.moves)):
        most = len(found) if detail is Detail.FULL else _MAX_ALIKE
        yield from (Line(f"{word}: {line}", Tone.CHANGED) for line in found[:most])
        if rest := len(found[most:]):
            yield Line(f"{word}: ... and {rest:,} more (--full shows them)", Tone.CHANGED)


INTENDED = "Changes"
DRIFTED = "Drift (changed outside dbc-iac), will be reverted"
UNREAD = "Could not be read, left unchanged"
PROGRAMS = "Programs and secrets used on this machine"


def split_changes(plan: Plan) -> dict[str, list[Change]]:
    """The shown changes, the gravest first, then in the order of the steps: INTENDED by the manifests, DRIFTED (only
    reverting changes made outside dbc-iac), and UNREAD (the API could not be read)."""
    order = {action: rank for rank, action in enumerate(ORDER)}
    places: dict[str, int] = {}
    for number, step in enumerate(plan.steps):
        for address in (step.address, *(g.address for g in step.goals)):
            places.setdefault(address, number)
    shown = (c for c in plan.changes if c.action is not Action.NO_OP)
    split: dict[str, list[Change]] = {INTENDED: [], DRIFTED: [], UNREAD: []}
    for change in sorted(shown, key=lambda c: (order[c.action], places.get(c.address, len(plan.steps)))):
        unread = change.action is Action.UNKNOWN
        split[UNREAD if unread else DRIFTED if only_drift(change) else INTENDED].append(change)
    return split


def only_drift(change: Change) -> bool:
    """Whether a change only reverts drift."""
    return change.action is Action.UPDATE and bool(change.fields) and all(f.drift for f in change.fields)


def program_texts(plan: Plan) -> Iterator[str]:
    """A line for each program that an apply runs, and each secret that it reads, with its resources. Taken from the
    plan: a plan file alone decides what runs."""
    found: dict[str, list[str]] = {}
    for address, said in plan.hooks.items():
        hook = BeforeOffline.model_validate(said)
        failing = ", failure is ignored" if hook.force else ""
        text = f"beforeOffline: {shlex.join(hook.command)} (timeout {hook.timeout} s{failing})"
        found.setdefault(text, []).append(address)
    for change in plan.pending:
        if change.action is not Action.DELETE:
            for path, reference in change.secrets.items():
                ref = SecretRef.model_validate(reference)
                source = str(ref) if ref.command is None else f"program {shlex.join(ref.command)}"
                found.setdefault(f"{path}: {source}", []).append(change.address)
    yield from (f"{text}, for {some(addresses)}" for text, addresses in found.items())


def likeness(change: Change) -> Hashable:
    """Key of similar changes: all but their addresses and values."""
    reasons = tuple(r.replace(change.address, "") for r in change.reasons)
    fields = tuple((f.path, f.behaviour, f.drift, f.secret) for f in change.fields)
    return change.action, change.kind, reasons, fields, bool(change.notes)


def group_lines(members: tuple[Change, ...]) -> Iterator[Line]:
    """Lines of changes that are alike: shared values once, differing values with the members that have them."""
    if len(members) == 1:
        yield from change_lines(members[0])
        return
    first = members[0]
    why = reason_text(first) if len({m.reasons for m in members}) == 1 else ""
    yield _head(first.action, f"{len(members):,} x {first.kind}", why)
    yield Line(f"      {some([m.address for m in members], MEMBERS)}")
    names = [Address(m.address).label for m in members]
    columns = list(zip(*(m.fields for m in members), strict=True))
    for alike in columns:
        if not alike[0].drift or only_drift(first):
            yield from common_field_lines(alike, first.action, names)
    drifted = [alike for alike in columns if alike[0].drift and not only_drift(first)]
    if drifted:
        yield _drift_head()
    for alike in drifted:
        yield from common_field_lines(alike, first.action, names)
    notes = list(dict.fromkeys(n for m in members for n in m.notes))
    yield from (Line(f"      note: {note}", Tone.ASIDE) for note in notes[:2])
    if len(notes) > 2:
        yield Line(f"      ... and {len(notes) - 2:,} other notes (--full shows them)", Tone.ASIDE)


def _head(action: Action, title: str, why: str) -> Line:
    return Line(
        f"{SIGNS[action]:>3} {title}  {VERBS[action]}" + (f": {why}" if why else ""), _TONES.get(action, Tone.HEAD)
    )


def reason_text(change: Change) -> str:
    """Reasons of a change, but not that the plan is a destroy plan; error texts of nodes are explained."""
    text = "; ".join(r for r in change.reasons if r != DESTROY)
    return short_text(text) if change.action is Action.UNKNOWN else text


def change_lines(change: Change) -> Iterator[Line]:
    """Lines of one change: action and reasons, fields, drift, notes."""
    yield _head(change.action, change.address, reason_text(change))
    if change.action is Action.REPLACE and change.identity.id != change.identity.old_id:
        yield Line(f"      id: {change.identity.old_id} -> {change.identity.id or _LATER}")
    elif change.action is Action.CREATE:
        yield Line(f"      id: {change.identity.id or _LATER}")
    field_lines = new_field_lines if change.action is Action.CREATE else changed_field_lines
    drifted = [] if only_drift(change) else [f for f in change.fields if f.drift]
    for field in change.fields:
        if not field.drift or not drifted:
            yield from field_lines(field)
    if drifted:  # of a resource that the manifests change too
        yield _drift_head()
        for field in drifted:
            yield from changed_field_lines(field)
    for note in change.notes:
        yield Line(f"      note: {note}", Tone.ASIDE)


def _drift_head() -> Line:
    return Line(f"      {DRIFTED[0].lower()}{DRIFTED[1:]}:", Tone.UNSEEN)


def schedule_lines(disrupted: Disruptions, detail: Detail) -> Iterator[Line]:
    """Numbered steps in their order; only their number if there are very many."""
    steps = disrupted.steps
    if detail is Detail.GROUPED and len(steps) > _MAX:
        yield Line(f"  {len(steps):,} (--full lists them)")
        return
    for number, step in enumerate(steps, 1):
        if step.kind is StepKind.WINDOW:
            yield Line(f"{number:>3}. {step.address}: {window_text(step, disrupted.off)}", Tone.CHANGED)
            owners = ("" if g.address == step.address else f"{g.address}: " for g in step.goals)
            yield from (Line(f"       {owner}{g.text}") for owner, g in zip(owners, step.goals, strict=True))
        else:
            yield Line(f"{number:>3}. {step.address}: {', '.join(g.text for g in step.goals)}")


def window_text(step: Step, off: Container[str]) -> str:
    """Effect of an offline window on its VM, as shown after its address. `off`: machines that were off."""
    if step.address in off:
        return "powered off, stays off" if step.power == "off" else "powered off, will be started after the changes"
    return f"power-off window of about {duration(step.seconds)}" if step.power == "on" else "powering off, stays off"
