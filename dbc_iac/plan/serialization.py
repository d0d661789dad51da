"""A plan as a file: read back from its canonical JSON form, whole, or refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Related, Severity, SourceRange
from dbc_iac.plan.model import FORMAT_VERSION, Action, Change, FieldChange, GoalSummary, Plan, Step, StepKind


def read_plan(value: Any) -> Plan:
    """A plan from `Plan.to_json()`. Raises DiagnosticError on another format, or when its digest does not fit."""
    if not isinstance(value, Mapping) or "formatVersion" not in value or "changes" not in value:
        raise DiagnosticError(
            _problem("not-a-plan", "this is not a plan file", "Write one with `dbc-iac plan -o FILE`.")
        )
    if value["formatVersion"] != FORMAT_VERSION:
        raise DiagnosticError(
            _problem(
                "plan-format",
                f"the plan has format {value['formatVersion']}, and this dbc-iac reads {FORMAT_VERSION}",
                "Plan again with this version.",
            )
        )
    try:
        plan = _plan(value)
    except (KeyError, TypeError, ValueError):
        raise DiagnosticError(_problem("not-a-plan", "the plan file is damaged", "Plan again.")) from None
    if plan.digest != value.get("digest"):
        raise DiagnosticError(
            _problem("plan-altered", "the plan file was altered: its digest does not fit its content", "Plan again.")
        )
    return plan


def _plan(value: Mapping[str, Any]) -> Plan:
    plain = {_snake(k): v for k, v in value.items() if k != "digest"}
    plain["changes"] = tuple(_change(c) for c in value["changes"])
    plain["steps"] = tuple(_step(s) for s in value["steps"])
    plain["targets"] = tuple(value["targets"])
    plain["recovery"] = tuple(value["recovery"])
    plain["diagnostics"] = tuple(_diagnostic(d) for d in value.get("diagnostics", ()))
    return Plan(**plain)


def _diagnostic(value: Mapping[str, Any]) -> Diagnostic:
    """What was said about it when it was made: shown, and never acted on, for no digest is over it."""
    plain = {_snake(k): v for k, v in value.items()}
    plain["severity"] = Severity(value["severity"])
    plain["source"] = _range(value["source"]) if value["source"] else None
    plain["related"] = tuple(Related(r["message"], _range(r["source"])) for r in value["related"])
    plain["exit_code"] = ExitCode(value["exitCode"])
    return Diagnostic(**plain)


def _range(value: Mapping[str, Any]) -> SourceRange:
    return SourceRange(**{_snake(k): v for k, v in value.items()})


def _change(value: Mapping[str, Any]) -> Change:
    plain: dict[str, Any] = {_snake(k): tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    plain["action"] = Action(value["action"])
    plain["fields"] = tuple(FieldChange(**{_snake(k): v for k, v in f.items()}) for f in value["fields"])
    return Change(**plain)


def _step(value: Mapping[str, Any]) -> Step:
    plain = {_snake(k): v for k, v in value.items()}
    plain["kind"] = StepKind(value["kind"])
    plain["after"] = tuple(value["after"])
    plain["goals"] = tuple(GoalSummary(**{_snake(k): v for k, v in g.items()}) for g in value["goals"])
    return Step(**plain)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _problem(code: str, summary: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.CONFIGURATION)
