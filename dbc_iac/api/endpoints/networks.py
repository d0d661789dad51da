"""Virtual LANs: `/lan`. Names are global in a machine room; what a node knows is what it heard of the others."""

from __future__ import annotations

from functools import partial

from dbc_iac.api.endpoints import Asks, Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, RefusalKind, Refused, decoded
from dbc_iac.api.requests import LanCreate
from dbc_iac.api.responses import LanView, lan_views, read

LIST_CAP = 31
"""A node lists no more, sorted by name, and does not say so: read by name."""


@endpoint("/lan", CallClass.READ, Asks.ANYONE)
async def list_networks(call: Call) -> Outcome[tuple[LanView, ...]]:
    """The LANs that the target knows, of all tenants. See LIST_CAP."""
    return decoded(await call(), lan_views)


@endpoint("/lan/{name}", CallClass.READ, Asks.ANYONE)
async def network(call: Call, name: str) -> Outcome[LanView | None]:
    """One LAN as the target knows it; None if it does not know it."""
    outcome = await call(name=name)
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ABSENT:
        return Done(None)
    return decoded(outcome, partial(read, LanView), network_name=name)


@endpoint("/lan/create", CallClass.KEYED)
async def create_network(call: Call, body: LanCreate) -> Outcome[None]:
    """Create a LAN on the target, owned by the wallet. A refusal may leave parts of a bridge behind (`effect`)."""
    return acknowledged(await call(body))


@endpoint("/lan/delete/{name}", CallClass.KEYED)
async def delete_network(call: Call, name: str) -> Outcome[None]:
    """Delete a LAN of the wallet. The node refuses only for members it has heard of: know them from elsewhere."""
    return acknowledged(await call(name=name))
