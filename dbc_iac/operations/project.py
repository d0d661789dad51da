"""A loaded project: its manifests, its state, and its connections to the API. Every operation works on one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct, field

from dbc_iac.diagnostics import DiagnosticError, Diagnostics, ExitCode, failure
from dbc_iac.kinds import MODELS, Inventory, Resource
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.recorded import unusable_part
from dbc_iac.manifest.header import check_stack_name
from dbc_iac.manifest.load import LoadedProject, load_project
from dbc_iac.manifest.secrets import SecretResolver, secret_places
from dbc_iac.operations.backends import backend_of
from dbc_iac.operations.checks import check_manifests
from dbc_iac.operations.encryption import keyring_of, sealed
from dbc_iac.operations.identities import Identities
from dbc_iac.operations.rentals import chain_clock
from dbc_iac.operations.runtime import Runtime
from dbc_iac.operations.secrets import secrets_of, with_all_missing
from dbc_iac.plan.context import PlanContext, listed
from dbc_iac.plan.decide.moved_blocks import expanded, renamed
from dbc_iac.plan.model import canonical_digest
from dbc_iac.secret import SecretText
from dbc_iac.state import State, Store, owner
from dbc_iac.views.redaction import Redaction

if TYPE_CHECKING:
    from dbc_iac.apply import ApplyOptions, Event, Report
    from dbc_iac.manifest.project import StateSpec
    from dbc_iac.plan import Plan, PlanOptions
    from dbc_iac.plan.review.drift import DriftReport
    from dbc_iac.state.encryption import Keyring

T = TypeVar("T")
_LOG = logging.getLogger("dbc_iac.operations")
_LOCK_RETRY_SECONDS = 5.0


class Project(Struct, dict=True):
    """One stack of one project."""

    __repr__ = object.__repr__  # texts of files, and the environment

    directory: Path
    environment: str
    stack: str
    runtime: Runtime
    loaded: LoadedProject
    resolver: SecretResolver
    redaction: Redaction
    """Redaction of the secrets that have been read so far, here and in replies."""
    sources: dict[str, str] = field(default_factory=dict)
    """The text of every file that was read, by name: excerpts of diagnostics are taken from it."""

    @classmethod
    def load(
        cls,
        directory: Path | str = ".",
        *,
        environment: str = "",
        stack: str | None = None,
        variables: Mapping[str, str] | None = None,
        variable_files: Iterable[Path | str] = (),
        runtime: Runtime | None = None,
        sources: dict[str, str] | None = None,
        only_project_file: bool = False,
    ) -> Project:
        """Load the project in a directory. Raises DiagnosticError with every problem of its files.

        `environment` and `variables` are those of `-e` and `--var`; `stack` is by default that of the environment, or
        `main`. `sources` receives the texts that were read, also where loading fails. `only_project_file`: for the
        state alone; there are no resources.
        """
        if stack is not None:
            check_stack_name(stack)
        _check_variables(variables or {})
        files = listed("variable_files", variable_files, "files", str | Path)
        directory, runtime = Path(directory), runtime or Runtime()
        sources = {} if sources is None else sources
        loaded = load_project(
            directory,
            environment=environment,
            variables=variables or {},
            variable_files=[*map(Path, files)],
            environ=runtime.environ,
            models=MODELS,
            sources=sources,
            only_project_file=only_project_file,
        )
        stack = loaded.stack(environment, stack)
        places = secret_places(loaded.project)
        redaction = Redaction()
        resolver = SecretResolver(runtime.environ, directory, places=places, where=loaded.place, found=redaction.add)
        project = cls(directory, environment, stack, runtime, loaded, resolver, redaction, sources)
        if loaded.diagnostics.error_count:
            # The valid part is still checked, unless it may refer to a part that could not be read.
            (project.check() if loaded.whole else loaded.diagnostics).raise_errors()
        # All output is searched for secrets from now on. A missing one is reported by the operation that needs it.
        for ref in {*places, *(ref for r in project.inventory.resources.values() for _, ref in secrets_of(r))}:
            if ref.command is None:
                resolver.available(ref)
        count = len(project.inventory.resources)
        _LOG.info("loaded %s: %d resources, environment %s, stack %s", directory, count, environment or "-", stack)
        return project

    @cached_property
    def inventory(self) -> Inventory:
        """The resources of the manifests."""
        spec = self.loaded.project
        resources: dict[str, Resource[Spec]] = {}
        for parsed in self.loaded.resources:
            assert isinstance(parsed.spec, Spec)  # noqa: S101 - the loader was given these models
            resources[parsed.address] = Resource(
                parsed.address, parsed.kind, parsed.name, parsed.spec, parsed.labels, parsed.where
            )
        clients = tuple(spec.clients)
        urls = [client.url for client in spec.clients.values()]
        urls += [url for r in resources.values() if (url := getattr(r.spec, "url", None)) is not None]
        return Inventory(
            self.loaded.name,
            spec.uid,
            self.stack,
            resources,
            clients,
            spec.image_client or clients[0],
            expanded(spec.moves, resources),
            frozenset(port for url in urls if (port := urlsplit(url).port) is not None),
        )

    def check(self) -> Diagnostics:
        """All problems that can be found without the API and the state."""
        return check_manifests(self.loaded, self.inventory)

    def plan(self, options: PlanOptions | None = None) -> Plan:
        """Compare the manifests with the API. Holds the state lock meanwhile. Raises DiagnosticError."""
        _refuse_running_loop("plan")
        from dbc_iac.operations.plan import plan_now
        from dbc_iac.plan import PlanOptions

        with self.locked("plan"):
            return plan_now(self, options or PlanOptions()).plan

    def apply(
        self,
        plan: Plan,
        *,
        on_event: Callable[[Event], None] | None = None,
        options: ApplyOptions | None = None,
        lock_timeout: float = 0.0,
    ) -> Report:
        """Apply a plan, if nothing has changed since it was made. Raises DiagnosticError.

        `on_event` is called in the event loop of the apply, with secrets removed: it must return at once.
        `lock_timeout`: seconds to wait for the state lock.
        """
        _refuse_running_loop("apply")
        from dbc_iac.operations.reviewed_plans import apply_reviewed

        return apply_reviewed(self, plan, on_event, options, lock_timeout)

    def save_plan(self, plan: Plan, file: Path | str, *, signing_key: Path | str | None = None) -> None:
        """Write a plan to a file, readable by its owner only; encrypted if the project is. Raises DiagnosticError.

        `signing_key`: file of the private key that signs it; default: the key in DBC_IAC_SIGNING_KEY, if set.
        """
        from dbc_iac.operations import plan_files
        from dbc_iac.operations.plan import require_fresh

        require_fresh(plan)
        key = plan_files.signing_key(None if signing_key is None else Path(signing_key), self.runtime.environ)
        plan_files.write_plan_file(plan, Path(file), key, self.keyring)

    def load_plan(self, file: Path | str) -> Plan:
        """The plan of a file, for `apply`. Raises DiagnosticError if it was altered, or is not signed as the project
        requires."""
        from dbc_iac.operations.plan_files import plan_to_apply

        return plan_to_apply(Path(file), self.loaded.project.trusted_plan_keys, lambda: self.keyring)

    def drift(self) -> DriftReport:
        """Differences between the last apply and the API. Changes nothing. Raises DiagnosticError."""
        _refuse_running_loop("drift")
        from dbc_iac.operations.drift import find_drift

        return find_drift(self)

    @property
    def state(self) -> State:
        """The recorded state, read now, with renames applied; an apply may be running. Raises DiagnosticError."""
        project, uid = self.loaded.name, self.loaded.project.uid
        found = self.store.look(project=project, uid=uid)
        state = found or State(lineage="", project=project, uid=uid, stack=self.stack)
        for address, binding in state.bindings.items():
            if part := unusable_part(address, binding):
                raise failure(
                    "state-corrupt",
                    f"the state has no usable {part} for {address}",
                    f"State: {self.store.backend.place}. An apply never writes such a value. Nothing was changed.",
                    "Restore it from an older version or a backup.",
                    exit_code=ExitCode.ERROR,
                )
        return self._renamed(state)

    @contextmanager
    def locked(self, command: str, timeout_seconds: float = 0.0) -> Iterator[None]:
        """Hold the state lock; retry up to `timeout_seconds` while another run holds it. Raises DiagnosticError."""
        left = timeout_seconds
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self.store.locked(owner(self.runtime.environ, command, self.runtime.now())))
                    break
                except DiagnosticError as error:
                    if left <= 0 or error.exit_code is not ExitCode.LOCKED:
                        raise
                    if left == timeout_seconds:
                        holder = error.diagnostics[0].detail
                        self.runtime.report_progress(
                            f"Waiting up to {timeout_seconds:g} s for the state lock. {holder}"
                        )
                pause = min(_LOCK_RETRY_SECONDS, left)
                self.runtime.run(asyncio.sleep(pause))
                left -= pause
            with self._all_missing_secrets():
                yield

    @contextmanager
    def _all_missing_secrets(self) -> Iterator[None]:
        """Report all missing secrets with the first one."""
        try:
            yield
        except DiagnosticError as error:
            raise with_all_missing(error, self.inventory, self.resolver) from None

    @cached_property
    def keyring(self) -> Keyring | None:
        """The keys of the project's encryption; None if it has none."""
        spec = self.loaded.project.encryption
        return None if spec is None else keyring_of(spec, self.resolver)

    @cached_property
    def store(self) -> Store:
        """The state of the stack, decrypted."""
        return self.store_of(self.stack)

    def store_of(self, stack: str, spec: StateSpec | None = None) -> Store:
        """The state of a stack of the project, in the backend of the project file or another one."""
        backend = backend_of(self, spec or self.loaded.project.state, stack)
        return Store(backend if self.keyring is None else sealed(backend, self.keyring, stack), stack)

    def stored_state(self, state: State) -> State:
        """The state as it was read; a new one is written now. Requires the state lock."""
        if state.lineage:
            return state
        return self.store.begin(state.model_copy(update={"lineage": self.runtime.uuid().hex}))

    def journalled_state(self) -> State:
        """The state as this run has read and written it, with its journal. Requires the state lock; reads nothing."""
        return self._renamed(self.store.journalled().folded)

    def _renamed(self, state: State) -> State:
        # Without the manifests, an address that is in the state was perhaps created after the rename.
        moved = [m for m in self.inventory.moves if self.loaded.whole or m[1] not in state.bindings]
        return renamed(state, moved, self.inventory.resources)[0] if moved else state

    def _moves(self, state: State) -> tuple[tuple[str, str], ...]:
        """Renames of the project file that are in `state`, and not on disk yet."""
        stored = self.store.unfolded  # as `state` was read, before its renames
        found = () if stored is None else renamed(stored.folded, self.inventory.moves, self.inventory.resources)[1]
        return tuple((old, new) for old, new in found if new in state.bindings)

    def work(self, task: Callable[[PlanContext], Coroutine[Any, Any, T]], state: State, *, offline: bool = False) -> T:
        """Run a task that reads the API, on this state; `offline`: without client nodes."""

        with self._all_missing_secrets():
            result: T = self.runtime.run(self._work(task, state, offline))
        return result

    async def _work(self, task: Callable[[PlanContext], Coroutine[Any, Any, T]], state: State, offline: bool) -> T:
        project = self.loaded.project
        # Settings that decide where requests go and who signs them; with references to secrets, never with secrets.
        decisive = {"clients", "image_client", "identities"}
        spec = project.model_dump(mode="json", by_alias=True, include=decisive)
        stored = self.store.unfolded
        async with self.identities.connections(offline=offline) as connections:
            context = PlanContext(
                self.inventory,
                state,
                partial(self.identities.connect, connections),
                self._secret,
                self.environment,
                project.identity_types(),
                project.thresholds.max_removals,
                frozenset(project.thresholds.refuse),
                self._moves(state) if self.inventory.moves else (),
                frozenset(project.removed),
                self.identities.wallets,
                {
                    "clients": canonical_digest([spec["clients"], spec["imageClient"]]),
                    "identities": canonical_digest(spec["identities"]),
                },
                0 if stored is None else len(stored.records),
                chain_clock(project.chain, self.runtime, self.loaded.where) if project.chain is not None else None,
            )
            return await task(context)

    @cached_property
    def identities(self) -> Identities:
        """The credentials of requests, and the connections to nodes."""
        return Identities(self.loaded, self.inventory, self.resolver, self.runtime, self.directory, self.redaction.add)

    def _secret(self, address: str, path: str) -> SecretText | None:
        """The secret of a field; None if it is not available."""
        resource = self.inventory.resources.get(address)
        ref = None if resource is None else dict(secrets_of(resource)).get(path)
        return None if ref is None else self.resolver.available(ref)


def _check_variables(variables: Mapping[str, str]) -> None:
    """Raise DiagnosticError for values that are no text: they have the form of `--var`."""
    pairs = variables.items() if isinstance(variables, Mapping) else [(None, None)]
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        remedy = 'Write values as on the command line, such as `variables={"count": "3"}`.'
        raise failure("option-type", "variables: expected a mapping from name to text", remedy=remedy)


def _refuse_running_loop(call: str) -> None:
    """Raise DiagnosticError in a running event loop, which cannot wait for a call that runs one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise failure(
        "running-event-loop",
        f"Project.{call} cannot run in an event loop",
        "It blocks until its requests have been answered.",
        f"Run it in a thread: `await asyncio.to_thread(project.{call}, ...)`.",
        exit_code=ExitCode.ERROR,
    )
