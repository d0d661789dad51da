"""A client node's HTTP API: routing, checks of the body in order, and passing on to targets with a time-out."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from dbc_iac.sim.authority import Credentials
from dbc_iac.sim.faults import Fault
from dbc_iac.sim.gpu import Request
from dbc_iac.sim.gpu.sizes import leading_int
from dbc_iac.sim.rapidjson import JsonError, parse
from dbc_iac.sim.reply import ProcessDiedError, Reply
from dbc_iac.sim.world import VERSION

if TYPE_CHECKING:
    from dbc_iac.sim.emulator import Emulator

TIMEOUT = 30.0
_VERBS = ("start", "restart", "shutdown", "poweroff", "stop", "reset", "delete", "logs", "modify", "passwd")
_TIMEOUT_TEXTS = {
    "tasks.list": "list task timeout",
    "tasks.details": "list task timeout",
    "tasks.poweroff": "stop task timeout",
    "tasks.passwd": "set task user password timeout",
    "tasks.logs": "task logs timeout",
    "mining_nodes": "query node info timeout",
    "session_id": "get session_id timeout",
    "rent_orders": "query node rent orders timeout",
    "mining_nodes.free_memory": "free memory timeout",
    "lan.list": "list local area network timeout",
    "lan.create": "create local area network timeout",
    "lan.delete": "delete local area network timeout",
}


_OWNED = frozenset(
    {
        *(f"tasks.{v}" for v in ("list", "details", "create", *_VERBS)),
        *(f"disk.{v}" for v in ("list", "resize", "add", "delete")),
        "lan.create",
        "mining_nodes.free_memory",
    }
)
"""Operations for which the client node looks whether there are credentials at all."""
_SHAPE_TEXT = {"tasks.create": "session_id and wallet all invalid"}


class Answer(Exception):  # noqa: N818 - an answer of the client node itself
    """Ends a request with an answer made here: pretty-printed, properly escaped."""

    def __init__(self, status: int, errcode: int, message: Any) -> None:
        super().__init__(str(message))
        self.status = status
        self.body = json.dumps({"errcode": errcode, "message": message}, indent=4)


class DroppedError(Exception):
    """The connection closes without an answer."""


class ClientNode:
    """One client node of the emulated network."""

    def __init__(self, name: str, world: Emulator) -> None:
        self.name = name
        self.world = world

    async def handle(self, method: str, uri: str, body: bytes) -> tuple[int, str]:
        """HTTP status and body of the answer. Raises DroppedError."""
        try:
            op, path, query = _route(uri, method)
            if op == "version":
                raise Answer(200, 0, {"client_version": VERSION})
            if method != "POST":
                raise Answer(400, -32600, "only support POST request")
            envelope = _envelope(body, op)
            text = await self._dispatch(op, path, query, envelope)
        except Answer as answer:
            return answer.status, answer.body + "\r\n"
        return 200, text + "\r\n"

    async def _dispatch(self, op: str, path: tuple[str, ...], query: dict[str, str], envelope: dict[str, Any]) -> str:
        peers = envelope["peer_nodes_list"]
        if peers and not isinstance(peers[0], str):
            raise DroppedError("a live assertion ends the process")
        if op == "mining_nodes" and not peers:
            rows = [{"node_id": n.id, "name": n.spec.name, "version": VERSION} for n in self._nodes()]
            raise Answer(200, 0, {"mining_nodes": rows})
        if op == "mining_nodes":
            self._known_centre(envelope["additional"])
        if op == "bare_metal.list" and not peers:
            servers = [(s, m.spec.name) for m in self.world.managers.values() for s in sorted(m.servers)]
            rows = [{"node_id": s, "name": name, "version": VERSION} for s, name in servers]
            raise Answer(200, 0, {"bare_metal_nodes": rows})
        if op.startswith("bare_metal.") and not peers:
            if not all(_credentials(envelope).wallet):
                raise Answer(400, -25, "invalid wallet sign")
            raise Answer(400, -32600, "only bare metal node support")
        if op == "lan.list" and not peers:
            if path:
                raise Answer(400, -32701, "network name not exist")
            raise Answer(200, 0, {"networks": []})
        if not peers or (not peers[0] and not op.startswith(("mining_nodes", "lan.list"))):
            raise Answer(400, -25, "peer_nodeid is empty")
        _check_multisig_members(envelope)
        if op in {"session_id", *_OWNED} and not _well_shaped(envelope):
            raise Answer(400, -25, _SHAPE_TEXT.get(op, "wallet_sign and multisig_wallets all invalid"))
        credentials = _credentials(envelope)
        if op.startswith("bare_metal.") and op != "bare_metal.list" and not all(credentials.wallet):
            raise Answer(400, -25, "invalid wallet sign")
        request = Request(path, query, envelope["additional"])
        return await self._relay(op, peers[0], credentials, request)

    def _known_centre(self, additional: dict[str, Any]) -> None:
        centre = additional.get("image_server")
        if isinstance(centre, str) and centre and centre not in self.world.world.image_servers:
            raise Answer(400, -25, "image_server not exist")

    def _nodes(self) -> list[Any]:
        known = [n for n in self.world.nodes.values() if not n.spec.client_nodes or self.name in n.spec.client_nodes]
        return sorted(known, key=lambda n: n.id)

    async def _relay(self, op: str, target: str, credentials: Credentials, request: Request) -> str:
        fault = self.world.faults.next(op)
        known = target in {n.id for n in self._nodes()} or target in self.world.managers
        if not known or (fault is not None and fault.kind == "offline"):
            raise Answer(400, -32701, "create node request failed")
        timeout = Answer(500, -1, _TIMEOUT_TEXTS.get(op, f"{op.rpartition('.')[2]} {_noun(op)} timeout"))
        work = asyncio.ensure_future(self._work(op, target, credentials, request, fault))
        try:
            reply = await asyncio.wait_for(asyncio.shield(work), TIMEOUT / self.world.clock.scale)
        except TimeoutError:
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise timeout from None
        if reply is None or (fault is not None and fault.kind == "lost-reply"):
            await self.world.clock.sleep(TIMEOUT)
            raise timeout
        if fault is not None and fault.kind == "drop":
            raise DroppedError("the connection broke before the answer")
        try:
            json.loads(reply.text, strict=True)
        except ValueError:
            prefix = "http " if op.startswith(("disk.", "images.")) else ""
            raise Answer(500, -1, f"{prefix}response parse error") from None
        return reply.text

    async def _work(
        self, op: str, target: str, credentials: Credentials, request: Request, fault: Fault | None
    ) -> Reply | None:
        """What the target does with it; None where nobody ever answers."""
        if fault is not None and fault.kind == "time-out":
            return None
        if fault is not None and fault.kind == "late":
            await self.world.clock.sleep(fault.seconds)
        if fault is not None and fault.kind == "refuse":
            return Reply(f'{{"errcode":1, "message":"{fault.text}"}}')
        try:
            return await self.world.ask(target, op, credentials, request)
        except ProcessDiedError:
            self.world.restart(target)
            return None


def _noun(op: str) -> str:
    return {"tasks": "task", "disk": "disk", "bare_metal": "bare metal"}.get(op.partition(".")[0], "task")


def _route(uri: str, method: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Operation, remaining path, query. Prefixes without a boundary, no decoding, as the real one."""
    if not uri.startswith("/api/v1"):
        raise Answer(400, -32600, f"request uri is invalid, uri:{uri}")
    if uri == "/api/v1/":
        return "version", (), {}
    rest = uri.removeprefix("/api/v1")
    for prefix in ("/tasks", "/disk", "/mining_nodes", "/lan", "/bare_metal", "/rent_orders"):
        if rest.startswith(prefix):
            path, _, text = rest.removeprefix(prefix).partition("?")
            parts = tuple(path.removeprefix("/").removesuffix("/").split("/")) if path.strip("/") else ()
            query = dict(p.partition("=")[::2] for p in text.split("&")) if text else {}
            op, left = _operation(prefix[1:], parts)
            return op, left, query
    raise Answer(404, -32601, f"not support uri:{uri}")


