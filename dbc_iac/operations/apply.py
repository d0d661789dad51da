"""Applying a plan. `reviewed_plans` has those that were made earlier."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, convert
from msgspec.structs import replace

from dbc_iac.apply import ApplyOptions, Event, Executor, Hook, JournalWriter, Report, Run, Stop, rebound
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.rules import Behaviour
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.trust import program_environment
from dbc_iac.operations.errored_state import keep_errored_state
from dbc_iac.operations.plan import PlanToApply
from dbc_iac.operations.secrets import require_secrets
from dbc_iac.plan import Plan
from dbc_iac.plan.model import Action
from dbc_iac.secret import SecretText
from dbc_iac.state import State, owner
from dbc_iac.state.journal import StateBackup

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project

_LOG = logging.getLogger("dbc_iac.apply")


class Observer:
    """Follows an apply, in its event loop; all that it gets is without secrets. This one does nothing; subclasses
    override what they need."""

    @asynccontextmanager
    async def watching(self, plan: Plan, stop: Stop) -> AsyncIterator[None]:
        """Context of the apply. `stop.set()` ends it: calls in flight are finished, and nothing new is started."""
        yield

    def event(self, event: Event) -> None:
        """Called for each event."""

    def note(self, text: str) -> None:
        """Called with a sentence for people."""


def close_pending(project: Project, to_apply: PlanToApply) -> None:
    """Record the findings of a plan without changes: resolved pending operations, changed routes. Locked state."""
    plan, state = to_apply.plan, to_apply.state
    if plan.closed_operations or any(rebound(plan, state.bindings)):
        project.store.journal.begin(serial=state.serial, plan=plan.digest, owner={})
        project.runtime.run(JournalWriter(project.store.journal, {}, state.bindings, 0).takes_over(plan, state.open))
        project.store.commit(project.journalled_state())


def apply_plan(project: Project, to_apply: PlanToApply, options: ApplyOptions, observer: Observer) -> Report:
    """Apply a plan and write the state, which is locked. Raises DiagnosticError before the first call only."""
    report: Report = project.runtime.run(_Apply(project, to_apply, options, observer).run())
    return report


class _Apply(Struct):
    project: Project
    to_apply: PlanToApply
    options: ApplyOptions
    observer: Observer

    async def run(self) -> Report:
        project, plan, store = self.project, self.to_apply.plan, self.project.store
        state = project.stored_state(self.to_apply.state)
        if plan.moves:
            state = store.commit(state)
        holder = owner(project.runtime.environ, "apply", project.runtime.now())
        if project.keyring is not None:
            project.keyring.require_writable()
        require_secrets(plan, project.inventory, project.resolver)
        store.journal.begin(serial=state.serial, plan=self.to_apply.reviewed or plan.digest, owner=holder)
        number = max((i.number for i in state.pending), default=0)
        changes = {change.address: change for change in plan.changes}
        journal = JournalWriter(store.journal, changes, state.bindings, number)
        await journal.takes_over(plan, state.open)
        hooks = hooks_of(plan, project.directory, project.runtime.environ) if plan.hooks else {}
        stop = Stop()
        async with self.observer.watching(plan, stop):
            try:
                async with project.identities.connections() as connections:
                    connect = partial(project.identities.connect, connections)
                    run = Run(connect, self._secret, journal, self._event, hooks, self.options, stop)
                    report = await Executor(plan, self.to_apply.steps, run).run()
            except asyncio.CancelledError:
                for address in journal.down():
                    text = f"{address}: powered off by this apply; the next apply starts it"
                    self.observer.note(project.redaction(text))
                raise
            finally:
                journal.close()
        done = store.journalled()
        return self._keep_errored(report, done) if journal.unwritten is not None else self._commit(report, done)

    def _event(self, event: Event) -> None:
        shown = self.project.redaction(event)
        _LOG.info("%s %s: %s", shown.kind, shown.address, shown.text)
        self.observer.event(shown)

    def _secret(self, reference: Json) -> SecretText | None:
        """The secret of a reference of the plan; None if it is not available."""
        return self.project.resolver.available(SecretRef.model_validate(reference))

    def _commit(self, report: Report, done: StateBackup) -> Report:
        """Write the state. The report survives where that fails."""
        project = self.project
        try:
            state = project.journalled_state()
            digest = self.to_apply.reviewed or self.to_apply.plan.digest
            if self.to_apply.plan.options.get("replace"):
                report = self._with_not_replaced(report, state)
            left = state.open or report.failed or report.not_started or report.waiting
            ended = {"environment": project.environment, "unfinished_plan": digest if left else ""}
            project.store.commit(state.model_copy(update=ended))
        except DiagnosticError as error:
            return self._keep_errored(replace(report, diagnostics=(*report.diagnostics, *error.diagnostics)), done)
        return report

    def _with_not_replaced(self, report: Report, state: State) -> Report:
        """The report, with a warning for each object that `--replace` named and that is still there: no difference from
        the manifests makes the next apply replace it."""
        unmet = {*report.failed, *report.not_started, *report.waiting}
        named = unmet.intersection(convert(self.to_apply.plan.options.get("replace", ()), list[str]))
        old = {a: bound.generation for a, bound in state.bindings.items() if a in named}
        found = [
            change.address
            for change in self.to_apply.plan.pending
            if change.action is Action.REPLACE
            and old.get(change.address, change.identity.generation) < change.identity.generation
            and not any(field.behaviour == Behaviour.REPLACE for field in change.fields)
        ]
        warnings = (
            Diagnostic(
                "not-replaced", Severity.WARNING, f"{address} is not replaced",
                "No field differs, so that the next apply does not replace it.",
                f"Use --replace {address} again, or apply the same plan file again.", address=address,
            )
            for address in found
        )  # fmt: skip
        return replace(report, not_replaced=tuple(found), diagnostics=(*report.diagnostics, *warnings))

    def _keep_errored(self, report: Report, done: StateBackup) -> Report:
        """Keep in a local file what could not be written to a remote backend. A full local disk has no room for it."""
        project = self.project
        if project.store.backend.lease is None:
            return report
        applied = done.state.model_copy(update={"environment": project.environment})
        kept = keep_errored_state(project, StateBackup(applied, done.records))
        return replace(report, diagnostics=(*report.diagnostics, kept))


def hooks_of(plan: Plan, directory: Path, environ: Mapping[str, str]) -> dict[str, Hook]:
    """The hooks of a plan: the reviewed ones run, independent of the current manifests."""
    hooks = {address: BeforeOffline.model_validate(hook) for address, hook in plan.hooks.items()}
    passed = program_environment({**os.environ, **environ})
    return {a: Hook(hook.command, hook.timeout, hook.force, directory, passed) for a, hook in hooks.items()}
