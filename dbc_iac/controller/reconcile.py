"""One run of a stack: plan, decide by mode, drift policy, window and approval, and apply. In the process of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.apply import ApplyOptions, Report
from dbc_iac.controller.records import Outcome, Phase
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.kinds import kind_of
from dbc_iac.operations.apply import Observer, apply_plan, close_pending
from dbc_iac.operations.plan import PlanToApply, plan_now
from dbc_iac.operations.project import Project
from dbc_iac.operations.reviewed_plans import continue_plan
from dbc_iac.plan import Action, Change, Plan, PlanOptions
from dbc_iac.plan.decide.changes import POWERED_OFF_REASON
from dbc_iac.plan.review.drift import reverts_drift
from dbc_iac.plan.review.plan_comparison import first_difference
from dbc_iac.plan.serialization import read_plan
from dbc_iac.views.text.apply import counts, report_json
from dbc_iac.views.text.diagnostics import diagnostics_json
from dbc_iac.views.text.plan import only_drift

_ALL_REMOVALS = 100
_THRESHOLD = "too-many-removals"
_UNREAD = {"unreadable", "bad-session-id"}


class Policy(Struct, frozen=True):
    """The rules of a run. `drift_only`: this tree was applied before; `open`: changes may begin now."""

    mode: str
    drift: str
    drift_only: bool
    open: bool
    approval: Mapping[str, Any] | None = None
    """Status, digest and plan of the last approval, if it is for this tree."""

    def approved(self) -> bool:
        return self.approval is not None and self.approval["status"] == "approved"

    def reviewed(self) -> Plan | None:
        """The plan of the approval; None if there is none, or another version of dbc-iac has made it."""
        try:
            return None if self.approval is None else read_plan(json.loads(self.approval["plan"]))
        except DiagnosticError:
            return None


class RunEnd(Struct, frozen=True):
    """The end of a run, for the worker: fields as in `records.RunResult`."""

    outcome: Outcome
    phase: Phase | None
    message: str = ""
    digest: str = ""
    plan: Plan | None = None
    report: Report | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    drifted: bool = False
    approval: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value; the plan and the report are texts of JSON."""
        return {
            "outcome": self.outcome.value,
            "phase": None if self.phase is None else self.phase.value,
            "message": self.message,
            "digest": self.digest,
            "plan": None if self.plan is None else json.dumps(self.plan.to_json()),
            "report": None if self.report is None else json.dumps(report_json(self.report)),
            "diagnostics": json.dumps(diagnostics_json(self.diagnostics)) if self.diagnostics else None,
            "drifted": self.drifted,
            "approval": self.approval,
        }


def failed(*diagnostics: Diagnostic, plan: Plan | None = None) -> RunEnd:
    """The end of a run that changed nothing because of these problems."""
    errors = [d for d in diagnostics if d.severity is Severity.ERROR]
    first = (errors or [*diagnostics])[0]
    if first.exit_code is ExitCode.LOCKED:  # by another apply
        message = f"{first.summary}. {first.detail}"
        remedy = "Wait: the stack runs again soon. If that run was killed, `dbc-iac state unlock` frees the lock."
        return RunEnd(Outcome.INTERRUPTED, None, message, diagnostics=(replace(first, remedy=remedy),))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    digest = "" if plan is None else plan.digest
    return RunEnd(Outcome.FAILED, Phase.FAILED, f"{first.summary}{more}", digest, plan, diagnostics=diagnostics)


def reconcile(project: Project, policy: Policy, observer: Observer, stopped: Callable[[], bool]) -> RunEnd:
    """Plan, and apply what may be applied. `stopped`: whether the run is asked to end. Raises DiagnosticError."""
    _refuse_lost_state(project)
    with project.locked("controller"):
        if policy.mode == "observe":
            return _observed(project, policy)
        if policy.approved() and policy.open and (approved := _approved(project, policy)) is not None:
            return _applied(project, approved, policy, observer, stopped)
        to_apply = _plan(project)
        plan = to_apply.plan
        if problems := _errors(plan):
            return failed(*problems, plan=plan)
        if plan.empty:
            close_pending(project, to_apply)
            return _unchanged(plan)
        if _is_drift(plan, policy) and policy.drift == "report":
            return _planned(plan, Phase.DRIFTED, policy)
        if reason := approval_reason(plan, policy):
            return _awaiting(plan, reason, policy)
        if not policy.open:
            return _planned(plan, Phase.WINDOW, policy)
        return _applied(project, to_apply, policy, observer, stopped)


def _observed(project: Project, policy: Policy) -> RunEnd:
    """Plan; change nothing."""
    plan = plan_now(project, PlanOptions()).plan
    if problems := _errors(plan):
        return failed(*problems, plan=plan)
    if not plan.pending:
        return _unchanged(plan)
    phase = Phase.DRIFTED if _is_drift(plan, policy) else Phase.OUT_OF_SYNC
    return _planned(plan, phase, policy)


def _is_drift(plan: Plan, policy: Policy) -> bool:
    """Whether a plan only reverts drift; its changes show it, also after the controller's database was lost."""
    return bool(plan.pending) and all(
        _drifted(change, policy)
        and POWERED_OFF_REASON not in change.reasons  # by an interrupted apply: it is started
        and (policy.drift_only or change.action is Action.CREATE or only_drift(change))
        for change in plan.pending
    )


def _drifted(change: Change, policy: Policy) -> bool:
    """Whether a change reverts drift, alone or besides other differences."""
    return reverts_drift(change) or (policy.drift_only and POWERED_OFF_REASON not in change.reasons)


