"""Monitor servers of a node: `/monitor`. The node reports the renter's VMs to them (zabbix)."""

from __future__ import annotations

from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints.endpoint import Call, acknowledged, endpoint
from dbc_iac.api.outcome import Outcome, decoded
from dbc_iac.api.shape import members, texts
from dbc_iac.api.wire import MonitorServers


@endpoint("/monitor", CallClass.READ)
async def list_monitors(call: Call) -> Outcome[tuple[str, ...]]:
    """`host:port` of each. Only for the renter."""
    return decoded(await call(), lambda value: texts(members(value), "servers"))


@endpoint("/monitor/set", CallClass.IDEMPOTENT)
async def set_monitors(call: Call, body: MonitorServers) -> Outcome[None]:
    """Replace the list; an empty one clears it."""
    return decoded(await call(body), acknowledged)
