"""A worker: scheduler and runner of a fleet. Any number of them, on any number of machines, share one database.

    tick        every few seconds, by one worker: closes lost runs, and puts due sources and stacks into the queue
    sync        fetches a source, and makes the stacks due whose directory has changed
    run         one run of one stack
    retention   deletes old runs

Workers of two versions share the queue during an upgrade: the arguments of a job stay as they are, and a job that needs
others gets a new name.

The queue is procrastinate's. A stack is in it at most once (`queueing_lock`), and at most one of its jobs runs
(`lock`); the table of runs and the lock of the state are behind both.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import procrastinate
import psycopg
from msgspec import Struct, field
from procrastinate import exceptions
from procrastinate.jobs import Status

from dbc_iac.controller.database import SCHEMA, NewerVersionError, conninfo
from dbc_iac.controller.fleet import Fleet, SourceSpec
from dbc_iac.controller.mirrors import Mirrors
from dbc_iac.controller.pace import next_fetch
from dbc_iac.controller.records import RunResult, StartedRun
from dbc_iac.controller.running import LEASE, StackRun, WorkerContext, remove_abandoned
from dbc_iac.controller.store import Store
from dbc_iac.controller.tables import stored
from dbc_iac.controller.text import sentences
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, place_of
from dbc_iac.files.reading import real_path
from dbc_iac.secret import SecretText

_LOG = logging.getLogger("dbc_iac.controller")
TICK = "* * * * * */2"  # seconds are the last field
_CLEANUP = "*/10 * * * *"
_CONTROL_JOBS = 4
_LONGEST_PAUSE = 30.0

Ended = Callable[[StartedRun, RunResult, float], Awaitable[None]]
"""Called after the end of a run was recorded, with its seconds."""


class WorkerOptions(Struct):
    """Options of a worker.

    `workers`: runs at the same time; `data`: directory of mirrors, checkouts and caches; `listen`: `HOST:PORT` of the
    HTTP server, empty: none.
    """

    workers: int
    data: Path
    schema: str = SCHEMA
    lease: float = LEASE
    notify: Callable[[str], None] = lambda text: _LOG.info("%s", text)
    ended: list[Ended] = field(default_factory=list)
    listen: str = ""


def worker_name() -> str:
    """Name of this process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """One process of the controller."""

    def __init__(self, fleet: Fleet, url: SecretText, options: WorkerOptions) -> None:
        data = real_path(options.data)
        self._options = options
        self.fleet = fleet
        self.store: Store | None = None
        """The database; None while it is not available, and at the end."""
        self._draining = asyncio.Event()
        self._newer: NewerVersionError | None = None
        mirrors = Mirrors(fleet, data / "sources")
        self._context = WorkerContext(
            fleet, url, options.schema, data, worker_name(), mirrors, self._draining, options.lease
        )
        # Channels of PostgreSQL have short names.
        self.queue = hashlib.blake2b(fleet.name.encode(), digest_size=8).hexdigest()
        self._registered: set[int] = set()

    def drain(self) -> None:
        """End in order: runs close their windows, and their stacks go on elsewhere."""
        self._draining.set()

    def _leave(self, newer: NewerVersionError) -> None:
        """End in order: the work is that of newer workers."""
        self._newer = newer
        self.drain()

    async def run(self) -> None:
        """Work until `drain`. A lost database is waited for.

        Raises DiagnosticError if the fleet is refused, or the database has what only a newer dbc-iac knows.
        """
        info = conninfo(self._context.url, self._options.schema)
        first, pause = True, 1.0
        while not self._draining.is_set():
            began = asyncio.get_running_loop().time()
            try:
                async with Store.open(info, self._options.workers + _CONTROL_JOBS + 4) as store:
                    await store.register(self.fleet)
                    await asyncio.to_thread(remove_abandoned, self._context.data, await store.open_runs())
                    self._options.notify(f"worker {self._context.worker} of fleet {self.fleet.name} is ready")
                    first = False
                    self.store = store
                    await self._work(store)
            except (DiagnosticError, psycopg.Error, exceptions.ProcrastinateException) as error:
                if isinstance(error, DiagnosticError) and (first or error.exit_code is ExitCode.REFUSED):
                    raise
                self._options.notify(f"cannot use the database of the controller ({_reason(error)}); trying again")
            finally:
                self.store = None
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                pause = 1.0
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.5, 1.5)):  # noqa: S311 - not a secret
                    await self._draining.wait()
            pause = min(pause * 2, _LONGEST_PAUSE)
        if self._newer is not None:
            raise self._newer

    async def _work(self, store: Store) -> None:
        """Serve the queue until `drain`, or until the database is lost."""
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(), periodic_defaults={"max_delay": 30})
        _Tasks(app, self.queue, self._context, self._options, store, self._leave)
        async with app.open_async(store.pool):
            for worker in self._registered:  # those of before the database was lost: their jobs are free
                await app.job_manager.unregister_worker(worker)
            self._registered.clear()
            serving = [
                asyncio.create_task(self._serve(app, f"c-{self.queue}", _CONTROL_JOBS)),
                asyncio.create_task(self._serve(app, f"r-{self.queue}", self._options.workers)),
            ]
            draining = asyncio.create_task(self._draining.wait())
            try:
                await asyncio.wait([*serving, draining], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*serving, draining):
                    task.cancel()
                found = await asyncio.gather(*serving, return_exceptions=True)
            for error in found:
                if isinstance(error, Exception):
                    raise error

    async def _serve(self, app: procrastinate.App, queue: str, jobs: int) -> None:
        worker = app._worker(
            queues=[queue],
            name=self._context.worker,
            concurrency=jobs,
            install_signal_handlers=False,
            delete_jobs="always",
            stalled_worker_timeout=self._options.lease,
            update_heartbeat_interval=self._options.lease / 6,
        )
        running = asyncio.ensure_future(worker.run())  # type: ignore[no-untyped-call]
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            raise
        finally:
            if worker.worker_id is not None:
                self._registered.add(worker.worker_id)


