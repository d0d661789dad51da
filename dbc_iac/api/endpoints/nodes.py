"""Nodes and rentals: `/mining_nodes`, `/rent_orders`, `/monitor`; and the client node itself: `/`, `/peers`."""

from __future__ import annotations

from functools import partial
from typing import Literal

from dbc_iac.api import responses
from dbc_iac.api.auth.credentials import SessionCredentials
from dbc_iac.api.auth.keys import SessionId
from dbc_iac.api.channel import session_id_of
from dbc_iac.api.endpoints import Asks, Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome, decoded
from dbc_iac.api.requests import MonitorServers
from dbc_iac.api.responses import NodeHardware, NodeListing, Peer, RentOrder, read


@endpoint("/", CallClass.READ, Asks.CLIENT_NODE)
async def client_version(call: Call) -> Outcome[str]:
    """The version of the client node."""
    return decoded(await call(), partial(read, str, at="client_version"))


@endpoint("/peers/{scope}", CallClass.READ, Asks.CLIENT_NODE)
async def peers(call: Call, scope: Literal["active", "global", "lan"]) -> Outcome[tuple[Peer, ...]]:
    """At most 50 or 51 peers of the client node: connected to it, known to it, or in its own network."""
    return decoded(await call(scope=scope), partial(read, tuple[Peer, ...], at="peer_nodes"))


@endpoint("/mining_nodes", CallClass.READ, Asks.CLIENT_NODE)
async def list_nodes(call: Call) -> Outcome[tuple[NodeListing, ...]]:
    """GPU nodes seen by the client node within the last 300 s."""
    return decoded(await call(), partial(read, tuple[NodeListing, ...], at="mining_nodes"))


@endpoint("/mining_nodes", CallClass.READ, Asks.ANYONE)
async def node_hardware(call: Call) -> Outcome[NodeHardware]:
    """Hardware and free capacity of a GPU node."""
    return decoded(await call(), responses.node_hardware)


@endpoint("/mining_nodes/session_id", CallClass.IDEMPOTENT, Asks.SIGNED)
async def obtain_session(call: Call) -> Outcome[SessionCredentials]:
    """The wallet's session at the target, stored or new. A wallet always gets the same one."""
    return await call.channel.session()


@endpoint("/mining_nodes/session_id", CallClass.IDEMPOTENT, Asks.SIGNED)
async def session_id(call: Call) -> Outcome[SessionId]:
    """The session id alone, for a multisig whose members sign offline: one of them signs it."""
    return session_id_of(await call(), call.channel.target)


@endpoint("/mining_nodes/free_memory", CallClass.IDEMPOTENT)
async def free_memory(call: Call) -> Outcome[None]:
    """Have the node drop its page cache."""
    return acknowledged(await call())


@endpoint("/rent_orders", CallClass.READ, Asks.ANYONE)
async def rent_orders(call: Call) -> Outcome[tuple[RentOrder, ...]]:
    """The orders in the target's cache, which only authorised calls fill: list VMs first. At most 51."""
    return decoded(await call(), partial(read, tuple[RentOrder, ...], at="rent_orders"))


@endpoint("/monitor", CallClass.READ)
async def monitor_servers(call: Call) -> Outcome[tuple[str, ...]]:
    """The Zabbix servers of the renter."""
    return decoded(await call(), partial(read, tuple[str, ...], at="servers"))


@endpoint("/monitor/set", CallClass.IDEMPOTENT)
async def set_monitor_servers(call: Call, body: MonitorServers) -> Outcome[None]:
    """Replace the whole list; an empty one clears it. A refused call leaves the old list."""
    return acknowledged(await call(body))
