"""Evaluates the `policies` of a project over a plan. What cannot be evaluated is refused, never let through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity, SourceRange
from dbc_iac.manifest.project import PolicySpec
from dbc_iac.manifest.template import evaluated, expression
from dbc_iac.plan.model import Plan
from dbc_iac.policy.exposure import open_to_world

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


Place = Callable[[tuple[str | int, ...]], SourceRange | None]
"""Where a value of the project file stands, by its path."""


def nowhere(path: tuple[str | int, ...]) -> SourceRange | None:
    return None


@dataclass(frozen=True, slots=True)
class _Policy:
    spec: PolicySpec
    holds: Callable[[Mapping[str, Any]], Any]
    """Whether there is something to object to."""
    source: SourceRange | None


def unsound(policies: Iterable[PolicySpec], place: Place = nowhere) -> Iterator[Diagnostic]:
    """Problems of the policies themselves: what is no expression."""
    for number, spec in enumerate(policies):
        try:
            expression(spec.expression)
        except ValueError as error:
            yield Diagnostic(
                "policy-expression",
                Severity.ERROR,
                f"the policy {spec.name} cannot be read: {error}",
                remedy="Write a Jinja expression, without braces; see examples/policies.yaml.",
                source=_place(number, spec, place),
            )


def _place(number: int, spec: PolicySpec, place: Place) -> SourceRange | None:
    return place(("spec", "policies", number, "warn" if spec.deny is None else "deny"))


def evaluate(
    policies: Iterable[PolicySpec],
    plan: Plan,
    labels: Mapping[str, Mapping[str, str]],
    now: datetime,
    place: Place = nowhere,
) -> tuple[Diagnostic, ...]:
    """What the policies object to. `labels` by address: a plan does not hold them."""
    asked = tuple(policies)
    if wrong := tuple(unsound(asked, place)):
        return wrong
    if not asked:
        return ()
    sound = [_Policy(s, expression(s.expression), _place(n, s, place)) for n, s in enumerate(asked)]
    context = plan_context(plan, labels)
    return tuple(found for policy in sound for found in _objections(policy, context, now))


def plan_context(plan: Plan, labels: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What expressions can name, but for `change` and `now`: `plan`, as its JSON says, and more of each change; and
    what they can ask."""
    encoded = plan.to_json()
    for change in encoded["changes"]:
        change["name"] = change["address"].partition("/")[2]
        change["labels"] = dict(labels.get(change["address"], {}))
        change["changed"] = [field["path"] for field in change["fields"]]
    return {"plan": encoded, "env": plan.environment, "project": plan.project, "open_to_world": open_to_world}


def _objections(policy: _Policy, context: Mapping[str, Any], now: datetime) -> Iterator[Diagnostic]:
    here = {**context, "now": _moment(now, policy.spec.time_zone)}
    if policy.spec.each == "plan":
        yield from _objection(policy, here, "")
        return
    for change in context["plan"]["changes"]:
        if change["action"] not in {"no-op", "unknown"}:
            yield from _objection(policy, {**here, "change": change}, change["address"])


def _objection(policy: _Policy, context: Mapping[str, Any], address: str) -> Iterator[Diagnostic]:
    spec = policy.spec
    try:
        if not policy.holds(context):
            return
        message = evaluated(spec.message, context)
    except ValueError as error:
        yield Diagnostic(
            "policy-unclear",
            Severity.ERROR,
            f"the policy {spec.name} cannot be evaluated: {error}",
            "What cannot be evaluated is refused.",
            "Correct it in the project file; `| default(...)` stands in for what a change does not have.",
            source=policy.source,
            address=address or None,
            exit_code=ExitCode.REFUSED,
        )
        return
    deny = spec.deny is not None
    yield Diagnostic(
        "policy-denied" if deny else "policy-warning",
        Severity.ERROR if deny else Severity.WARNING,
        f"{address}: {message}" if address else str(message),
        f"The policy {spec.name} of the project {'refuses it' if deny else 'warns of it'}.",
        spec.remedy,
        source=None if address else policy.source,
        address=address or None,
        exit_code=ExitCode.REFUSED,
    )


def _moment(now: datetime, zone: str) -> dict[str, Any]:
    local = now.astimezone(ZoneInfo(zone))
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": _DAYS[local.weekday()],
        "date": local.date().isoformat(),
    }
