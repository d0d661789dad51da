"""One run in a worker: checkout, process, events, lease, and the record of its end."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from dbc_iac import __version__
from dbc_iac.controller.child_process import GRACE, RunProcess, environment, secrets_of, started
from dbc_iac.controller.database import conninfo
from dbc_iac.controller.fleet import Fleet, byte_count
from dbc_iac.controller.mirrors import Mirrors
from dbc_iac.controller.pace import next_run
from dbc_iac.controller.records import Outcome, Phase, RunResult, StartedRun
from dbc_iac.controller.store import Store
from dbc_iac.controller.text import sentences
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.secret import SecretText
from dbc_iac.views.text.diagnostics import diagnostics_json

LEASE = 60.0
"""Seconds after which another worker takes over a run whose worker no longer renews the lease."""
_RENEWALS = 6
_FLUSH_SECONDS = 0.5


class WorkerContext(Struct):
    """Settings, directories and database of a worker, which all of its runs share.

    `url`: database; `schema`: schema of the controller in it.
    """

    fleet: Fleet
    url: SecretText
    schema: str
    data: Path
    worker: str
    mirrors: Mirrors
    draining: asyncio.Event
    lease: float = LEASE


def remove_abandoned(data: Path, open_runs: Iterable[int]) -> None:
    """Remove checkouts of runs whose worker was killed; their process may still close windows for a while."""
    kept = {str(run) for run in open_runs}
    with suppress(OSError):
        for place in (data / "runs").iterdir():
            with suppress(OSError):
                if place.name not in kept and time.time() - place.stat().st_mtime > GRACE:
                    shutil.rmtree(place, ignore_errors=True)


class StackRun:
    """One run, from its start in the database to its end there."""

    def __init__(self, context: WorkerContext, store: Store, run: StartedRun) -> None:
        self._context = context
        self._store = store
        self._run = run
        self._stopped = ""
        self._process: RunProcess | None = None
        self._number = 0
        self._events: list[tuple[int, Mapping[str, Any]]] = []

    async def to_end(self) -> RunResult:
        """Run the stack, and record the result. The lease is renewed from the beginning: a fetch may take minutes."""
        place = self._context.data / "runs" / str(self._run.id)
        helpers = [asyncio.create_task(task) for task in (self._renew(), self._drain())]
        try:
            result = await self._result(place)
        except DiagnosticError as error:
            result = self._failed(*error.diagnostics)
        except OSError as error:  # such as a full disk
            summary = f"cannot start the run ({error.strerror})"
            remedy = "Check the data directory of the controller."
            result = self._failed(Diagnostic("run-start", Severity.ERROR, summary, remedy=remedy))
        finally:
            await _cancelled(helpers)
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        await self._end(result)
        return result

    async def _result(self, place: Path) -> RunResult:
        run, spec = self._run, self._context.fleet.spec
        repository = await self._context.mirrors.repository(run.source, run.source_spec)
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)  # left over if the database was wiped
        await repository.require(run.commit)
        await repository.checkout(run.commit, place)
        directory = place / run.spec.path
        if not directory.is_dir():
            summary = f"the commit {run.commit[:12]} has no directory {run.spec.path}"
            raise failure("no-directory", summary[:72], remedy="Correct `path` of the stack.")
        home = self._context.data / "stacks" / run.stack
        (home / "cache").mkdir(parents=True, exist_ok=True, mode=0o700)
        given = spec.secrets.get(run.stack)
        secrets: dict[str, str] = {}
        if given is not None:
            secrets = await asyncio.to_thread(secrets_of, self._context.fleet.directory / given.directory)
        environ = environment(secrets, home, self._context.worker)
        if self._stopped:
            return self._interrupted()
        async with started(self._request(directory), environ, directory) as process:
            self._process = process
            if self._stopped:  # meanwhile
                process.stop()
            return await self._followed(process)

    def _request(self, directory: Path) -> dict[str, Any]:
        run = self._run
        approval = run.approval
        known = None
        if approval is not None and approval.tree == run.tree and run.plan is not None:
            known = {"status": approval.status, "digest": approval.digest, "plan": run.plan}
        return {
            "version": __version__,
            "directory": str(directory),
            "environment": run.spec.environment,
            "stack": run.spec.stack,
            "memory": byte_count(self._context.fleet.spec.limits.memory),
            "lanes": conninfo(self._context.url, self._context.schema, statement_timeout=0),
            "policy": {
                "mode": run.spec.mode,
                "drift": run.spec.drift,
                "drift_only": run.drift_only,
                "open": run.spec.window is None or run.spec.window.contains(run.now),
                "approval": known,
            },
        }

    async def _followed(self, process: RunProcess) -> RunResult:
        """Follow a process to its end: store its events, stop it at a limit."""
        helpers = [asyncio.create_task(task) for task in (self._flush(), self._limit(process))]
        try:
            async for event in process.events():
                self._events.append((self._number, event))
                self._number += 1
            await process.process.wait()
        finally:
            await _cancelled(helpers)
            with suppress(DiagnosticError):
                await self._store_events()
        if process.result is None:
            return self._without_result(process.process.returncode or 0)
        return self._ended(process.result)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._context.lease / _RENEWALS)
            try:
                if not await self._store.renew_run(self._run.id, self._context.lease):
                    self._stop("another worker has taken the stack over")
            except DiagnosticError:
                self._stop("the database of the controller was lost")

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            with suppress(DiagnosticError):  # the lease decides
                await self._store_events()

    async def _store_events(self) -> None:
        if events := self._events[:]:
            await self._store.add_events(self._run.id, events)
            del self._events[: len(events)]

    async def _limit(self, process: RunProcess) -> None:
        await asyncio.sleep(self._context.fleet.spec.limits.time)
        self._stop("the run took longer than `limits.time`")
        await asyncio.sleep(GRACE)
        process.kill()

    async def _drain(self) -> None:
        await self._context.draining.wait()
        self._stop("the worker was stopped")

    def _stop(self, why: str) -> None:
        if not self._stopped:
            self._stopped = why
            if self._process is not None:
                self._process.stop()

    def _interrupted(self) -> RunResult:
        return RunResult(Outcome.INTERRUPTED, None, self._next(Outcome.INTERRUPTED), message=self._stopped)

    def _ended(self, result: Mapping[str, Any]) -> RunResult:
        phase = result["phase"]
        outcome = Outcome(result["outcome"])
        message = result["message"]
        if self._stopped and outcome is Outcome.INTERRUPTED:
            message = f"{self._stopped}: {message}"
        return RunResult(
            outcome,
            None if phase is None else Phase(phase),
            self._next(outcome),
            message=message,
            digest=result["digest"],
            plan=result["plan"],
            report=result["report"],
            diagnostics=result["diagnostics"],
            drifted=result["drifted"],
            approval=result["approval"],
            calls=result["calls"],
        )

    def _without_result(self, code: int) -> RunResult:
        if self._stopped:
            return self._interrupted()
        end = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return self._failed(
            Diagnostic(
                "run-killed",
                Severity.ERROR,
                f"the process of the run ended {end}",
                "The next run continues it.",
                "If memory ran out, raise `limits.memory`.",
                exit_code=ExitCode.ERROR,
            )
        )

    def _failed(self, *problems: Diagnostic) -> RunResult:
        diagnostics = json.dumps(diagnostics_json(problems))
        message = sentences(problems[0].summary, problems[0].detail)
        return RunResult(
            Outcome.FAILED, Phase.FAILED, self._next(Outcome.FAILED), message=message, diagnostics=diagnostics
        )

    def _next(self, outcome: Outcome) -> float:
        interval = self._run.spec.interval
        return next_run(outcome, interval, self._run.retries, stopped=self._context.draining.is_set())

    async def _end(self, result: RunResult) -> None:
        """Record the result. Retries for the time of the lease, such as while the database restarts; then gives up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._context.lease):
                while True:
                    try:
                        await self._store.end_run(self._run.id, result)
                    except DiagnosticError:
                        await asyncio.sleep(1)
                    else:
                        return


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
