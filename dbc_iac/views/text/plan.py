"""A plan as text: first what it amounts to, what is lost and who is disturbed; then each change with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbc_iac.diagnostics import Severity
from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.views.disruption import Disruption, Effect, disruptions, expected_calls, length, shown_steps, window_text
from dbc_iac.views.grouping import Detail, grouped, likeness, some
from dbc_iac.views.programs import TITLE, program_texts
from dbc_iac.views.text.fields import changed_field_lines, common_field_lines, new_field_lines
from dbc_iac.views.text.lines import PAPER, Line, Tone
from dbc_iac.views.text.problems import problems
from dbc_iac.views.text.reference_names import named
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
ORDER = (Action.DELETE, Action.REPLACE, Action.UPDATE, Action.CREATE, Action.ADOPT, Action.FORGET, Action.UNKNOWN)
"""The gravest first."""
_LATER = "(known after apply)"
_MOST = 40
"""Lines of one list, from which on only `--full` shows them all."""
_MOST_ALIKE = 10
"""The same of a list of sentences that are much alike."""
_OFF = frozenset({Effect.CYCLED, Effect.STAYS_OFF, Effect.REPLACED})
"""What a VM that runs is powered off for."""
_PROBLEMS = {Severity.ERROR: Tone.LOSS, Severity.WARNING: Tone.CHANGED, Severity.NOTE: Tone.HEAD}


def plan_text(plan: Plan, detail: Detail = Detail.GROUPED) -> str:
    """The whole plan, plain. An empty one is one line, and its notes."""
    return PAPER.render(plan_lines(plan, detail))


def summary(plan: Plan) -> str:
    """One line: how many of each action, how many VMs are powered off, about how many calls."""
    if plan.empty and not plan.count(Action.UNKNOWN):
        return "No changes: what is there is what the manifests say."
    counts = [f"{plan.count(a):,} to {a.value}" for a in ORDER if a is not Action.UNKNOWN and plan.count(a)]
    if unknown := plan.count(Action.UNKNOWN):
        counts.append(f"{unknown:,} unknown")
    text = f"Plan: {', '.join(counts)}." if counts else "Plan: nothing is changed but names."
    if off := [d for d in disruptions(plan) if d.effect in _OFF and d.step]:
        servers = [d for d in off if not d.address.startswith("VirtualMachine/")]
        if vms := [d for d in off if d not in servers]:
            text += f" {count(len(vms), 'VM is', 'VMs are')} powered off for it{_until_replaced(vms)}."
        if servers:
            text += f" {count(len(servers), 'server is', 'servers are')} powered off for it."
    if calls := expected_calls(plan):
        text += f" About {count(calls, 'call')}."
    return text


def _until_replaced(off: Sequence[Disruption]) -> str:
    anew = sum(d.effect is Effect.REPLACED for d in off)
    if not anew:
        return ""
    if anew == len(off):
        return ", until its new one runs" if anew == 1 else ", each until its new one runs"
    return f", {anew:,} of them until {'its new one runs' if anew == 1 else 'their new ones run'}"


def scope(plan: Plan) -> str:
    """What it is a plan of: told in every face, since a terminal is soon the wrong one."""
    where = f", environment {plan.environment}" if plan.environment else ""
    what = "Removal of all of project" if plan.destroy else "Project"
    return f"{what} {plan.project}, stack {plan.stack}{where}."


def plan_lines(plan: Plan, detail: Detail = Detail.GROUPED) -> Iterator[Line]:
    """The lines of a plan: summary, problems, losses, disturbances, changes, drift, what is not known, notes, steps."""
    plan = named(plan)
    yield Line(summary(plan), Tone.HEAD)
    yield Line(scope(plan), Tone.ASIDE)
    for found in problems(plan.diagnostics, detail):
        yield from _section(found.title, _PROBLEMS[found.severity], (f"  ! {line}" for line in found.lines), detail)
    yield from _before(plan, detail)
    yield from _section("What is lost for ever:", Tone.LOSS, (f"  ! {loss}" for loss in losses(plan)), detail)
    yield from _section("What is disturbed:", Tone.CHANGED, disruption_texts(plan, detail), detail)
    yield from _section(f"{TITLE}:", Tone.CHANGED, (f"  {text}" for text in program_texts(plan)), detail)
    told = split_changes(plan)
    for members in grouped(told.intended, likeness, detail):
        yield Line()
        yield from group_lines(members)
    yield from _changes(f"{DRIFTED}:", told.drifted, detail)
    yield from _changes(f"{UNREAD}:", told.unread, detail)
    notes = [f"  {c.address}: {n}" for c in plan.changes if c.action is Action.NO_OP for n in c.notes]
    yield from _section("Notes:", Tone.HEAD, notes, detail)
    steps = list(schedule_lines(plan, detail))
    if steps:
        yield Line()
        yield Line("Steps:", Tone.HEAD)
        yield from steps


def _before(plan: Plan, detail: Detail) -> Iterator[Line]:
    """What was left by earlier runs, and what has got another name: many of them are much alike."""
    for word, found in (("Recovery", plan.recovery), ("Moved", plan.moves)):
        most = len(found) if detail is Detail.FULL else _MOST_ALIKE
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


INTENDED = "What the manifests ask for"
DRIFTED = "Moved since it was applied, and is put back"
UNREAD = "Could not be read, and is left alone"


@dataclass(frozen=True, slots=True)
class SplitChanges:
    """The changes that are shown, the gravest first, and those alike in the order of the work: what the manifests ask
    for, what only undoes what the world did, and what nothing can be said of."""

    intended: tuple[Change, ...]
    drifted: tuple[Change, ...]
    unread: tuple[Change, ...]


def split_changes(plan: Plan) -> SplitChanges:
    """The changes of a plan by why they are there."""
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
    """Whether a change does nothing but undo what the world did."""
    return change.action is Action.UPDATE and bool(change.fields) and all(f.drift for f in change.fields)


def losses(plan: Plan) -> tuple[str, ...]:
    """A sentence for everything that is irreversibly gone."""
    return tuple(loss for c in plan.changes for loss in losses_of(c))


def losses_of(change: Change) -> tuple[str, ...]:
    """A sentence for everything that is irreversibly gone with one change."""
    return change.losses if change.pending else ()


def disruption_texts(plan: Plan, detail: Detail) -> Iterator[str]:
    """A line for each machine that is disturbed, or for many that are disturbed alike."""
    found = disruptions(plan)
    for members in grouped(found, lambda d: (d.effect, d.seconds, len(d.causes), d.causes[:1]), detail):
        if len(members) == 1:
            yield f"  {_disrupted(members[0])}"
            continue
        first = members[0]
        off = f", off for about {duration(first.seconds)}" if first.seconds else ""
        causes = {d.causes for d in members}
        why = f": {', '.join(first.causes)}" if first.causes and len(causes) == 1 else ""
        yield f"  {len(members):,} VMs: each {first.effect.value}{off}{why}"
        yield f"    {some([d.address for d in members])}"
    if whole := whole_length(found):
        yield f"  {whole}"


def whole_length(found: Sequence[Disruption]) -> str:
    """How long it takes until all are back, where that is more than one window."""
    if sum(bool(d.seconds) for d in found) < 2:  # one alone is its own length
        return ""
    return f"One after another on each machine: about {duration(length(found))} in all."


def _disrupted(one: Disruption) -> str:
    place = f" (on {one.node})" if one.node else ""
    off = f", off for about {duration(one.seconds)}" if one.seconds else ""
    return f"{one.address}{place} {one.effect.value}{off}" + (f": {', '.join(one.causes)}" if one.causes else "")


def _section(title: str, tone: Tone, lines: Iterable[str], detail: Detail) -> Iterator[Line]:
    """A headed list; nothing where it is empty."""
    found = list(lines)
    if not found:
        return
    yield Line()
    yield Line(title, tone)
    most = len(found) if detail is Detail.FULL or len(found) <= _MOST else _MOST
    yield from (Line(text, tone if tone is Tone.LOSS else Tone.PLAIN) for text in found[:most])
    if most < len(found):
        yield Line(f"  ... and {len(found) - most:,} more (--full shows them)", tone)


def group_lines(members: tuple[Change, ...]) -> Iterator[Line]:
    """Changes that are alike: what they share once, and how many there are. One alone is told whole."""
    if len(members) == 1:
        yield from change_lines(members[0])
        return
    first = members[0]
    reasons = "; ".join(first.reasons) if len({m.reasons for m in members}) == 1 else ""
    head = f"{SIGNS[first.action]:>3} {len(members):,} x {first.kind}  {first.action.value}"
    yield Line(head + (f": {reasons}" if reasons else ""), _TONES.get(first.action, Tone.HEAD))
    yield Line(f"      {some([m.address for m in members])}")
    for alike in zip(*(m.fields for m in members), strict=True):
        yield from common_field_lines(alike, first.action)
    notes = list(dict.fromkeys(n for m in members for n in m.notes))
    yield from (Line(f"      note: {note}", Tone.ASIDE) for note in notes[:2])
    if len(notes) > 2:
        yield Line(f"      ... and {len(notes) - 2:,} other notes (--full shows them)", Tone.ASIDE)


def change_lines(change: Change) -> Iterator[Line]:
    """One change: what happens and why, its fields, its notes."""
    reasons = "; ".join(change.reasons)
    head = f"{SIGNS[change.action]:>3} {change.address}  {change.action.value}"
    yield Line(head + (f": {reasons}" if reasons else ""), _TONES.get(change.action, Tone.HEAD))
    if change.action is Action.REPLACE and change.id != change.old_id:
        yield Line(f"      id: {change.old_id} -> {change.id or _LATER}")
    elif change.action is Action.CREATE:
        yield Line(f"      id: {change.id or _LATER}")
    field_lines = new_field_lines if change.action is Action.CREATE else changed_field_lines
    for field in change.fields:
        if not field.drift or only_drift(change):
            yield from field_lines(field)
    yield from _drift_lines(change)
    for note in change.notes:
        yield Line(f"      note: {note}", Tone.ASIDE)


def _drift_lines(change: Change) -> Iterator[Line]:
    """What the world did to a resource that the manifests change, too."""
    drifted = [f for f in change.fields if f.drift]
    if not drifted or only_drift(change):
        return
    yield Line(f"      {DRIFTED[0].lower()}{DRIFTED[1:]}:", Tone.UNSEEN)
    for field in drifted:
        yield from changed_field_lines(field)


def schedule_lines(plan: Plan, detail: Detail) -> Iterator[Line]:
    """The steps in their order, numbered. Of very many only how many."""
    steps = shown_steps(plan)
    if detail is Detail.GROUPED and len(steps) > _MOST:
        yield Line(f"  {len(steps):,} (--full lists them)")
        return
    changes = {c.address: c for c in plan.changes}
    for number, step in enumerate(steps, 1):
        yield from _step(number, step, changes)


def _step(number: int, step: Step, changes: dict[str, Change]) -> Iterator[Line]:
    if step.kind is StepKind.WINDOW:
        yield Line(f"{number:>3}. {step.address} {window_text(step, changes)}", Tone.CHANGED)
        yield from (Line(f"       {_owner(g.address, step)}{g.text}") for g in step.goals)
    elif len(step.goals) == 1:
        yield Line(f"{number:>3}. {step.address}: {step.goals[0].text}")
    else:
        yield Line(f"{number:>3}. {step.address}:")
        yield from (Line(f"       {g.text}") for g in step.goals)


def _owner(address: str, step: Step) -> str:
    return "" if address == step.address else f"{address}: "
