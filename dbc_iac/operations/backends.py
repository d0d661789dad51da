"""The backend of a stack's state, made from `state` of the project file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.files.reading import leads_out, real_path
from dbc_iac.manifest.project import StateSpec
from dbc_iac.manifest.secrets import AS_PASSWORD, IN_A_HEADER, SecretResolver
from dbc_iac.manifest.trust import refuse_untrusted
from dbc_iac.operations.runtime import Runtime
from dbc_iac.state.backends.backend import Backend
from dbc_iac.state.backends.local import LocalBackend

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project


def backend_of(project: Project, spec: StateSpec, stack: str) -> Backend:
    """The backend of a stack of a project. Raises DiagnosticError, also for a missing secret."""
    directory, runtime = project.directory, project.runtime
    if spec.backend == "local":
        if leads_out(directory / spec.path, directory):
            raise failure(
                "outside-project",
                f"state.path: a link leads {spec.path} out of the project",
                remedy="Set `state.path` to the real path, or remove the link.",
                exit_code=ExitCode.CONFIGURATION,
            )
        if not real_path(directory / spec.path).is_relative_to(real_path(directory)):
            refuse_untrusted(runtime.environ, "keep its state outside the project")
        return LocalBackend(directory / spec.path, stack)
    refuse_untrusted(runtime.environ, f"reach its state ({spec.backend})")
    try:
        return _REMOTE[spec.backend](spec, runtime, project.resolver, stack)
    except ImportError as error:
        raise failure(
            "missing-extra",
            f"backend {spec.backend} needs the package {error.name}",
            remedy=f"Install it with: pip install 'dbc-iac[{spec.backend}]'",
            exit_code=ExitCode.ERROR,
        ) from None
    except OSError as error:
        summary = f"invalid `state` in the project file: {error.strerror}"
        raise failure(
            "invalid-backend", summary, remedy="Correct it as docs/state.md shows.", exit_code=ExitCode.CONFIGURATION
        ) from None


def _http(spec: StateSpec, runtime: Runtime, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.http import HttpBackend
    from dbc_iac.state.backends.http_client import HttpDocuments, Protocol

    headers = {name: resolver.fitting(ref, IN_A_HEADER) for name, ref in spec.headers.items()}
    login = None if spec.password is None else (spec.username, resolver.fitting(spec.password, AS_PASSWORD))
    protocol = Protocol(spec.lock_path, spec.lock_method, spec.unlock_method)
    documents = HttpDocuments(spec.address.rstrip("/"), stack, protocol, headers, login)
    return HttpBackend(documents, runtime.now, _tokens(runtime))


def _postgres(spec: StateSpec, runtime: Runtime, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.postgres import Database, PostgresBackend

    password = None if spec.password is None else resolver.fitting(spec.password, AS_PASSWORD)
    database = Database(spec.address, spec.schema_name, spec.username, password)
    return PostgresBackend(database, stack, _tokens(runtime))


def _objectstore(spec: StateSpec, runtime: Runtime, resolver: SecretResolver, stack: str) -> Backend:
    from dbc_iac.state.backends.objectstore import ObjectStoreBackend, object_store

    credentials = {
        # A JSON service account file is not sent, so its form does not matter.
        name: (
            resolver.resolve(ref) if name.endswith("service_account_key") else resolver.fitting(ref, IN_A_HEADER)
        ).reveal()
        for name, ref in spec.credentials.items()
    }
    store = object_store(spec.address, spec.endpoint, spec.region, credentials)
    return ObjectStoreBackend(store, spec.address, stack, _tokens(runtime))


_REMOTE: dict[str, Callable[[StateSpec, Runtime, SecretResolver, str], Backend]] = {
    "http": _http,
    "postgres": _postgres,
    "objectstore": _objectstore,
}


def _tokens(runtime: Runtime) -> Callable[[], str]:
    return lambda: runtime.uuid().hex
