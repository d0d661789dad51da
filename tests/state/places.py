"""Places that keep states, made for tests: each a real server with the package's backend on it, and one clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbc_iac.state.backends.backend import Backend
from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.local import LocalBackend
from tests.state.servers import terraform_http


@dataclass
class Clock:
    """Stands until it is told to go on."""

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


def _token() -> str:
    return uuid.uuid4().hex


@contextmanager
def local(directory: Path) -> Iterator[Place]:
    yield Place(lambda stack, _: LocalBackend(directory / "state", stack))


@contextmanager
def http(directory: Path) -> Iterator[Place]:
    with terraform_http.served() as (address, _):
        yield Place(lambda stack, clock: HttpBackend(HttpDocuments(address, stack), clock, _token))


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {"local": local, "http": http}
