"""Relaying of requests to other nodes: time-outs, lost time-outs, slots, and injected faults.

The callback of a time-out is stored per endpoint, not per request: the end of any request of the endpoint removes it.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbc_iac.emulator.authority import Credentials
from dbc_iac.emulator.gossip import Entry
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu_process import GpuProcess
from dbc_iac.emulator.http.answer import CANNOT_FORWARD, Answer, Dropped, Response
from dbc_iac.emulator.http.system_names import for_version
from dbc_iac.emulator.reply import NeverAnswered, ProcessDied, Reply
from dbc_iac.emulator.world import FaultSpec

if TYPE_CHECKING:
    from dbc_iac.emulator.http.node import HttpNode

TIMEOUT = 30.0
TICK = 0.1
SLOTS = 1024
_TIMEOUT_TEXTS = {
    "tasks.list": "list task timeout",
    "tasks.details": "list task timeout",
    "tasks.poweroff": "stop task timeout",
    "tasks.passwd": "set task user password timeout",
    "tasks.logs": "task logs timeout",
    "mining_nodes": "query node info timeout",
    "mining_nodes.session_id": "get session_id timeout",
    "mining_nodes.free_memory": "free memory timeout",
    "rent_orders": "query node rent orders timeout",
    "images.list": "list images timeout",
    "images.download": "download image timeout",
    "images.download_stop": "download image timeout",
    "images.downloadprogress": "query download image progress timeout",
    "images.upload": "upload image timeout",
    "images.upload_stop": "upload image timeout",
    "images.delete": "upload image timeout",
    "images.uploadprogress": "query upload image progress timeout",
    "lan.list": "list local area network timeout",
    "lan.create": "create local area network timeout",
    "lan.delete": "delete local area network timeout",
    "bare_metal.power": "bare metal power timeout",
    "bare_metal.bootdev": "bare metal bootdev timeout",
    "deeplink": "list bare metal timeout",
    "deeplink.set": "list bare metal timeout",
    "monitor": "list monitor server timeout",
    "monitor.set": "set monitor server timeout",
}
_NOUNS = {"tasks": "task", "disk": "disk", "snapshot": "snapshot", "bare_metal": "bare metal"}
_ONE_ENDPOINT = {"tasks.details": "tasks.list"}
_BARE_FAMILIES = ("disk.", "images.", "mining_nodes.free_memory")


class Relay:
    """Pending requests of one node's HTTP port."""

    def __init__(self, node: HttpNode) -> None:
        self._node = node
        self._world = node.world
        self.pending = 0
        self._armed: set[str] = set()
        self._fired: dict[str, int] = {}

    async def send(self, op: str, target: str, credentials: Credentials, request: NodeRequest) -> Response:
        """Relay a request. Raises Answer and Dropped."""
        fault = self._world.faults.next(op, target, self._node.listener.name)
        entry = self._world.gossip.find(self._node.listener, target)
        if entry is None or _is(fault, "offline"):
            raise Answer(400, CANNOT_FORWARD, "create node request failed")
        if self.pending >= SLOTS:
            raise Answer(400, CANNOT_FORWARD, "create request session failed")
        if _is(fault, "reset"):
            raise Dropped("the connection broke before the request was read")
        if op == "tasks.create":
            request = replace(request, additional=for_version(request.additional, entry.version))
        self.pending += 1
        endpoint = _ONE_ENDPOINT.get(op, op)
        self._armed.add(endpoint)
        reply = await self._wait(op, endpoint, entry, credentials, request, fault)
        self.pending -= 1
        self._armed.discard(endpoint)
        if reply is None:
            raise Answer(500, -1, _timeout_text(op))
        return self._passed_on(op, reply, fault)

    async def _wait(
        self,
        op: str,
        endpoint: str,
        entry: Entry,
        credentials: Credentials,
        request: NodeRequest,
        fault: FaultSpec | None,
    ) -> Reply | None:
        """The answer, or None at the time-out. A delivered request is executed in any case."""
        clock = self._world.clock
        fires = math.ceil((clock.now() + TIMEOUT) / TICK)
        work = asyncio.ensure_future(self._work(op, entry, credentials, request, fault))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._world.keep(work)
        await asyncio.wait({work}, timeout=(fires * TICK - clock.now()) / clock.scale)
        if work.done() and not work.cancelled():
            error = work.exception()
            if error is None:
                return work.result()
            if not isinstance(error, NeverAnswered | ProcessDied):
                raise error
            await clock.sleep(fires * TICK - clock.now())
        # The end of another request removed the callback: unless in the same tick, no answer is ever sent.
        if _is(fault, "hang") or (endpoint not in self._armed and self._fired.get(endpoint) != fires):
            await asyncio.Event().wait()
        self._fired[endpoint] = fires
        return None

    async def _work(
        self, op: str, entry: Entry, credentials: Credentials, request: NodeRequest, fault: FaultSpec | None
    ) -> Reply:
        """Execution by the target. Raises NeverAnswered and ProcessDied."""
        own = entry.process is self._node.listener.own
        if own or not self._world.gossip.key_known(entry) or _is(fault, "time-out", "hang"):
            raise NeverAnswered
        clock = self._world.clock
        if fault is not None and fault.kind == "late":
            await clock.sleep(fault.seconds)
        if fault is not None and fault.kind == "refuse":
            return Reply(f'{{"errcode":1, "message":"{fault.text}"}}')
        if fault is not None and fault.kind == "break":
            request = replace(request, breaks=fault.part)
        reply = await entry.process.ask(entry.id, op, credentials, request)
        if fault is not None and fault.kind == "slow":
            await clock.sleep(fault.seconds)
        if fault is not None and fault.kind == "freeze" and isinstance(entry.process, GpuProcess):
            entry.process.freeze(fault.seconds)
        if _is(fault, "lost-reply"):
            raise NeverAnswered
        return reply

    def _passed_on(self, op: str, reply: Reply, fault: FaultSpec | None) -> Response:
        if _is(fault, "drop"):
            raise Dropped("the connection broke before the answer")
        try:
            json.loads(reply.text, strict=True)
        except ValueError:
            prefix = "http " if op.startswith(_BARE_FAMILIES) else ""
            raise Answer(500, -1, f"{prefix}response parse error") from None
        broken = 0.5 if _is(fault, "cut") else None
        return Response(200, reply.text + "\r\n", close=_is(fault, "close"), broken=broken)


def _is(fault: FaultSpec | None, *kinds: str) -> bool:
    return fault is not None and fault.kind in kinds


def _timeout_text(op: str) -> str:
    family, _, verb = op.partition(".")
    return _TIMEOUT_TEXTS.get(op, f"{verb} {_NOUNS.get(family, 'task')} timeout")