class _Tasks:
    """The jobs of the queue."""

    def __init__(
        self,
        app: procrastinate.App,
        queue: str,
        context: WorkerContext,
        options: WorkerOptions,
        store: Store,
        leave: Callable[[NewerVersionError], None],
    ) -> None:
        self._app = app
        self._leave = leave
        self._failing: set[str] = set()
        self._context = context
        self._options = options
        self._store = store
        self._name = context.fleet.name
        control, runs = f"c-{queue}", f"r-{queue}"
        self._sync = app.task(name="sync", queue=control)(self._reported(self.sync))
        self._run = app.task(name="run", queue=runs)(self._reported(self.run))
        for task, cron in ((self.tick, TICK), (self.retention, _CLEANUP)):
            # Without `lock`: the job of a killed worker would hold it, and only a tick frees such jobs.
            waiting = f"{task.__name__} {queue}"
            made = app.task(name=task.__name__, queue=control, queueing_lock=waiting)(self._reported(task))
            app.periodic(cron=cron, periodic_id=queue)(made)

    def _reported(self, task: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """A job that reports its failure; a problem of the database once, until the same job succeeds."""

        async def job(**arguments: Any) -> None:
            name = " ".join([task.__name__, *(value for value in arguments.values() if isinstance(value, str))])
            try:
                await task(**arguments)
            except NewerVersionError as error:
                self._leave(error)
                raise
            except (DiagnosticError, psycopg.Error, exceptions.ProcrastinateException) as error:
                if name not in self._failing:
                    self._options.notify(f"{name}: cannot use the database of the controller ({_reason(error)})")
                self._failing.add(name)
                raise
            except Exception as error:
                self._options.notify(f"{name}: this is a bug in dbc-iac ({place_of(error)})")
                _LOG.debug("unexpected exception", exc_info=error)
                raise
            self._failing.discard(name)

        return job

    async def tick(self, timestamp: int) -> None:
        """Close lost runs, and queue what is due."""
        await self._free_stalled()
        for stack in await self._store.close_lost_runs():
            self._options.notify(f"{stack}: its worker is gone; the next run continues it")
        for source in await self._store.due_sources(self._name):
            await self._defer(self._sync, f"sync {self._name} {source}", source=source)
        await self.queue_due()

    async def queue_due(self) -> None:
        """Put the stacks that are due into the queue at once; one by one if one of them is in it meanwhile."""
        stacks = await self._store.due_stacks(self._name)
        made = [self._run.configure(lock=f"run {s}", queueing_lock=f"run {s}").make_new_job(stack=s) for s in stacks]
        if not made:
            return
        try:
            await self._app.job_manager.batch_defer_jobs_async(made)
        except exceptions.AlreadyEnqueued:
            for stack in stacks:
                await self._defer(self._run, f"run {stack}", stack=stack)

    async def retention(self, timestamp: int) -> None:
        """Delete old runs."""
        kept = self._context.fleet.spec.retention
        await self._store.delete_old_runs(kept.days, kept.runs)

    async def sync(self, source: str) -> None:
        """Fetch a source, and make the stacks due whose directory has changed."""
        found = await self._store.source(self._name, source)
        if found is None:
            return
        spec = stored(SourceSpec, f"the source {source}", found.spec)
        try:
            repository = await self._context.mirrors.repository(source, spec)
            commit = await repository.fetch()
            paths = await self._store.paths(self._name, source)
            trees = {path: await repository.tree(commit, path) for path in set(paths.values())}
        except DiagnosticError as error:
            await self._sync_failed(source, spec, found.failures, error.diagnostics[0])
            return
        except OSError as error:  # such as a full disk
            remedy = "Check the free space and the permissions of the data directory of the controller."
            problem = Diagnostic("git-fetch", Severity.ERROR, f"cannot fetch {source} ({error.strerror})", "", remedy)
            await self._sync_failed(source, spec, found.failures, problem)
            return
        by_stack = {stack: trees[path] for stack, path in paths.items()}
        await self._store.synced(self._name, source, commit, by_stack, next_fetch(spec.interval, 0))
        await self.queue_due()

    async def _sync_failed(self, source: str, spec: SourceSpec, failures: int, problem: Diagnostic) -> None:
        self._options.notify(f"{source}: {sentences(problem.summary, problem.detail, problem.remedy)}.")
        await self._store.sync_failed(self._name, source, problem, next_fetch(spec.interval, failures + 1))

    async def run(self, stack: str) -> None:
        """One run of a stack."""
        started = await self._store.begin_run(stack, self._context.worker, self._options.lease)
        if started is None:
            return
        began = time.monotonic()
        result = await StackRun(self._context, self._store, started).to_end()
        self._options.notify(f"{stack}: {result.outcome.value}: {result.message}")
        for ended in self._options.ended:
            await ended(started, result, time.monotonic() - began)

    async def _free_stalled(self) -> None:
        """Delete the jobs of workers that are gone: the stacks and sources are due again by their own tables."""
        for job in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=self._options.lease):
            if job.id is not None:
                with suppress(exceptions.ConnectorException):  # it has ended meanwhile
                    await self._app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)

    @staticmethod
    async def _defer(task: Any, lock: str, **arguments: str) -> None:
        with suppress(exceptions.AlreadyEnqueued):
            await task.configure(lock=lock, queueing_lock=lock).defer_async(**arguments)


def _reason(error: Exception) -> str:
    if isinstance(error, DiagnosticError):
        return error.diagnostics[0].detail.rstrip(".") or error.diagnostics[0].summary
    return str(error.__cause__ or error).partition("\n")[0] or type(error).__name__
