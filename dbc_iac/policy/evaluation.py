"""Evaluation of `policies` on a plan. A policy that cannot be evaluated refuses the plan."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Locator, Severity, SourceRange
from dbc_iac.manifest.project import PolicySpec
from dbc_iac.manifest.template_process import Ask
from dbc_iac.manifest.templates import Templates, expression_problems
from dbc_iac.plan.model import Plan
from dbc_iac.policy.exposure import open_to_world

_LOG = logging.getLogger("dbc_iac.policy")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def no_location(path: tuple[str | int, ...]) -> SourceRange | None:
    return None


def unsound(policies: Iterable[PolicySpec], place: Locator = no_location) -> Iterator[Diagnostic]:
    """Policies whose expressions are not valid."""
    asked = tuple(policies)
    problems = expression_problems([spec.expression for spec in asked])
    for number, (spec, error) in enumerate(zip(asked, problems, strict=True)):
        if error:
            yield Diagnostic(
                "policy-expression",
                Severity.ERROR,
                f"the policy {spec.name} cannot be read: {error}",
                remedy="Remove the braces."
                if spec.expression.lstrip().startswith("{{")
                else "Write a Jinja expression, without braces; see examples/policies.yaml.",
                source=_place(number, spec, place),
            )


def _place(number: int, spec: PolicySpec, place: Locator) -> SourceRange | None:
    return place(("spec", "policies", number, "warn" if spec.deny is None else "deny"))


def evaluate(
    policies: Iterable[PolicySpec],
    plan: Plan,
    labels: Mapping[str, Mapping[str, str]],
    now: datetime,
    place: Locator = no_location,
) -> tuple[Diagnostic, ...]:
    """Refusals and warnings of policies. `labels` by address: a plan does not have them."""
    asked = tuple(policies)
    if wrong := tuple(unsound(asked, place)):
        return wrong
    if not asked:
        return ()
    context = plan_context(plan, labels)
    evaluation = _Evaluation(asked, Templates(context), now, place)
    found = [*evaluation.objections({}, "")]
    for change in context["plan"]["changes"]:
        if change["action"] not in {"no-op", "unknown"}:
            found += evaluation.objections({"change": change}, change["address"])
    for number, spec in enumerate(asked) if _LOG.isEnabledFor(logging.DEBUG) else ():
        _LOG.debug("policy %s: %d objections", spec.name, sum(n == number for n, _ in found))
    return tuple(d for _, d in sorted(found, key=lambda one: one[0]))


def plan_context(plan: Plan, labels: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Names in expressions, except `change` and `now`: `plan` in its JSON form, with more of each change; functions."""
    encoded = plan.to_json()
    rentals = {(rental["node"], rental["order"]): rental for rental in encoded["rentals"]}
    for change in encoded["changes"]:
        route = change["placement"]["route"] or change["oldPlacement"]["route"]
        change["rental"] = rentals.get((route.get("name"), route.get("rentOrder")))
        change["name"] = Address(change["address"]).label
        change["id"], change["node"] = change["identity"]["id"], change["placement"]["node"]
        change["labels"] = dict(labels.get(change["address"], {}))
        change["changed"] = [field["path"] for field in change["fields"]]
    return {"plan": encoded, "env": plan.environment, "project": plan.project, "open_to_world": open_to_world}


class _Evaluation(Struct, frozen=True):
    """Policies on one plan."""

    policies: tuple[PolicySpec, ...]
    templates: Templates
    now: datetime
    place: Locator

    def objections(self, names: Mapping[str, Any], address: str) -> Iterator[tuple[int, Diagnostic]]:
        """Objections of policies to one change, or without `address` to the whole plan; with their numbers."""
        each = "change" if address else "plan"
        asked = [(n, s, {**names, "now": _moment(self.now, s.time_zone)}) for n, s in enumerate(self.policies)]
        asked = [one for one in asked if one[1].each == each]
        answers = self.templates.answers([Ask("expression", s.expression, here) for _, s, here in asked])
        for (number, spec, here), answer in zip(asked, answers, strict=True):
            source = _place(number, spec, self.place)
            if answer.problem:
                yield number, _unclear(spec, answer.problem, address, source)
            elif answer.value:
                try:
                    message = self.templates.evaluated(spec.message, here)
                except ValueError as error:
                    yield number, _unclear(spec, str(error), address, source)
                else:
                    yield number, _objection(spec, message, address, source)


def _unclear(spec: PolicySpec, problem: str, address: str, source: SourceRange | None) -> Diagnostic:
    return Diagnostic(
        "policy-unclear",
        Severity.ERROR,
        f"the policy {spec.name} cannot be evaluated: {problem}",
        "A policy that cannot be evaluated refuses the plan.",
        "Correct the policy in the project file; use `| default(...)` for fields that a change does not have.",
        source=source,
        address=address or None,
        exit_code=ExitCode.REFUSED,
    )


def _objection(spec: PolicySpec, message: Any, address: str, source: SourceRange | None) -> Diagnostic:
    deny = spec.deny is not None
    return Diagnostic(
        "policy-denied" if deny else "policy-warning",
        Severity.ERROR if deny else Severity.WARNING,
        f"{address}: {message}" if address else str(message),
        f"The policy {spec.name} of the project {'refuses it' if deny else 'warns of it'}.",
        spec.remedy,
        source=None if address else source,
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
