"""The place of a stack's state, as the project file says it; and the command that frees its lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.reading import leads_out
from dbc_iac.manifest.secrets import AS_PASSWORD, IN_A_HEADER
from dbc_iac.manifest.trust import refuse_untrusted
from dbc_iac.state.backends.backend import Backend, code_of
from dbc_iac.state.backends.local import LocalBackend

if TYPE_CHECKING:
    from dbc_iac.files.reading import leads_out
    from dbc_iac.manifest.project import StateSpec
from dbc_iac.manifest.secrets import SecretResolver


def backend_of(spec: StateSpec, app: App, resolver: SecretResolver, stack: str) -> Backend:
    """Where the state of the stack is kept. Raises DiagnosticError where a secret that opens it is not at hand."""
    if spec.backend == "local":
        directory = app.directory / spec.path
        if leads_out(directory, app.directory):
            raise _problem(
                "outside-project",
                f"state.path: {spec.path} leads out of the project by a link",
                "Write the path that is meant into `state.path`, or remove the link.",
                ExitCode.CONFIGURATION,
            )
        return LocalBackend(directory, stack)
    refuse_untrusted(app.runtime.environ, f"reach its state ({spec.backend})")
    try:
        return _REMOTE[spec.backend](spec, app, resolver, stack)
    except ImportError as error:
        raise _problem(
            "missing-extra",
            f"the backend {spec.backend} needs {error.name}, which is not installed",
            f"Install it with: pip install 'dbc-iac[{spec.backend}]'",
            ExitCode.ERROR,
        ) from None
    except OSError as error:
        summary = f"`state` of the project file is no place: {error.strerror}"
        raise _problem("no-place", summary, "See docs/state.md.", ExitCode.CONFIGURATION) from None


def _http(spec: StateSpec, app: App, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.http import HttpBackend
    from dbc_iac.state.backends.http_client import HttpDocuments, Protocol

    headers = {name: resolver.fitting(ref, IN_A_HEADER) for name, ref in spec.headers.items()}
    login = None if spec.password is None else (spec.username, resolver.fitting(spec.password, AS_PASSWORD))
    protocol = Protocol(spec.lock_path, spec.lock_method, spec.unlock_method)
    documents = HttpDocuments(spec.address.rstrip("/"), stack, protocol, headers, login)
    return HttpBackend(documents, app.runtime.now, _tokens(app))


def _postgres(spec: StateSpec, app: App, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.postgres import Database, PostgresBackend

    password = None if spec.password is None else resolver.fitting(spec.password, AS_PASSWORD)
    database = Database(spec.address, spec.schema_name, spec.username, password)
    return PostgresBackend(database, stack, _tokens(app))


def _objectstore(spec: StateSpec, app: App, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.objectstore import ObjectStoreBackend, object_store

    credentials = {
        # The one that is a JSON file is not sent.
        name: (
            resolver.resolve(ref) if name.endswith("service_account_key") else resolver.fitting(ref, IN_A_HEADER)
        ).reveal()
        for name, ref in spec.credentials.items()
    }
    store = object_store(spec.address, spec.endpoint, spec.region, credentials)
    return ObjectStoreBackend(store, spec.address, stack, _tokens(app))


_REMOTE: dict[str, Callable[[StateSpec, App, SecretResolver, str], Backend]] = {
    "http": _http,
    "postgres": _postgres,
    "objectstore": _objectstore,
}


def _tokens(app: App) -> Callable[[], str]:
    return lambda: app.runtime.uuid().hex


@click.command("unlock")
@yes_option
@json_option
@click.pass_obj
def state_unlock(app: App, yes: bool, as_json: bool) -> None:
    """Free the lock of a run that is known to have ended. If it lives, it can write nothing any more."""
    from dbc_iac.cli.recovery import confirm
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    backend = Workspace.load(app).store.backend
    try:
        holder = backend.holder()
        if holder is None:
            app.show("The state is not locked.\n", {"freed": None})
            return
        if backend.lease is None:
            raise _problem(
                "lock-of-a-process",
                f"the lock of {backend.place} is held by a process",
                "End that process: the lock goes with it.",
                ExitCode.LOCKED,
            )
        said = ", ".join(f"{name} {value}" for name, value in holder.items() if value)
        if not yes:
            confirm(app, f"Free the lock of {said}?")
        backend.break_lock()
    except OSError as error:
        summary = f"{backend.place} cannot be reached ({error.strerror})"
        raise _problem("state-unreadable", summary, "Check that it can be reached.", code_of(error)) from None
    app.show(f"Freed. It was held by: {said}.\n", {"freed": dict(holder)})


def _problem(code: str, summary: str, remedy: str, exit_code: ExitCode) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code))


COMMANDS = (state_unlock,)
