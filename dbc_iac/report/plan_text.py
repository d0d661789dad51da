"""A plan as text for people: what is lost first, then what changes and why, then the order and who is disturbed."""

from __future__ import annotations

from collections.abc import Iterator

from dbc_iac.plan.model import Action, Change, FieldChange, Plan, StepKind
from dbc_iac.values import Json

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.ADOPT: ">",
    Action.FORGET: "x",
    Action.UNKNOWN: "?",
}
_ORDER = (Action.DELETE, Action.REPLACE, Action.UPDATE, Action.CREATE, Action.ADOPT, Action.FORGET, Action.UNKNOWN)


def plan_text(plan: Plan) -> str:
    """The whole plan. An empty one is one line, and its notes."""
    return "\n".join(_lines(plan)) + "\n"


def summary(plan: Plan) -> str:
    """One line: how many of each action, and how many VMs are powered off."""
    if plan.empty and not plan.count(Action.UNKNOWN):
        return "No changes: what is there is what the manifests say."
    counts = [f"{plan.count(a)} to {a.value}" for a in _ORDER if a is not Action.UNKNOWN and plan.count(a)]
    if unknown := plan.count(Action.UNKNOWN):
        counts.append(f"{unknown} unknown")
    text = f"Plan: {', '.join(counts)}." if counts else "Plan: nothing is changed but names."
    if off := len(plan.powered_off):
        text += f" {off} VM{'s are' if off > 1 else ' is'} powered off for it."
    return text


def _lines(plan: Plan) -> Iterator[str]:
    yield summary(plan)
    for line in plan.recovery:
        yield f"Recovery: {line}"
    for line in plan.moves:
        yield f"Moved: {line}"
    losses = [loss for c in plan.changes if c.pending for loss in (*c.losses, *_destroyed(c))]
    if losses:
        yield ""
        yield "What is lost for ever:"
        yield from (f"  ! {loss}" for loss in losses)
    shown = sorted((c for c in plan.changes if c.action is not Action.NO_OP), key=lambda c: _ORDER.index(c.action))
    for change in shown:
        yield ""
        yield from _change(change)
    notes = [(c.address, n) for c in plan.changes if c.action is Action.NO_OP for n in c.notes]
    if notes:
        yield ""
        yield "Notes:"
        yield from (f"  {address}: {note}" for address, note in notes)
    yield from _schedule(plan)


def _destroyed(change: Change) -> list[str]:
    if change.action not in {Action.DELETE, Action.REPLACE} or change.losses:
        return []
    file = change.applied.get("dataDisk.file")
    size = change.applied.get("dataDisk.size")
    if file:
        return [f"{change.address}: its disks, and the attached file {file}, are deleted"]
    return [f"{change.address}: its disks are deleted ({size} of data)"] if size else []


def _change(change: Change) -> Iterator[str]:
    sign = SIGNS[change.action]
    reasons = "; ".join(change.reasons)
    yield f"{sign:>3} {change.address}  {change.action.value}" + (f": {reasons}" if reasons else "")
    if change.action is Action.REPLACE and change.id != change.old_id:
        yield f"      id: {change.old_id} -> {change.id or '(known after apply)'}"
    elif change.action is Action.CREATE:
        yield f"      id: {change.id or '(known after apply)'}"
    for field in change.fields:
        yield f"      {_field(field, change)}"
    for note in change.notes:
        yield f"      note: {note}"


def _field(field: FieldChange, change: Change) -> str:
    if field.secret:
        return f"{field.path}: (secret, differs)  [{field.behaviour}]"
    if change.action is Action.CREATE:
        return f"{field.path}: {value_text(field.after)}"
    marks = [field.behaviour, *(["drift"] if field.drift else [])]
    return f"{field.path}: {value_text(field.before)} -> {value_text(field.after)}  [{', '.join(marks)}]"


def value_text(value: Json) -> str:
    """A field's value on one line."""
    if value is None or value == []:
        return "(none)"
    if isinstance(value, list):
        return "[" + ", ".join(value_text(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if value == "" else str(value)


def _schedule(plan: Plan) -> Iterator[str]:
    steps = [s for s in plan.steps if s.goals]
    if not steps:
        return
    yield ""
    yield "Steps:"
    for number, step in enumerate(steps, 1):
        if step.kind is StepKind.WINDOW:
            back = f"about {step.seconds} s" if step.power == "on" else "and stays off"
            yield f"  {number}. {step.address} is powered off ({back})"
            yield from (f"       {g.address} {g.text}" for g in step.goals)
            continue
        if len(step.goals) == 1:
            yield f"  {number}. {step.address} {step.goals[0].text}"
            continue
        yield f"  {number}. {step.address}"
        yield from (f"       {g.text}" for g in step.goals)
