"""Environment of an operation, injected so that tests, the demo and other programs can replace it."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field

if TYPE_CHECKING:
    import httpx

    from dbc_iac.api.channel import Turn
    from dbc_iac.api.idempotency import CallEvent

T = TypeVar("T")
_LOG = logging.getLogger("dbc_iac.operations")


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    from asyncio import run  # takes a third of the start of commands without coroutines

    return run(coroutine)


def _real_network(name: str) -> httpx.AsyncBaseTransport | None:
    return None


class Runtime(Struct, frozen=True):
    """Environment variables, clock, randomness, network, and how coroutines are run.

    `transport` replaces the network towards a node, given by its name (a client node's, or the address of a resource
    with a `url`); None: the real one. `run` drives a coroutine to its end; a test passes one persistent event loop.
    `turn`: the turn of a request among processes that share machines; None: this process is alone. `called` gets each
    request.
    """

    __repr__ = object.__repr__  # environment variables hold secrets

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    run: Callable[[Coroutine[Any, Any, Any]], Any] = _run
    transport: Callable[[str], httpx.AsyncBaseTransport | None] = _real_network
    turn: Turn | None = None
    called: Callable[[CallEvent], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    uuid: Callable[[], uuid.UUID] = uuid.uuid4

    def report_progress(self, text: str) -> None:
        """Report progress outside an apply, such as waiting for a lock. Logged here; the command line prints it."""
        _LOG.info("%s", text)
