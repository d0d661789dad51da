"""A plan as text: first what it amounts to, what is lost and who is disturbed; then each change with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dbc_iac.plan.model import Action, Change, Plan, Step, StepKind
from dbc_iac.report.disturbance import Disturbance, Effect, disturbances, expected_calls, is_off_all_along, shown_steps
from dbc_iac.report.field_text import changed_field_lines, common_field_lines, new_field_lines
from dbc_iac.report.grouping import Detail, grouped, likeness, some
from dbc_iac.report.lines import PAPER, Line, Tone

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
    if off := sum(1 for d in disturbances(plan) if d.effect in {Effect.CYCLED, Effect.STAYS_OFF} and d.step):
        text += f" {off:,} VM{'s are' if off > 1 else ' is'} powered off for it."
    if calls := expected_calls(plan):
        text += f" About {calls:,} call{'s' if calls > 1 else ''}."
    return text


def plan_lines(plan: Plan, detail: Detail = Detail.GROUPED) -> Iterator[Line]:
    """The lines of a plan: summary, losses, disturbances, changes, drift, notes, steps."""
    yield Line(summary(plan), Tone.HEAD)
    for line in plan.recovery:
        yield Line(f"Recovery: {line}", Tone.CHANGED)
    yield from (Line(f"Moved: {line}", Tone.CHANGED) for line in plan.moves)
    yield from _section("What is lost for ever:", Tone.LOSS, (f"  ! {loss}" for loss in losses(plan)), detail)
    yield from _section("What is disturbed:", Tone.CHANGED, disturbance_texts(plan, detail), detail)
    intended, drifted = told_apart(plan)
    for members in grouped(intended, likeness, detail):
        yield Line()
        yield from group_lines(members)
    if drifted:
        yield Line()
        yield Line("Moved since it was applied, and is put back:", Tone.HEAD)
        for members in grouped(drifted, likeness, detail):
            yield from group_lines(members)
    notes = [f"  {c.address}: {n}" for c in plan.changes if c.action is Action.NO_OP for n in c.notes]
    yield from _section("Notes:", Tone.HEAD, notes, detail)
    steps = list(schedule_lines(plan, detail))
    if steps:
        yield Line()
        yield Line("Steps:", Tone.HEAD)
        yield from steps


def told_apart(plan: Plan) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What is shown of the changes, the gravest first: those that the manifests ask for, and those that only undo what
    the world did."""
    order = {action: rank for rank, action in enumerate(ORDER)}
    shown = sorted((c for c in plan.changes if c.action is not Action.NO_OP), key=lambda c: order[c.action])
    intended = tuple(c for c in shown if not only_drift(c))
    return intended, tuple(c for c in shown if only_drift(c))


def only_drift(change: Change) -> bool:
    """Whether a change does nothing but undo what the world did."""
    return change.action is Action.UPDATE and bool(change.fields) and all(f.drift for f in change.fields)


def losses(plan: Plan) -> tuple[str, ...]:
    """A sentence for everything that is irreversibly gone."""
    return tuple(loss for c in plan.changes for loss in losses_of(c))


def losses_of(change: Change) -> tuple[str, ...]:
    """A sentence for everything that is irreversibly gone with one change."""
    return change.losses if change.pending else ()


def disturbance_texts(plan: Plan, detail: Detail) -> Iterator[str]:
    """A line for each machine that is disturbed, or for many that are disturbed alike."""
    found = disturbances(plan)
    for members in grouped(found, lambda d: (d.effect, d.seconds, len(d.causes), d.causes[:1]), detail):
        if len(members) == 1:
            yield f"  {_disturbed(members[0])}"
            continue
        first = members[0]
        length = f", each off for about {first.seconds} s" if first.seconds else ""
        causes = {d.causes for d in members}
        why = f": {', '.join(first.causes)}" if first.causes and len(causes) == 1 else ""
        yield f"  {len(members):,} VMs: each {first.effect.value}{length}{why}"
        yield f"    {some([d.address for d in members])}"


def _disturbed(one: Disturbance) -> str:
    place = f" (on {one.node})" if one.node else ""
    length = f", off for about {one.seconds} s" if one.seconds else ""
    return f"{one.address}{place} {one.effect.value}{length}" + (f": {', '.join(one.causes)}" if one.causes else "")


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
        yield from field_lines(field)
    for note in change.notes:
        yield Line(f"      note: {note}", Tone.ASIDE)


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
        what = "is off" if is_off_all_along(step, changes) else f"is powered off {window_length(step)}"
        yield Line(f"{number:>3}. {step.address} {what}", Tone.CHANGED)
        yield from (Line(f"       {_owner(g.address, step)}{g.text}") for g in step.goals)
    elif len(step.goals) == 1:
        yield Line(f"{number:>3}. {step.address}: {step.goals[0].text}")
    else:
        yield Line(f"{number:>3}. {step.address}:")
        yield from (Line(f"       {g.text}") for g in step.goals)


def window_length(step: Step) -> str:
    """How long a VM is off, in words."""
    return f"for about {step.seconds} s" if step.power == "on" else "and stays off"


def _owner(address: str, step: Step) -> str:
    return "" if address == step.address else f"{address}: "
