"""Nodes and rentals: `/mining_nodes`, `/rent_orders`."""

from __future__ import annotations

from dbc_iac.api import reading
from dbc_iac.api.calls import CallClass
from dbc_iac.api.credentials import SessionCredentials
from dbc_iac.api.endpoints.endpoint import Asks, Call, acknowledged, endpoint
from dbc_iac.api.outcome import Outcome, decoded
from dbc_iac.api.reading import NodeHardware, NodeListing, RentOrder

RENT_ORDERS_CAP = 51
"""The target shows no more, and does not say so."""


@endpoint("/mining_nodes", CallClass.READ, Asks.CLIENT_NODE)
async def list_nodes(call: Call) -> Outcome[tuple[NodeListing, ...]]:
    """The GPU nodes that the client node has heard of in the last 300 s."""
    return decoded(await call(), lambda value: reading.node_listings(value, "mining_nodes"))


@endpoint("/mining_nodes", CallClass.READ, Asks.ANYONE)
async def node_hardware(call: Call) -> Outcome[NodeHardware]:
    """What a GPU node has and what of it is free."""
    return decoded(await call(), reading.node_hardware)


@endpoint("/mining_nodes/session_id", CallClass.IDEMPOTENT, Asks.SIGNED)
async def obtain_session(call: Call) -> Outcome[SessionCredentials]:
    """The wallet's session at the target, kept or obtained now. The same wallet always gets the same one."""
    return await call.channel.session()


@endpoint("/mining_nodes/free_memory", CallClass.IDEMPOTENT)
async def free_memory(call: Call) -> Outcome[None]:
    """Have the node drop its page cache."""
    return decoded(await call(), acknowledged)


@endpoint("/rent_orders", CallClass.READ, Asks.ANYONE)
async def rent_orders(call: Call) -> Outcome[tuple[RentOrder, ...]]:
    """The orders in the target's cache, which only authorised calls fill: list VMs first. See RENT_ORDERS_CAP."""
    return decoded(await call(), reading.rent_orders)
