"""A plan as text: summary, data loss and disruption first, then each change, the steps, and the summary again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.decide.deletions import DESTROY
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.views.disruption import (
    Disruption,
    Effect,
    disruptions,
    expected_calls,
    length,
    machines,
    shown_steps,
    window_text,
)
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.grouping import Detail, grouped, likeness, some
from dbc_iac.views.programs import TITLE, program_texts
from dbc_iac.views.text.fields import MEMBERS, changed_field_lines, common_field_lines, new_field_lines
from dbc_iac.views.text.lines import Line, Tone
from dbc_iac.views.text.problems import problems
from dbc_iac.views.text.reference_names import named
from dbc_iac.views.text.rentals import TITLE as RENTALS
from dbc_iac.views.text.rentals import rental_texts
from dbc_iac.views.text.wording import count, duration

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


def scope(plan: Plan) -> str:
    """Project, stack and environment of a plan, with the expected number of power-offs and API calls."""
    parts = [
        f"{'Destroy project' if plan.destroy else 'Project'} {plan.project}",
        f"stack {plan.stack}{'' if plan.lineage else ' (new)'}",
    ]
    if plan.environment:
        parts.append(f"environment {plan.environment}")
    off = [d for d in disruptions(plan) if d.effect in _OFF and d.step]
    text = f"{', '.join(parts)}."
    if off:
        text += f" {machines(off)} will be powered off."
    if calls := expected_calls(plan):
        text += f" About {count(calls, 'API call')}."
    return text


def plan_lines(plan: Plan, detail: Detail = Detail.GROUPED, *, reported: bool = False) -> Iterator[Line]:
    """Lines of a plan. `reported`: its diagnostics have been printed elsewhere and are left out."""
    plan = named(plan)
    yield Line(summary(plan), Tone.HEAD)
    yield Line(scope(plan), Tone.ASIDE)
    for found in () if reported else problems(plan.diagnostics, detail):
        yield from _section(found.title, _PROBLEMS[found.severity], (f"  ! {line}" for line in found.lines), detail)
    yield from _before(plan, detail)
    yield from _section("Data loss:", Tone.LOSS, (f"  ! {loss}" for loss in losses(plan)), detail)
    yield from _section("Disruption:", Tone.CHANGED, disruption_texts(plan, detail), detail)
    yield from _section(f"{TITLE}:", Tone.CHANGED, (f"  {text}" for text in program_texts(plan)), detail)
    split = split_changes(plan)
    for members in grouped(split.intended, likeness, detail):
        yield Line()
        yield from group_lines(members)
    yield from _changes(f"{DRIFTED}:", split.drifted, detail)
    yield from _changes(f"{UNREAD}:", split.unread, detail)
    refused = [d for d in plan.diagnostics if reported and d.severity is Severity.ERROR]
    yield from _section("Refused:", Tone.LOSS, (f"  ! {line}" for line in _refusals(refused)), detail)
    yield from _section(f"{RENTALS}:", Tone.HEAD, (f"  {text}" for text in rental_texts(plan.rentals)), detail)
    notes = [f"  {c.address}: {n}" for c in plan.changes if c.action is Action.NO_OP for n in c.notes]
    yield from _section("Notes on unchanged resources:", Tone.HEAD, notes, detail)
    steps = list(schedule_lines(plan, detail))
    if steps:
        yield Line()
        yield Line("Steps:", Tone.HEAD)
        yield from steps
    if not plan.empty:
        yield Line()
        yield Line(summary(plan), Tone.HEAD)


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


def _changes(title: str, changes: tuple[Change, ...], detail: Detail) -> Iterator[Line]:
    if not changes:
        return
    yield Line()
    yield Line(title, Tone.HEAD)
    for members in grouped(changes, likeness, detail):
        yield from group_lines(members)


INTENDED = "Changes"
DRIFTED = "Drift (changed outside dbc-iac), will be reverted"
UNREAD = "Could not be read, left unchanged"


@dataclass(frozen=True, slots=True)
class SplitChanges:
    """The shown changes, the gravest first, then in the order of the steps: `intended` by the manifests, `drifted`
    (only reverting changes made outside dbc-iac), and `unread` (the API could not be read)."""

    intended: tuple[Change, ...]
    drifted: tuple[Change, ...]
    unread: tuple[Change, ...]


def split_changes(plan: Plan) -> SplitChanges:
    """Split the changes of a plan by their cause."""
    order = {action: rank for rank, action in enumerate(ORDER)}
    places: dict[str, int] = {}
    for number, step in enumerate(plan.steps):
        for address in (step.address, *(g.address for g in step.goals)):
            places.setdefault(address, number)
    found = (c for c in plan.changes if c.action is not Action.NO_OP)
    shown = sorted(found, key=lambda c: (order[c.action], places.get(c.address, len(plan.steps))))
    unread = tuple(c for c in shown if c.action is Action.UNKNOWN)
    drifted = tuple(c for c in shown if only_drift(c))
    return SplitChanges(
        tuple(c for c in shown if c.action is not Action.UNKNOWN and not only_drift(c)), drifted, unread
    )


def only_drift(change: Change) -> bool:
    """Whether a change only reverts drift."""
    return change.action is Action.UPDATE and bool(change.fields) and all(f.drift for f in change.fields)


def losses(plan: Plan) -> tuple[str, ...]:
    """Data losses of a plan, one sentence each."""
    return tuple(loss for c in plan.changes for loss in losses_of(c))


def losses_of(change: Change) -> tuple[str, ...]:
    """Data losses of one change, one sentence each."""
    return change.losses if change.pending else ()


def disruption_texts(plan: Plan, detail: Detail) -> Iterator[str]:
    """Lines of the disruptions; machines with the same disruption share a line."""
    found = disruptions(plan)
    for members in grouped(found, lambda d: (d.effect, d.seconds, len(d.causes), d.causes[:1]), detail):
        if len(members) == 1:
            yield f"  {_disrupted(members[0])}"
            continue
        first = members[0]
        off = f", off for about {duration(first.seconds)}" if first.seconds else ""
        causes = {d.causes for d in members}
        why = f" ({', '.join(first.causes)})" if first.causes and len(causes) == 1 else ""
        yield f"  {machines(members)}: each {first.effect.value}{off}{why}"
        yield f"    {some([d.address for d in members])}"
    if whole := whole_length(found):
        yield f"  {whole}"


def whole_length(found: Sequence[Disruption]) -> str:
    """Expected time until the last window closes; empty for fewer than two windows."""
    if sum(bool(d.seconds) for d in found) < 2:
        return ""
    return f"One window at a time on each machine, about {duration(length(found))} in total."


def _disrupted(one: Disruption) -> str:
    place = f" on {one.node}" if one.node else ""
    off = f", off for about {duration(one.seconds)}" if one.seconds else ""
    return f"{one.address}{place}: {one.effect.value}{off}" + (f" ({', '.join(one.causes)})" if one.causes else "")


def _section(title: str, tone: Tone, lines: Iterable[str], detail: Detail) -> Iterator[Line]:
    """List with a heading; nothing for an empty list."""
    found = list(lines)
    if not found:
        return
    yield Line()
    yield Line(title, tone)
    most = len(found) if detail is Detail.FULL or len(found) <= _MAX else _MAX
    yield from (Line(text, tone if tone is Tone.LOSS else Tone.PLAIN) for text in found[:most])
    if most < len(found):
        yield Line(f"  ... and {len(found) - most:,} more (--full shows them)", tone)


def group_lines(members: tuple[Change, ...]) -> Iterator[Line]:
    """Lines of changes that are alike: shared values once, differing values with the members that have them."""
    if len(members) == 1:
        yield from change_lines(members[0])
        return
    first = members[0]
    why = reason_text(first) if len({m.reasons for m in members}) == 1 else ""
    yield _head(first.action, f"{len(members):,} x {first.kind}", why)
    yield Line(f"      {some([m.address for m in members], MEMBERS)}")
    names = [m.address.partition("/")[2] for m in members]
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
    for field in change.fields:
        if not field.drift or only_drift(change):
            yield from field_lines(field)
    yield from _drift_lines(change)
    for note in change.notes:
        yield Line(f"      note: {note}", Tone.ASIDE)


def _drift_lines(change: Change) -> Iterator[Line]:
    """Drift of a resource that the manifests change too."""
    drifted = [f for f in change.fields if f.drift]
    if not drifted or only_drift(change):
        return
    yield _drift_head()
    for field in drifted:
        yield from changed_field_lines(field)


def _drift_head() -> Line:
    return Line(f"      {DRIFTED[0].lower()}{DRIFTED[1:]}:", Tone.UNSEEN)


def schedule_lines(plan: Plan, detail: Detail) -> Iterator[Line]:
    """Numbered steps in their order; only their number if there are very many."""
    steps = shown_steps(plan)
    if detail is Detail.GROUPED and len(steps) > _MAX:
        yield Line(f"  {len(steps):,} (--full lists them)")
        return
    changes = {c.address: c for c in plan.changes}
    for number, step in enumerate(steps, 1):
        yield from _step(number, step, changes)


def _step(number: int, step: Step, changes: dict[str, Change]) -> Iterator[Line]:
    if step.kind is StepKind.WINDOW:
        yield Line(f"{number:>3}. {step.address}: {window_text(step, changes)}", Tone.CHANGED)
        yield from (Line(f"       {_owner(g.address, step)}{g.text}") for g in step.goals)
    else:
        yield Line(f"{number:>3}. {step.address}: {', '.join(g.text for g in step.goals)}")


def _owner(address: str, step: Step) -> str:
    return "" if address == step.address else f"{address}: "
