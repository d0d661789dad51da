"""Bare-metal servers as their owner's manager keeps them: `/bare_metal`. Credentials: the manager's node key."""

from __future__ import annotations

import re
from functools import partial

from dbc_iac.api.endpoints import Asks, Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome, ShapeError, decoded
from dbc_iac.api.requests import BareMetalChange, BareMetalEntry
from dbc_iac.api.responses import Id, NodeListing, read
from dbc_iac.api.storage_responses import AddedServer, ServerView
from dbc_iac.api.wire_types import TextList

LIST_CAP = 51
"""Maximum length of the list, sorted by node id. The manager omits the rest without notice: read servers one by one."""

_SERVERS = "bare_metal_nodes"
_DELETED = re.compile(r"([0-9]+) were successfully deleted, ([0-9]+) failed")


@endpoint("/bare_metal", CallClass.READ, Asks.CLIENT_NODE)
async def list_heard_servers(call: Call) -> Outcome[tuple[NodeListing, ...]]:
    """The servers that the client node has heard of, each by the name of its manager."""
    return decoded(await call(), partial(read, tuple[NodeListing, ...], at=_SERVERS))


@endpoint("/bare_metal", CallClass.READ)
async def list_servers(call: Call) -> Outcome[tuple[ServerView, ...]]:
    """The manager's servers. Bad credentials are not refused, but mask the secrets: see `ServerView.masked`."""
    return decoded(await call(), partial(read, tuple[ServerView, ...], at=_SERVERS))


@endpoint("/bare_metal/{node_id_or_uuid}", CallClass.READ)
async def server(call: Call, node_id_or_uuid: str) -> Outcome[ServerView | None]:
    """One server; None if the manager has none of that id. Slow: the manager asks the server's BMC."""

    def decode(value: object) -> ServerView | None:
        found = read(tuple[ServerView, ...], value, _SERVERS)
        if any(node_id_or_uuid not in {one.node_id, one.uuid} for one in found) or len(found) > 1:
            raise ShapeError("the reply names other servers than the requested one")
        return found[0] if found else None

    return decoded(await call(node_id_or_uuid=node_id_or_uuid), decode)


@endpoint("/bare_metal/add", CallClass.KEYED)
async def add_server(call: Call, body: BareMetalEntry) -> Outcome[str]:
    """Add a server; gives the node id that the manager made for it, with a private key, for good."""

    def decode(value: object) -> str:
        added = {one.uuid: one.node_id for one in read(tuple[AddedServer, ...], value, _SERVERS)}
        if body.uuid not in added:
            raise ShapeError("the added server is not in the reply")
        return added[Id(body.uuid)]

    return decoded(await call({"bare_metal_nodes": [body.additional()]}), decode)


@endpoint("/bare_metal/modify/{node_id}", CallClass.IDEMPOTENT)
async def modify_server(call: Call, node_id: str, body: BareMetalChange) -> Outcome[None]:
    """Change what `body` names. Answers with an empty text."""
    return acknowledged(await call(body, node_id=node_id), ("",))


@endpoint("/bare_metal/delete", CallClass.KEYED)
async def delete_server(call: Call, node_id: str) -> Outcome[None]:
    """Delete a server and its on-chain identity, irreversibly. Refused if absent."""

    def decode(value: object) -> None:
        match = _DELETED.fullmatch(value) if isinstance(value, str) else None
        if not match or (int(match[1]), int(match[2])) != (1, 0):
            raise ShapeError("not the acknowledgement of one deletion")

    ids = TextList(r"[0-9a-f]{64}").encode("bare_metal_node_ids", (node_id,))
    return decoded(await call({"bare_metal_node_ids": ids}), decode)
