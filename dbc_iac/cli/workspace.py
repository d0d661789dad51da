"""A project that has been loaded, its state, and its ways to the API: what commands work on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from dbc_iac.api.channel import Channel, Connections
from dbc_iac.api.secret import SecretText
from dbc_iac.api.transport import ClientNode
from dbc_iac.apply import ApplyOptions, Event, JournalWriter, Report, Run, Stop, rebound, run
from dbc_iac.cli.app import App
from dbc_iac.cli.backend_factory import backend_of
from dbc_iac.cli.encryption import keyring_of, sealed
from dbc_iac.cli.identities import Identities
from dbc_iac.cli.lock_wait import wait_for_lock
from dbc_iac.cli.plan_checks import check_plan, shared_wallets, unsound_outputs
from dbc_iac.cli.plan_files import hooks_of, plan_to_apply, ways_of
from dbc_iac.cli.progress_reporting import ProgressReporter
from dbc_iac.cli.secret_preload import preload_secrets
from dbc_iac.cli.secrets import require_secrets
from dbc_iac.cli.signals import stop_on_signal
from dbc_iac.cli.state_checks import check_bindings, check_identities
from dbc_iac.cli.state_transfer import keep_errored
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Inventory, Resource, models
from dbc_iac.kinds.framework.cached_reader import Connect
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.manifest.load import LoadedProject, load_project
from dbc_iac.manifest.secrets import SecretRef, SecretResolver, secret_places
from dbc_iac.plan import Plan, PlanContext, PlanOptions, check_inventory, make_plan
from dbc_iac.plan.decide.moved_blocks import check_lists, renamed, still_there
from dbc_iac.plan.review.plan_comparison import check_is_remainder, first_difference
from dbc_iac.plan.review.staleness import check_staleness
from dbc_iac.policy.evaluation import unsound
from dbc_iac.state import State, Store, owner
from dbc_iac.state.backends.backend import Backend
from dbc_iac.state.backup import StateBackup
from dbc_iac.views.redaction import Redaction

if TYPE_CHECKING:
    from dbc_iac.state.encryption import Keyring

T = TypeVar("T")


def load_files(app: App) -> LoadedProject:
    """The project of the global options, as its files say; no secret is read. Raises DiagnosticError."""
    return load_project(
        app.directory,
        environment=app.environment or None,
        variables=app.variables,
        variable_files=app.variable_files,
        environ=app.runtime.environ,
        models=models(),
        sources=app.sources,
    )


@dataclass
class Workspace:
    """One stack of one project."""

    app: App
    loaded: LoadedProject
    resolver: SecretResolver
    problems: Diagnostics = field(default_factory=Diagnostics)
    _origin: str = ""
    """Digest of the reviewed plan that is applied, where that is another than the one made now."""

    @classmethod
    def load(cls, app: App) -> Workspace:
        """Load the project of the global options. Raises DiagnosticError with every problem."""
        loaded = load_files(app)
        places = secret_places(loaded.project, loaded.place)
        resolver = SecretResolver(app.runtime.environ, app.directory, places=places)
        app.redaction = Redaction(resolver.known)
        workspace = cls(app, loaded, resolver)
        if loaded.diagnostics.errors:
            # What is sound is checked all the same, unless it may refer to what could not be read.
            (workspace.check() if loaded.whole else loaded.diagnostics).raise_errors()
        preload_secrets(resolver, loaded.project, workspace.inventory.resources.values())
        return workspace

    @cached_property
    def inventory(self) -> Inventory:
        spec = self.loaded.project
        resources: dict[str, Resource[Spec]] = {}
        for parsed in self.loaded.resources:
            assert isinstance(parsed.spec, Spec)  # noqa: S101 - the loader was given these models
            resources[parsed.address] = Resource(
                parsed.address, parsed.kind, parsed.name, parsed.spec, parsed.labels, parsed.where
            )
        clients = tuple(spec.clients)
        image_server = spec.image_client or clients[0]
        urls = [client.url for client in spec.clients.values()]
        urls += [url for r in resources.values() if (url := getattr(r.spec, "url", None)) is not None]
        return Inventory(
            self.loaded.name,
            spec.uid,
            self.app.stack,
            resources,
            clients,
            image_server,
            self._moved,
            frozenset(port for url in urls if (port := urlsplit(url).port) is not None),
        )

    def check(self) -> Diagnostics:
        """All problems that need no API."""
        found = Diagnostics()
        found.extend(self.loaded.diagnostics)
        found.extend(unsound(self.loaded.project.policies, self.loaded.where))
        found.extend(unsound_outputs(self.loaded.project.outputs, self.loaded.where))
        found.extend(check_inventory(self.inventory, self.loaded.project.identity_types(), self.loaded.broken))
        found.extend(check_lists(self._moved, self.loaded.project.removed, self.loaded.where))
        found.extend(still_there(self.loaded.project.removed, self.inventory))
        if not found.errors:
            found.extend(shared_wallets(self))
        return found

    @cached_property
    def place(self) -> Backend:
        """Where the state is kept, as bytes."""
        return self._place_of(self.app.stack)

    def _place_of(self, stack: str) -> Backend:
        return backend_of(self.loaded.project.state, self.app, self.resolver, stack)

    @cached_property
    def keyring(self) -> Keyring | None:
        """Who may read what is written; None where the project does not encrypt."""
        spec = self.loaded.project.encryption
        return None if spec is None else keyring_of(spec, self.resolver)

    @cached_property
    def store(self) -> Store:
        return Store(sealed(self.place, self.keyring, self.app.stack), self.app.stack)

    def store_of(self, stack: str) -> Store:
        """The state of another stack, to be looked at."""
        return Store(sealed(self._place_of(stack), self.keyring, stack), stack)

    def state(self) -> State:
        """The state, under the names that documents have now."""
        return self._renamed(
            self.store.open(project=self.loaded.name, uid=self.loaded.project.uid, lineage=self.app.runtime.uuid().hex)
        )

    def moves(self, state: State) -> tuple[tuple[str, str], ...]:
        """Renames of the project file that the state on disk has not seen yet."""
        known = self.store.look(project=self.loaded.name, uid=self.loaded.project.uid)
        found = () if known is None else renamed(known, self._moved, self.inventory.resources)[1]
        return tuple((old, new) for old, new in found if new in state.bindings)

    @property
    def _moved(self) -> tuple[tuple[str, str], ...]:
        return tuple((m.from_, m.to) for m in self.loaded.project.moved)

    def _renamed(self, state: State) -> State:
        check_bindings(state, self.store.backend.place)
        return renamed(state, self._moved, self.inventory.resources)[0]

    def recorded(self) -> State:
        """The state, to be shown: nothing is written, and an apply may be under way."""
        project, uid = self.loaded.name, self.loaded.project.uid
        found = self.store.look(project=project, uid=uid)
        return self._renamed(found or State(lineage="", project=project, uid=uid, stack=self.app.stack))

    @contextmanager
    def locked(self, command: str, timeout_seconds: float = 0.0) -> Iterator[None]:
        """Hold the lock; wait so many seconds for a run that has it."""
        with wait_for_lock(self.app.runtime, self.store.locked, command, timeout_seconds):
            yield

    def plan(self, options: PlanOptions) -> Plan:
        """Plan. The state is locked."""
        if not options.destroy:
            self.check().raise_errors()
        plan: Plan = self.app.runtime.run(self._plan(options))
        return check_plan(self, plan, () if options.destroy else shared_wallets(self))

    async def _plan(self, options: PlanOptions) -> Plan:
        state = self.recorded() if options.offline else self.state()
        async with self.identities.connections(nowhere=options.offline) as connections:
            return await make_plan(self._session(connections, state), options)

    def work(self, task: Callable[[PlanContext], Coroutine[Any, Any, T]], state: State) -> T:
        """Let something look at the API, on this state."""

        async def go() -> T:
            async with self.identities.connections() as connections:
                return await task(self._session(connections, state))

        result: T = self.app.runtime.run(go())
        return result

    def planned(self, file: Path) -> Plan:
        """A plan from a file, if it still fits; after an end of its own apply, what that left to do.

        Raises DiagnosticError that names what moved.
        """
        reviewed = plan_to_apply(file, self.loaded.project.trusted_plan_keys, lambda: self.keyring)
        check_identities(reviewed, self.loaded.project.identities)
        if (begun := self.store.interrupted_plan()) == reviewed.digest:
            return self._rest_of(reviewed)
        if begun:
            raise DiagnosticError(
                Diagnostic(
                    "plan-stale",
                    Severity.ERROR,
                    "an apply of another plan was ended in the middle",
                    "What it did is in the journal only, and this plan does not know of it.",
                    "Apply that plan again, or plan again.",
                    exit_code=ExitCode.REFUSED,
                )
            )
        self.app.runtime.run(self._check_fit(reviewed))
        return check_plan(self, replace(reviewed, diagnostics=()))  # what was said of it is judged anew

    def expected(self, file: Path) -> Plan:
        """A plan made now, if it is the reviewed one of the file (or what an ended apply of that left to do).

        Raises DiagnosticError that names the first difference.
        """
        reviewed = plan_to_apply(file, self.loaded.project.trusted_plan_keys, lambda: self.keyring)
        if self.store.interrupted_plan() == reviewed.digest:
            return self._rest_of(reviewed)
        now = self.plan(PlanOptions.from_json(reviewed.chosen))
        return self._accepted(reviewed, now, first_difference(reviewed, now))

    def _rest_of(self, reviewed: Plan) -> Plan:
        """What an ended apply of a plan left to do. What it made anew already is not made anew again."""
        options = PlanOptions.from_json(reviewed.chosen)
        bindings = self.state().bindings
        made = {c.address for c in reviewed.pending if c.address in bindings and bindings[c.address].id == c.id}
        now = self.plan(replace(options, replace=options.replace - made))
        return self._accepted(reviewed, replace(now, hooks=reviewed.hooks), check_is_remainder(reviewed, now))

    def _accepted(self, reviewed: Plan, now: Plan, problem: Diagnostic | None) -> Plan:
        if problem is not None:
            raise DiagnosticError(problem)
        self._origin = reviewed.digest
        return now

    async def _check_fit(self, plan: Plan) -> None:
        async with self.identities.connections() as connections:
            await check_staleness(plan, self._session(connections, self.state()))

    def apply(self, plan: Plan, choices: ApplyOptions, following: ProgressReporter) -> Report:
        """Apply a plan, and write the state. The state is locked."""
        report: Report = self.app.runtime.run(self._apply(plan, choices, following))
        return report

    async def _apply(self, plan: Plan, choices: ApplyOptions, following: ProgressReporter) -> Report:
        state = self.state()
        if plan.moves:
            state = self.store.commit(state)
        holder = owner(self.app.runtime.environ, "apply", self.app.runtime.now())
        if self.keyring is not None:
            self.keyring.require_writable()
        require_secrets(plan, self.inventory, self.resolver)
        written, records = self.store.unfolded
        self.store.journal.begin(serial=state.serial, plan=self._origin or plan.digest, owner=holder)
        number = max((i.number for i in state.pending), default=0)
        journal_writer = JournalWriter(self.store.journal, {c.address: c for c in plan.changes}, state.bindings, number)
        await journal_writer.takes_over(plan)
        async with following.watching(plan):
            stop = Stop()
            with stop_on_signal(following.progress.say, stop.ask):
                try:
                    report = await self._run(plan, journal_writer, choices, stop, following.tell)
                except asyncio.CancelledError:
                    for address in journal_writer.down():
                        following.progress.say(f"{address}: powered off by this apply; the next apply starts it")
                    raise
                finally:
                    journal_writer.close()
        made_with = {"environment": self.app.environment}
        done = StateBackup((written or state).model_copy(update=made_with), (*records, *self.store.journal.records))
        return self._kept(report, done) if journal_writer.unwritten is not None else self._committed(report, done)

    def settle(self, plan: Plan) -> None:
        """Write down what an empty plan has found: calls of earlier runs of which nothing comes any more, and ways that
        have changed. The state is locked."""
        state = self.state()
        if plan.settled or any(rebound(plan, state.bindings)):
            self.store.journal.begin(serial=state.serial, plan=plan.digest, owner={})
            self.app.runtime.run(JournalWriter(self.store.journal, {}, state.bindings, 0).takes_over(plan))
            self.store.commit(self.state())

    def _committed(self, report: Report, done: StateBackup) -> Report:
        """Write the state. What became of everything is told all the same where that cannot be done."""
        try:
            self.store.commit(self.state().model_copy(update={"environment": self.app.environment}))
        except DiagnosticError as error:
            return self._kept(replace(report, diagnostics=(*report.diagnostics, *error.diagnostics)), done)
        return report

    def _kept(self, report: Report, done: StateBackup) -> Report:
        """Keep what could not be written elsewhere in a file here. Where this machine is full there is no room."""
        if self.store.backend.lease is None:
            return report
        return replace(report, diagnostics=(*report.diagnostics, keep_errored(self, done)))

    async def _run(
        self,
        plan: Plan,
        journal_writer: JournalWriter,
        choices: ApplyOptions,
        stop: Stop,
        tell: Callable[[Event], None],
    ) -> Report:
        async with self.identities.connections() as connections:
            return await run(
                plan,
                Run(
                    self.connect(connections),
                    self._plan_secret(plan),
                    journal_writer,
                    tell,
                    hooks_of(plan, self.app.directory, self.app.runtime.environ),
                    choices,
                    stop,
                ),
            )

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.loaded.project, self.resolver, self.app.runtime, self.app.directory, self.loaded.place)

    def _session(self, connections: Connections, state: State) -> PlanContext:
        return PlanContext(
            self.inventory,
            state,
            self.connect(connections),
            self._secret,
            self.app.environment,
            self.loaded.project.identity_types(),
            self.loaded.project.thresholds.max_removals,
            frozenset(self.loaded.project.thresholds.refuse),
            self.moves(state),
            frozenset(self.loaded.project.removed),
            self.identities.wallets,
            ways_of(self.loaded.project),
        )

    def connect(self, connections: Connections) -> Connect:
        """Gives the channel to a target. Keys are read in a thread: a program may take seconds to print one."""

        async def connect(route: Route) -> Channel:
            await self.identities.prepare(route.identity, route)
            return self.channel(connections, route)

        return connect

    def channel(self, connections: Connections, route: Route) -> Channel:
        """The channel to a target, with its identity's credentials. Raises DiagnosticError."""
        return Channel(
            connections,
            route.target,
            self.identities.credentials(route.identity, route),
            self._asked(connections, route),
            route.rent_order or None,
            route.target,
        )

    def _asked(self, connections: Connections, route: Route) -> tuple[str, ...]:
        """The names of the nodes that are asked: client nodes, or the target itself at a port of its own."""
        if not route.url:
            known = tuple(c for c in route.clients if c in connections.nodes)  # the state may name one that is gone
            return known or tuple(self.loaded.project.clients)
        if route.name not in connections.nodes:
            port = self.app.runtime.transport(route.name)
            # Whether plain http is meant has been checked with the document.
            connections.nodes[route.name] = ClientNode(route.name, route.url, transport=port, insecure_http=True)
        return (route.name,)

    def _secret(self, address: str, path: str) -> SecretText | None:
        """A secret of a document, None where it is not at hand."""
        resource = self.inventory.resources.get(address)
        value: object = resource.spec if resource is not None else None
        for key in path.split("."):
            value = getattr(value, key, None)
        return self._resolved(value) if isinstance(value, SecretRef) else None

    def _resolved(self, ref: SecretRef) -> SecretText | None:
        try:
            return self.resolver.resolve(ref)
        except DiagnosticError:
            return None

    def _plan_secret(self, plan: Plan) -> Callable[[str, str], SecretText | None]:
        refs = {c.address: c.secrets for c in plan.changes}

        def secret(address: str, path: str) -> SecretText | None:
            ref = refs.get(address, {}).get(path)
            return self._resolved(SecretRef.model_validate(ref)) if ref is not None else None

        return secret