def approval_reason(plan: Plan, policy: Policy) -> str:
    """The reason why a plan needs approval; empty: it is applied without."""
    pending = [c for c in plan.pending if not Address(c.address).deposed]
    if policy.mode == "approve":
        return "mode approve"
    removes = {Action.DELETE, Action.REPLACE, Action.FORGET}
    reasons = {
        "data loss": [c.address for c in pending if c.losses],
        "identity loss": [c.address for c in pending if c.action in removes and kind_of(c.kind).irreplaceable],
        "drift": [c.address for c in pending if policy.drift == "report" and _drifted(c, policy)],
    }
    found = [f"{reason}: {', '.join(addresses)}" for reason, addresses in reasons.items() if addresses]
    if plan.options.get("max_removals") == _ALL_REMOVALS:
        found.append("more removals than the threshold")
    return "; ".join(found)


def _plan(project: Project) -> PlanToApply:
    """Plan; if only the threshold of removals refuses the plan, plan without it, which then requires approval."""
    to_apply = plan_now(project, PlanOptions())
    if {d.code for d in to_apply.plan.errors} != {_THRESHOLD}:
        return to_apply
    return plan_now(project, PlanOptions(max_removals=_ALL_REMOVALS), to_apply.state)


def _approved(project: Project, policy: Policy) -> PlanToApply | None:
    """The approved plan, or the rest of it; None if it is stale."""
    reviewed = policy.reviewed()
    if reviewed is None:
        return None
    try:
        to_apply = continue_plan(project, reviewed)
    except DiagnosticError as error:
        if any(d.exit_code is not ExitCode.REFUSED for d in error.diagnostics):
            raise
        return None
    return None if _errors(to_apply.plan) else to_apply


def _applied(
    project: Project, to_apply: PlanToApply, policy: Policy, observer: Observer, stopped: Callable[[], bool]
) -> RunEnd:
    plan = to_apply.plan
    digest = to_apply.reviewed or plan.digest
    if stopped():
        return RunEnd(Outcome.INTERRUPTED, None, "stopped before the apply", digest, plan)
    if plan.empty:
        close_pending(project, to_apply)
        return replace(_unchanged(plan), outcome=Outcome.APPLIED, digest=digest)
    report = project.redaction(apply_plan(project, to_apply, ApplyOptions(), observer))
    problems = project.redaction((*plan.diagnostics, *report.diagnostics))
    if report.exit_code is ExitCode.INTERRUPTED:
        return RunEnd(Outcome.INTERRUPTED, None, counts(report), digest, plan, report, problems)
    if report.exit_code is not ExitCode.OK:
        return RunEnd(Outcome.FAILED, Phase.FAILED, counts(report), digest, plan, report, problems)
    return RunEnd(Outcome.APPLIED, Phase.SYNCED, counts(report), digest, plan, report, problems)


def _awaiting(plan: Plan, reason: str, policy: Policy) -> RunEnd:
    """The end of a run whose plan needs approval. If an equal plan was decided or waits, its digest is kept."""
    waiting, before = policy.approval, policy.reviewed()
    if waiting is None or before is None or waiting["status"] not in {"pending", "approved", "rejected"}:
        return replace(_planned(plan, Phase.APPROVAL, policy), approval=reason)
    if first_difference(before, plan) is not None:
        return replace(_planned(plan, Phase.APPROVAL, policy), approval=reason)
    kept = replace(_planned(plan, Phase.APPROVAL, policy), digest=before.digest, plan=None, approval=reason)
    if waiting["status"] == "rejected":
        return replace(kept, phase=Phase.REJECTED, approval="")
    return replace(kept, phase=Phase.WINDOW) if waiting["status"] == "approved" and not policy.open else kept


def _planned(plan: Plan, phase: Phase, policy: Policy) -> RunEnd:
    drifted = any(_drifted(change, policy) for change in plan.pending)
    done = [f"{plan.count(action)} to {action.value}" for action in Action if plan.count(action)]
    words = ", ".join(text for text in done if not text.endswith(("no-op", "unknown")))
    return RunEnd(Outcome.PLANNED, phase, f"Plan: {words or 'renames only'}.", plan.digest, plan, drifted=drifted)


def _unchanged(plan: Plan) -> RunEnd:
    message = "The infrastructure matches the manifests."
    return RunEnd(Outcome.UNCHANGED, Phase.SYNCED, message, plan.digest, diagnostics=plan.diagnostics)


def _errors(plan: Plan) -> list[Diagnostic]:
    """Errors of a plan, first among all its diagnostics; also objects that could not be read."""
    if plan.errors:
        return sorted(plan.diagnostics, key=lambda d: d.severity is not Severity.ERROR)
    if plan.pending or plan.exit_code is ExitCode.OK:
        return []
    unread = (d for d in plan.diagnostics if d.code in _UNREAD)
    return [replace(d, severity=Severity.ERROR, exit_code=plan.exit_code) for d in unread]


def _refuse_lost_state(project: Project) -> None:
    """Require a state that outlives the checkout. Raises DiagnosticError."""
    state = project.loaded.project.state
    if state.backend == "local" and not PurePath(state.path).is_absolute():
        raise failure(
            "state-in-checkout",
            f"the state in {state.path} is lost with the checkout",
            "The next run would not know the created objects.",
            "Set `state` in dbc-iac.yaml to a remote backend (docs/state.md).",
            project.loaded.place("state.path") or project.loaded.place("state"),
        )
