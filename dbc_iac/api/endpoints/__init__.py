"""One callable an endpoint, its first argument a `Channel`, its result an `Outcome`. `ALL` is the table of them.

@endpoint("/tasks/start/{task_id}", CallClass.STATE_CONDITIONED)
async def start_vm(call: Call, task_id: str) -> Outcome[None]: ...

await start_vm(channel, "7a7F4y4wjLSDUtK7nKQNNG")

A family of endpoints is imported when it is first used: a command needs few of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from msgspec import Struct

from dbc_iac.api.channel import Channel
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, Unknown
from dbc_iac.api.responses import secrets_of
from dbc_iac.api.wire_types import Body, UnsafeWireValue, segment

if TYPE_CHECKING:
    from dbc_iac.api.endpoints import bare_metal, disks, images, instances, networks, nodes, snapshots, vms

    ALL: tuple[Endpoint[Any, Any], ...]

__all__ = [
    "ALL",
    "Asks",
    "Call",
    "Endpoint",
    "acknowledged",
    "bare_metal",
    "disks",
    "endpoint",
    "images",
    "instances",
    "networks",
    "nodes",
    "snapshots",
    "vms",
]

_FAMILIES = ("nodes", "vms", "disks", "snapshots", "images", "networks", "bare_metal", "instances")
_OTHER_CALLS = frozenset(
    ["/tasks/start", "/lan/create", "/lan/delete"]
    + [f"/bare_metal/{verb}" for verb in ("add", "delete", "modify", "power", "bootdev")]
)
"""`/tasks/<id>` shows a VM, `/tasks/start` creates one: an id of the user's may not turn one call into another."""

P = ParamSpec("P")
T = TypeVar("T")


class Asks(StrEnum):
    """Recipient of an endpoint's requests, and their credentials."""

    CLIENT_NODE = "client node"
    """The client node itself; no target, no credentials."""
    ANYONE = "anyone"
    """The target, which answers without credentials."""
    AUTHORISED = "authorised"
    """The target, with the channel's credentials."""
    SIGNED = "signed"
    """The target, with a fresh signature: a session will not do."""


class Call(Struct, frozen=True):
    """An endpoint bound to a channel. Called with the request's body and the path's segments, it sends the request."""

    channel: Channel
    endpoint: Endpoint[Any, Any]

    async def __call__(
        self, body: Body | Mapping[str, object] | None = None, *, query: str = "", **segments: str
    ) -> Outcome[object]:
        path = self.endpoint.path.format(**{name: segment(name, value) for name, value in segments.items()})
        if segments and path.lower() in _OTHER_CALLS:
            raise UnsafeWireValue(f"{' and '.join(segments)}: the path would be that of another call")
        path += query
        additional = body.additional() if isinstance(body, Body) else body or {}
        match self.endpoint.asks:
            case Asks.CLIENT_NODE:
                return await self.channel.ask_client(path, additional)
            case Asks.ANYONE:
                return await self.channel.read_public(path, additional)
            case Asks.AUTHORISED:
                return await self.channel.act(path, additional, self.endpoint.call_class)
            case Asks.SIGNED:
                return await self.channel.signed(path, additional, self.endpoint.call_class)


class Endpoint(Struct, Generic[P, T], frozen=True):
    """One endpoint. `path` is below `/api/v1`, with its variable segments in braces."""

    path: str
    call_class: CallClass
    asks: Asks
    function: Callable[Concatenate[Call, P], Awaitable[Outcome[T]]]

    @property
    def name(self) -> str:
        return self.function.__name__

    async def __call__(self, channel: Channel, *args: P.args, **kwargs: P.kwargs) -> Outcome[T]:
        outcome = await self.function(Call(channel, self), *args, **kwargs)
        if isinstance(outcome, Done):
            for secret in secrets_of(outcome.value):
                channel.connections.returned(secret)
        return outcome


def endpoint(
    path: str, call_class: CallClass, asks: Asks = Asks.AUTHORISED
) -> Callable[[Callable[Concatenate[Call, P], Awaitable[Outcome[T]]]], Endpoint[P, T]]:
    """Make an endpoint of the function that sends its request and decodes its reply."""

    def mark(function: Callable[Concatenate[Call, P], Awaitable[Outcome[T]]]) -> Endpoint[P, T]:
        return Endpoint(path, call_class, asks, function)

    return mark


def acknowledged(outcome: Outcome[object], texts: Sequence[str] = ("ok",)) -> Outcome[None]:
    """The outcome of a call that answers with one of these texts; any other proves nothing."""
    if not isinstance(outcome, Done):
        return outcome
    if outcome.value not in texts:
        return Unknown("unexpected reply: not the acknowledgement of this call", "handled")
    return Done(None)


def __getattr__(name: str) -> Any:
    if name == "ALL":
        modules = [import_module(f"{__name__}.{family}") for family in _FAMILIES]
        return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Endpoint))
    if name in _FAMILIES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(name)
