"""One request with the user's own body, and the raw reply. Used by `dbc-iac api` only.

Values that would end a node's process are refused here too (`check_json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.api.auth.credentials import SessionCredentials
from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import Asks, Endpoint
from dbc_iac.api.http import Reply
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import NotSent, Outcome, Refused, Unknown, classify
from dbc_iac.api.wire_types import UnsafeWireValue, check_json
from dbc_iac.json import Json

CREDENTIALS = frozenset({"session_id", "session_id_sign", "wallet", "nonce", "sign", "multisig_accounts"})


class RawReply(Struct, frozen=True):
    """A raw reply and its classified outcome. `status` is 0 if none came."""

    status: int
    content_type: str
    text: str
    outcome: Outcome[object]


async def exchange(channel: Channel, path: str, body: Mapping[str, object], call_class: CallClass) -> RawReply:
    """Send `body`, completed with target, rent order and credentials where it has none. Raises UnsafeWireValue.

    A kept session is tried first, since nothing is signed for it: a target that does not accept it has done nothing.
    """
    defaults: dict[str, object] = {"peer_nodes_list": [channel.target] if channel.target else []}
    if channel.rent_order:
        defaults["rent_order"] = channel.rent_order
    request = _checked({**defaults, **body})
    session = channel.kept_session()
    # A session goes to its own target only: it opens everything of the wallet there.
    if session is not None and not CREDENTIALS & request.keys() and request["peer_nodes_list"] == [channel.target]:
        found = await _sent(channel, path, {**request, **session.envelope()}, call_class)
        if not (isinstance(found.outcome, Refused) and found.outcome.authority):
            return found
    return await _sent(channel, path, request, call_class)


async def _sent(channel: Channel, path: str, request: Mapping[str, Json], call_class: CallClass) -> RawReply:
    """Send through the first client node that forwards the request."""
    tried = NotSent("no client node is configured")
    async with channel.connections.lanes[channel.lane or channel.target]:
        for name in channel.clients:
            node = channel.connections.nodes[name]
            signed = json.dumps({**request, **_authority(channel, request)}, ensure_ascii=False).encode()
            async with node.turn:
                reply = await node.post(path, signed, call_class)
            found = _reply(reply, path)
            if not isinstance(found.outcome, NotSent):
                return found
            tried = found.outcome
    return RawReply(0, "", "", tried)


def _reply(reply: Reply | NotSent | Unknown, path: str) -> RawReply:
    if not isinstance(reply, Reply):
        return RawReply(0, "", "", reply)
    outcome = classify(reply.status, reply.content_type, reply.body, path)
    return RawReply(reply.status, reply.content_type, reply.body.decode("utf-8", "replace"), outcome)


def _authority(channel: Channel, request: Mapping[str, Json]) -> dict[str, Json]:
    """Credentials of one attempt: a failed one may have used up its nonce."""
    if CREDENTIALS & request.keys() or channel.credentials is None:
        return {}
    if isinstance(channel.credentials, SessionCredentials):
        return channel.credentials.envelope()
    return channel.credentials.signed(channel.connections.nonce)


def _checked(body: Mapping[str, object]) -> dict[str, Json]:
    checked = check_json("body", body)
    if not isinstance(checked, dict):
        raise UnsafeWireValue("body: expected a JSON object")
    peers = checked.get("peer_nodes_list", [])
    if not isinstance(peers, list) or any(not isinstance(peer, str) for peer in peers):
        raise UnsafeWireValue("peer_nodes_list: expected a list of node ids (anything else ends the node's process)")
    order = checked.get("rent_order", "0")
    if not (isinstance(order, str) and order.isascii() and order.isdigit()):
        raise UnsafeWireValue("rent_order: expected digits as text (the node inserts it into its query to the chain)")
    return {"additional": {}, **checked}


def class_of(path: str, endpoints: tuple[Endpoint[..., object], ...]) -> CallClass | None:
    """Call class of the endpoint of a path; None for an unknown path."""
    found = [endpoint.call_class for endpoint in _at(path, endpoints)]
    return next((c for c in found if c is not CallClass.READ), found[0] if found else None)


def asks_of(path: str, endpoints: tuple[Endpoint[..., object], ...]) -> frozenset[Asks]:
    """Recipients of a path: several endpoints may share it, one for client nodes and one for GPU nodes."""
    return frozenset(endpoint.asks for endpoint in _at(path, endpoints))


def _at(path: str, endpoints: tuple[Endpoint[..., object], ...]) -> list[Endpoint[..., object]]:
    """The endpoints of a path, the most literal: /tasks/start is a creation, not the details of a VM named start."""
    wanted = path.partition("?")[0].strip("/").split("/")
    found: list[tuple[int, Endpoint[..., object]]] = []
    for endpoint in endpoints:
        parts = endpoint.path.partition("?")[0].strip("/").split("/")
        if len(parts) == len(wanted) and all(p.startswith("{") or p == w for p, w in zip(parts, wanted, strict=True)):
            found.append((sum(p.startswith("{") for p in parts), endpoint))
    fewest = min((holes for holes, _ in found), default=0)
    return [endpoint for holes, endpoint in found if holes == fewest]