def _operation(family: str, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:  # noqa: PLR0912 - a routing table
    unhandled = Answer(500, -32701, "Unhandled request")
    invalid = Answer(400, -32600, "invalid requests uri")
    if len(parts) > 2:
        raise invalid
    if family == "tasks":
        if not parts:
            return "tasks.list", ()
        if len(parts) == 1:
            return ("tasks.create", ()) if parts[0] == "start" else ("tasks.details", parts)
        if parts[0] not in _VERBS:
            raise unhandled
        if not parts[1]:
            raise Answer(400, -25, "task_id is empty")
        return f"tasks.{parts[0]}", parts[1:]
    if family == "disk":
        if len(parts) != 2 or parts[0] not in {"list", "resize", "add", "delete"}:
            raise invalid
        return f"disk.{parts[0]}", parts[1:]
    if family == "mining_nodes":
        found = {(): "mining_nodes", ("session_id",): "session_id", ("free_memory",): "mining_nodes.free_memory"}
        if parts not in found:
            raise invalid
        return found[parts], ()
    if family == "lan":
        if len(parts) == 2:
            if parts[0] != "delete":
                raise unhandled
            return "lan.delete", parts[1:]
        return ("lan.create", ()) if parts == ("create",) else ("lan.list", parts)
    if family == "bare_metal":
        if len(parts) == 2:
            if parts[0] != "modify":
                raise invalid
            return "bare_metal.modify", parts[1:]
        if parts in {("add",), ("delete",)}:
            return f"bare_metal.{parts[0]}", ()
        return "bare_metal.list", parts
    if len(parts) > 1:
        raise invalid
    return "rent_orders", ()


_PREFIXED = frozenset({"mining_nodes", "rent_orders", "lan.list", "bare_metal.list"})
"""Endpoints that put words before what is wrong with a common field."""


def _envelope(body: bytes, op: str) -> dict[str, Any]:
    """The checked body. Raises Answer with the first thing that is wrong."""
    if not body:
        raise Answer(400, -25, "http request body is empty")
    try:
        value = parse(body)
    except JsonError as error:
        said = error.text if op.startswith("disk.") else str(error)
        raise Answer(400, -25, f"json parse error: {said}") from None
    if not isinstance(value, dict):
        raise Answer(400, -25, "invalid json")
    try:
        _common(value)
    except Answer as answer:
        prefix = "parse req params failed: " if op in _PREFIXED else ""
        prefix = "parse request params failed: " if op.startswith("disk.") else prefix
        raise Answer(400, -25, f"{prefix}{answer}") from None
    return value


def _common(value: dict[str, Any]) -> None:
    for key, kind, name in (("peer_nodes_list", list, "array"), ("additional", dict, "object")):
        if key not in value:
            raise Answer(400, -25, f"has no {key}")
        if not isinstance(value[key], kind):
            raise Answer(400, -25, f"{key} is not {name}")
    for key in ("wallet", "nonce", "sign", "session_id", "session_id_sign", "rent_order"):
        if key in value and not isinstance(value[key], str):
            raise Answer(400, -25, f"{key} is not string")
    _check_multisig(value.get("multisig_accounts", {"wallets": [], "threshold": "0", "signs": []}))


def _check_multisig(value: Any) -> None:
    if not isinstance(value, dict):
        raise Answer(400, -25, "multisig_accounts is not object")
    for key, kind, name in (("wallets", list, "array"), ("threshold", str, "string"), ("signs", list, "array")):
        if key not in value:
            raise Answer(400, -25, f"multisig_accounts has no member {key}")
        if not isinstance(value[key], kind):
            raise Answer(400, -25, f"multisig_accounts member {key} is not {name}")


def _check_multisig_members(envelope: dict[str, Any]) -> None:
    """Items of a wrong type trip a live assertion: the process ends."""
    multisig = envelope.get("multisig_accounts")
    if multisig is None:
        return
    good = all(isinstance(w, str) for w in multisig["wallets"]) and all(
        isinstance(s, dict) and all(isinstance(s.get(k), str) for k in ("wallet", "nonce", "sign"))
        for s in multisig["signs"]
    )
    if not good:
        raise DroppedError("a live assertion ends the process")


def _well_shaped(envelope: dict[str, Any]) -> bool:
    """Whether credentials look like some. Without a multisig block the real check reads an uninitialised number, and
    lets everything pass: the target refuses it then."""
    multisig = envelope.get("multisig_accounts")
    if multisig is None or (envelope.get("session_id") and envelope.get("session_id_sign")):
        return True
    if all(envelope.get(k) for k in ("wallet", "nonce", "sign")):
        return True
    threshold = leading_int(multisig["threshold"])
    wallets, signs = multisig["wallets"], multisig["signs"]
    filled = all(s["wallet"] in wallets and s["nonce"] and s["sign"] for s in signs)
    return threshold <= len(wallets) and threshold <= len(signs) and filled


def _credentials(envelope: dict[str, Any]) -> Credentials:
    multisig = envelope.get("multisig_accounts")
    parsed = None
    if multisig is not None:
        signs = [(s["wallet"], s["nonce"], s["sign"]) for s in multisig["signs"]]
        threshold = leading_int(multisig["threshold"])
        parsed = (multisig["wallets"], threshold, signs)
    return Credentials(
        (envelope.get("session_id", ""), envelope.get("session_id_sign", "")),
        (envelope.get("wallet", ""), envelope.get("nonce", ""), envelope.get("sign", "")),
        parsed,
        envelope.get("rent_order", ""),
    )
