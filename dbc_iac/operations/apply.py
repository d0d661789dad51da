"""Applying a plan: made now, read from a file, or left unfinished by an interrupted apply."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dbc_iac.api.secret import SecretText
from dbc_iac.apply import ApplyOptions, Event, Hook, JournalWriter, Report, Run, Stop, rebound, run
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.manifest.program_environment import program_environment
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.operations.checks import check_plan
from dbc_iac.operations.errored_state import keep_errored_state
from dbc_iac.operations.plan import plan_and_state
from dbc_iac.operations.plan_files import plan_to_apply
from dbc_iac.operations.project import Project
from dbc_iac.operations.secrets import require_secrets
from dbc_iac.operations.state_checks import check_identities
from dbc_iac.plan import Plan, PlanOptions
from dbc_iac.plan.review.plan_comparison import check_is_remainder, first_difference
from dbc_iac.plan.review.staleness import check_staleness
from dbc_iac.state import State, owner
from dbc_iac.state.backup import StateBackup

_LOG = logging.getLogger("dbc_iac.apply")


class Observer:
    """Follows an apply, in its event loop. This one does nothing; subclasses override what they need."""

    @asynccontextmanager
    async def watching(self, plan: Plan, stop: Stop) -> AsyncIterator[None]:
        """Context of the apply. `stop.ask()` ends it: calls in flight are finished, and nothing new is started."""
        yield

    def event(self, event: Event) -> None:
        """Called for each event."""

    def note(self, text: str) -> None:
        """Called with a sentence for people."""


class _Callback(Observer):
    """Passes on events with secrets removed, until the callback raises: the apply is finished anyway."""

    def __init__(self, project: Project, on_event: Callable[[Event], None]) -> None:
        self._project = project
        self._on_event = on_event
        self._failed = False

    def event(self, event: Event) -> None:
        if self._failed:
            return
        try:
            self._on_event(self._project.redaction(event))
        except Exception:
            self._failed = True
            _LOG.exception("on_event raised; the apply continues without it")


@dataclass(frozen=True, slots=True)
class PlanToApply:
    """A plan that can be applied now, and the state that it starts from.

    `reviewed`: digest of the reviewed plan that it continues; empty: its own.
    """

    plan: Plan
    state: State
    reviewed: str = ""


def apply_reviewed(
    project: Project,
    plan: Plan,
    on_event: Callable[[Event], None] | None,
    options: ApplyOptions | None,
    lock_timeout: float,
) -> Report:
    """Apply a plan that was made earlier, if nothing has changed since. Raises DiagnosticError."""
    if plan.options.get("offline"):
        summary = "cannot apply a plan that was made from the state alone"
        problem = Diagnostic("plan-not-fresh", Severity.ERROR, summary, remedy="Plan with PlanOptions(offline=False).")
        raise DiagnosticError(problem)
    observer = Observer() if on_event is None else _Callback(project, on_event)
    with project.locked("apply", lock_timeout):
        to_apply = continue_plan(project, plan)
        refuse_errors(to_apply.plan)
        if to_apply.plan.empty:
            close_pending(project, to_apply)
            return Report()
        return project.redaction(apply_plan(project, to_apply, options or ApplyOptions(), observer))


def refuse_errors(plan: Plan) -> None:
    """Raise DiagnosticError for a plan with errors, which is never applied."""
    if any(d.severity is Severity.ERROR for d in plan.diagnostics):
        raise DiagnosticError(*plan.diagnostics)


def plan_now(project: Project, options: PlanOptions) -> PlanToApply:
    """A plan made now. The state is locked. Raises DiagnosticError."""
    return PlanToApply(*plan_and_state(project, options))


def plan_from_file(project: Project, file: Path) -> PlanToApply:
    """The plan of a file, if it is not stale; after an interruption of its own apply, the remainder of that.

    The state is locked. Raises DiagnosticError that names what has changed.
    """
    return continue_plan(project, _read(project, file))


def _read(project: Project, file: Path) -> Plan:
    return plan_to_apply(file, project.loaded.project.trusted_plan_keys, lambda: project.keyring)


def continue_plan(project: Project, reviewed: Plan) -> PlanToApply:
    """A reviewed plan, if it is not stale; after an interruption of its own apply, the remainder of that."""
    refuse_errors(reviewed)
    check_identities(reviewed, project.loaded.project.identities)
    state = project.open_state()
    interrupted = project.store.interrupted_plan()
    if reviewed.digest in {interrupted, state.unfinished_plan}:
        return _remainder(project, reviewed)
    if interrupted:
        raise DiagnosticError(
            Diagnostic(
                "plan-stale",
                Severity.ERROR,
                "the plan is stale: an apply of another plan was interrupted",
                "The changes of that apply are in the journal only; this plan was made without them.",
                "Apply the interrupted plan again, or run `dbc-iac plan -o FILE` again.",
                exit_code=ExitCode.REFUSED,
            )
        )
    project.runtime.run(_check_staleness(project, reviewed, state))
    # Its warnings are found again.
    return PlanToApply(check_plan(project, replace(reviewed, diagnostics=()), state), state)


def plan_as_expected(project: Project, file: Path) -> PlanToApply:
    """A plan made now, if it equals the reviewed one of a file, or is the remainder of its interrupted apply.

    The state is locked. Raises DiagnosticError that names the first difference.
    """
    reviewed = _read(project, file)
    if reviewed.digest in {project.store.interrupted_plan(), project.open_state().unfinished_plan}:
        return _remainder(project, reviewed)
    now = plan_now(project, PlanOptions.from_json(reviewed.options))
    return _accepted(reviewed, now, first_difference(reviewed, now.plan))


def _remainder(project: Project, reviewed: Plan) -> PlanToApply:
    """The unfinished part of an interrupted apply. What it has replaced already is not replaced again."""
    options = PlanOptions.from_json(reviewed.options)
    bindings = project.open_state().bindings
    made = {c.address for c in reviewed.pending if c.address in bindings and bindings[c.address].id == c.identity.id}
    now = plan_now(project, replace(options, replace=options.replace - made))
    problem = check_is_remainder(reviewed, now.plan)
    return _accepted(reviewed, replace(now, plan=replace(now.plan, hooks=reviewed.hooks)), problem)


def _accepted(reviewed: Plan, now: PlanToApply, problem: Diagnostic | None) -> PlanToApply:
    if problem is not None:
        raise DiagnosticError(problem)
    return replace(now, reviewed=reviewed.digest)


async def _check_staleness(project: Project, plan: Plan, state: State) -> None:
    async with project.identities.connections() as connections:
        await check_staleness(plan, project.context(connections, state))


def close_pending(project: Project, to_apply: PlanToApply) -> None:
    """Record the findings of a plan without changes: resolved pending operations, changed routes. Locked state."""
    plan, state = to_apply.plan, to_apply.state
    if plan.closed_operations or any(rebound(plan, state.bindings)):
        project.store.journal.begin(serial=state.serial, plan=plan.digest, owner={})
        project.runtime.run(JournalWriter(project.store.journal, {}, state.bindings, 0).takes_over(plan))
        project.store.commit(project.open_state())


def apply_plan(project: Project, to_apply: PlanToApply, options: ApplyOptions, observer: Observer) -> Report:
    """Apply a plan and write the state, which is locked. Raises DiagnosticError before the first call only."""
    report: Report = project.runtime.run(_Apply(project, to_apply, options, observer).run())
    return report


@dataclass(slots=True)
class _Apply:
    project: Project
    to_apply: PlanToApply
    options: ApplyOptions
    observer: Observer

    async def run(self) -> Report:
        project, plan, store = self.project, self.to_apply.plan, self.project.store
        state = self.to_apply.state if self.to_apply.state.lineage else project.open_state()  # a new one
        if plan.moves:
            state = store.commit(state)
        holder = owner(project.runtime.environ, "apply", project.runtime.now())
        if project.keyring is not None:
            project.keyring.require_writable()
        require_secrets(plan, project.inventory, project.resolver)
        written, records = store.unfolded
        store.journal.begin(serial=state.serial, plan=self.to_apply.reviewed or plan.digest, owner=holder)
        number = max((i.number for i in state.pending), default=0)
        journal = JournalWriter(store.journal, {c.address: c for c in plan.changes}, state.bindings, number)
        await journal.takes_over(plan)
        stop = Stop()
        async with self.observer.watching(plan, stop):
            try:
                report = await self._run(journal, stop)
            except asyncio.CancelledError:
                for address in journal.down():
                    self.observer.note(f"{address}: powered off by this apply; the next apply starts it")
                raise
            finally:
                journal.close()
        applied = (written or state).model_copy(update={"environment": project.environment})
        done = StateBackup(applied, (*records, *store.journal.records))
        return self._keep_errored(report, done) if journal.unwritten is not None else self._commit(report, done)

    async def _run(self, journal: JournalWriter, stop: Stop) -> Report:
        project, plan = self.project, self.to_apply.plan
        async with project.identities.connections() as connections:
            return await run(
                plan,
                Run(
                    project.connect(connections),
                    self._secrets(),
                    journal,
                    self._event,
                    hooks_of(plan, project.directory, project.runtime.environ),
                    self.options,
                    stop,
                ),
            )

    def _event(self, event: Event) -> None:
        if _LOG.isEnabledFor(logging.INFO):
            _LOG.info("%s %s: %s", event.kind, event.address, self.project.redaction(event.text))
        self.observer.event(event)

    def _secrets(self) -> Callable[[str, str], SecretText | None]:
        refs = {c.address: c.secrets for c in self.to_apply.plan.changes}

        def secret(address: str, path: str) -> SecretText | None:
            ref = refs.get(address, {}).get(path)
            return self.project.resolved(SecretRef.model_validate(ref)) if ref is not None else None

        return secret

    def _commit(self, report: Report, done: StateBackup) -> Report:
        """Write the state. The report survives where that fails."""
        project = self.project
        try:
            state = project.open_state()
            digest = self.to_apply.reviewed or self.to_apply.plan.digest
            left = state.open or report.failed or report.not_started or report.waiting
            ended = {"environment": project.environment, "unfinished_plan": digest if left else ""}
            project.store.commit(state.model_copy(update=ended))
        except DiagnosticError as error:
            return self._keep_errored(replace(report, diagnostics=(*report.diagnostics, *error.diagnostics)), done)
        return report

    def _keep_errored(self, report: Report, done: StateBackup) -> Report:
        """Keep in a local file what could not be written to a remote backend. A full local disk has no room for it."""
        if self.project.store.backend.lease is None:
            return report
        return replace(report, diagnostics=(*report.diagnostics, keep_errored_state(self.project, done)))


def hooks_of(plan: Plan, directory: Path, environ: Mapping[str, str]) -> dict[str, Hook]:
    """The hooks of a plan: the reviewed ones run, independent of the current manifests."""
    hooks = {address: BeforeOffline.model_validate(hook) for address, hook in plan.hooks.items()}
    passed = program_environment({**os.environ, **environ})
    return {a: Hook(hook.command, hook.timeout, hook.force, directory, passed) for a, hook in hooks.items()}
