"""Comparison of a reviewed plan with the present one. Pure.

Volatile parts may differ: the serial of the state, and observed fields that do not change.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepdiff import DeepDiff
from deepdiff.path import parse_path

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import value_text
from dbc_iac.kinds import kind_of
from dbc_iac.plan.decide.changes import POWERED_OFF_REASON
from dbc_iac.plan.model import Action, Change, FieldChange, Plan, encoded, equal

_CONTINUES = {
    Action.CREATE: {Action.CREATE, Action.ADOPT, Action.UPDATE},
    Action.UPDATE: {Action.UPDATE},
    Action.REPLACE: {Action.REPLACE, Action.CREATE, Action.ADOPT, Action.UPDATE, Action.DELETE, Action.FORGET},
    Action.DELETE: {Action.DELETE, Action.FORGET},
    Action.ADOPT: {Action.ADOPT},
    Action.FORGET: {Action.FORGET},
}
"""Actions that may be left of a reviewed action after an interrupted apply."""
_MAKES = {Action.CREATE, Action.ADOPT, Action.REPLACE}
"""Actions that send every field, also those that do not differ."""
_SENDS = {Action.CREATE, Action.ADOPT, Action.UPDATE, Action.REPLACE}


def first_difference(reviewed: Plan, now: Plan) -> Diagnostic | None:
    """The first difference in addresses, actions, fields and goals; None if there is none."""
    found = DeepDiff(encoded(_essence(reviewed)), encoded(_essence(now)), view="tree")
    places = sorted((n.path() or "", kind, n.t1, n.t2) for kind, nodes in found.items() for n in nodes)
    if not places:
        return None
    path, _, before, after = min(places, key=lambda p: p[0])
    keys = [str(key) for key in parse_path(path)]  # type: ignore[no-untyped-call]
    return _refusal(f"{': '.join(keys)}: reviewed {_text(before)}, now {_text(after)}")


def check_is_remainder(reviewed: Plan, now: Plan) -> Diagnostic | None:
    """The first change that is not part of the rest of an interrupted apply; None if there is none."""
    if part := route_changed(reviewed, now.access):
        return _refusal(part)
    for address, hook in reviewed.hooks.items():
        if not equal(now.hooks.get(address, hook), hook):
            return _refusal(f"beforeOffline of {address}: reviewed {_text(hook)}, now {_text(now.hooks[address])}")
    intended = {c.address: c for c in reviewed.pending}
    for change in now.pending:
        origin = intended.get(Address(change.address).resource)
        if origin is None and _is_only_started(change, reviewed):
            continue
        if origin is None:
            return _refusal(f"{change.address}: reviewed nothing, now {change.action.value}")
        if Address(change.address).deposed:
            continue
        if change.action not in _CONTINUES[origin.action]:
            return _refusal(f"{change.address}: reviewed {origin.action.value}, now {change.action.value}")
        if change.action in _SENDS and (more := next(_more(origin, change, intended), "")):
            return _refusal(f"{change.address}: {more}")
    return None


def route_changed(reviewed: Plan, access: Mapping[str, str]) -> str:
    """Changed recipients or senders of calls since a plan was made; empty if there are none."""
    changed = [
        name for name in sorted(reviewed.access.keys() | access.keys()) if reviewed.access.get(name) != access.get(name)
    ]
    return f"{', '.join(changed)} of the project file changed" if changed else ""


def _is_only_started(change: Change, reviewed: Plan) -> bool:
    """Whether a change only starts a VM that a window of the plan powered off."""
    powered_off = change.address in reviewed.powered_off and POWERED_OFF_REASON in change.reasons
    return powered_off and change.action is Action.UPDATE and all(_starts(change, f) for f in change.fields)


def _starts(change: Change, field: FieldChange) -> bool:
    """Whether a field change powers its VM on."""
    return (field.path, field.after) == (kind_of(change.kind).power_field, "on")


def _more(origin: Change, now: Change, intended: Mapping[str, Change]) -> Iterator[str]:
    """Differences between the calls of a change and the reviewed ones. Starting a VM is allowed."""
    if not (
        equal(now.placement.route, origin.placement.route) or equal(now.placement.route, origin.old_placement.route)
    ):
        routes = (value_text(dict(change.placement.route)) for change in (origin, now))
        yield f"route: reviewed {next(routes)}; now {next(routes)}"
    for path in sorted(origin.secrets.keys() | now.secrets.keys()):
        reference, other = origin.secrets.get(path), now.secrets.get(path)
        if not equal(reference, other):
            yield f"{path}: reviewed {value_text(reference)}, now {value_text(other)}"
    for path, after in _sent(now, origin):
        before = origin.desired.get(path)
        # A port that was chosen is chosen again for a new object, and what was to be known later is known by now.
        again = now.action in _MAKES and path in origin.auto and path in now.auto
        if not (again or str(before) in intended or equal(before, after)):
            yield f"{path}: reviewed {_text(before)}, now {_text(after)}"


def _sent(now: Change, origin: Change) -> Iterator[tuple[str, Any]]:
    """Fields that a change sends: all of a new object, the differences of an update."""
    if now.action in _MAKES:
        yield from ((path, now.desired.get(path)) for path in sorted(origin.desired.keys() | now.desired.keys()))
        return
    for field in now.fields:
        allowed = field.secret or field.path.startswith("lifecycle.") or _starts(now, field)
        if not allowed:
            yield field.path, field.after


def _essence(plan: Plan) -> dict[str, Any]:
    """The reviewed parts of a plan."""
    goals: dict[str, list[str]] = {}
    for step in plan.steps:
        for goal in step.goals:
            goals.setdefault(goal.address, []).append(f"{goal.text} ({goal.needs})")
    return {
        "stack": plan.stack,
        "environment": plan.environment,
        **plan.access,
        **{c.address: _change(c, sorted(goals.get(c.address, ()))) for c in plan.changes if c.pending},
        **{f"beforeOffline of {address}": hook for address, hook in plan.hooks.items()},
    }


def _change(change: Change, goals: Iterable[str]) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "fields": {f.path: {"before": f.before, "after": f.after, "how": f.behaviour} for f in change.fields},
        "secrets": dict(change.secrets),
        "made with": encoded(change.desired) if change.action in _MAKES else {},
        "losses": list(change.losses),
        "route": dict(change.placement.route),
        "goals": list(goals),
    }


def _text(value: Any) -> str:
    """A side of a difference, in short: the action of a change, `nothing` for an absent value."""
    if isinstance(value, dict) and "command" in value:
        return shlex.join(value["command"])
    if isinstance(value, dict):
        return str(value.get("action") or value.get("after") or "there")
    return "nothing" if type(value).__name__ == "NotPresent" else value_text(value)


def _refusal(summary: str) -> Diagnostic:
    return Diagnostic(
        "not-as-reviewed",
        Severity.ERROR,
        "the plan is not the reviewed one",
        f"{summary}. Nothing was changed.",
        "Run `dbc-iac plan -o FILE` again, and review it.",
        exit_code=ExitCode.REFUSED,
    )
