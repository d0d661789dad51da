"""Backends of tests: each the package's own on a real server, with one clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from obstore.store import ObjectStore
from psycopg import sql

from dbc_iac.secret import SecretText
from dbc_iac.state import State, Store
from dbc_iac.state.backends.backend import Backend
from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.http_client import HttpDocuments, Protocol
from dbc_iac.state.backends.local import LocalBackend
from dbc_iac.state.backends.objectstore import ObjectStoreBackend, object_store
from dbc_iac.state.backends.postgres import Database, PostgresBackend
from tests.state.servers import postgres as postgres_server
from tests.state.servers import s3, terraform_http


@dataclass
class Clock:
    """Waits until it is released."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Place:
    """Makes backends on one place, each as another run would."""

    make: Callable[[str, Clock], Backend]
    clock: Clock = field(default_factory=Clock)

    def open(self, stack: str = "main") -> Backend:
        return self.make(stack, self.clock)


def local_store(directory: Path) -> Store:
    """The state of the stack `main` in a directory."""
    return Store(LocalBackend(directory, "main"), "main")


def stored_state(store: Store, *, project: str = "lab", uid: str = "0" * 32, lineage: str = "l") -> State:
    """The state of a store; a new one is written first."""
    state = store.look(project=project, uid=uid)
    return state or store.begin(State(lineage=lineage, project=project, uid=uid, stack=store.stack))


def _token() -> str:
    return uuid.uuid4().hex


@contextmanager
def local(directory: Path) -> Iterator[Place]:
    yield Place(lambda stack, _: LocalBackend(directory / "state", stack))


@contextmanager
def http(directory: Path) -> Iterator[Place]:
    place = Place(lambda stack, _: HttpBackend(HttpDocuments(address, stack), _wrong, _token))
    with terraform_http.served(now=place.clock) as (address, _):
        yield place


@contextmanager
def gitlab(directory: Path) -> Iterator[Place]:
    user, password = terraform_http.LOGIN
    protocol, login = Protocol("/lock", "POST", "DELETE"), (user, SecretText(password))
    place = Place(lambda stack, _: HttpBackend(HttpDocuments(address, stack, protocol, {}, login), _wrong, _token))
    with terraform_http.served(terraform_http.GITLAB, place.clock) as (address, _):
        yield place


def _wrong() -> datetime:
    """The clock of a machine that is years ahead: nothing may depend on it."""
    return datetime(2036, 1, 1, tzinfo=UTC)


@dataclass
class ServerClock(Clock):
    """The server's own clock counts: instead of it going on, what it compares itself with goes back."""

    schema: str = ""

    def advance(self, seconds: float) -> None:
        with psycopg.connect(postgres_server.address()) as connection:
            back = sql.SQL("update {} set until = until - make_interval(secs => %s)")
            connection.execute(back.format(sql.Identifier(self.schema, "lease")), (seconds,))


@contextmanager
def postgres(directory: Path) -> Iterator[Place]:
    schema = f"test_{uuid.uuid4().hex}"
    password = SecretText(postgres_server.PASSWORD)
    database = Database(postgres_server.by_network(), schema, postgres_server.USER, password)
    yield Place(lambda stack, _: PostgresBackend(database, stack, _token), ServerClock(schema=schema))


@dataclass
class StoreClock(Clock):
    """The store's own clock counts, as with a database: what it compares is made older."""

    prefix: str = ""

    def advance(self, seconds: float) -> None:
        s3.age(self.prefix, seconds)


def bucket(prefix: str) -> ObjectStore:
    return object_store(f"s3://{s3.BUCKET}/{prefix}", s3.endpoint(), "us-east-1", s3.KEYS)


@contextmanager
def objectstore(directory: Path) -> Iterator[Place]:
    prefix = uuid.uuid4().hex
    store = bucket(prefix)
    yield Place(
        lambda stack, _: ObjectStoreBackend(store, "s3://states/test", stack, _token), StoreClock(prefix=prefix)
    )


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "local": local,
    "http": http,
    "gitlab": gitlab,
    "postgres": postgres,
    "objectstore": objectstore,
}
