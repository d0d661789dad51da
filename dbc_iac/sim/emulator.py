"""The whole network in one process: clients, GPU nodes, managers, chain, clock. And doors to it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from dbc_iac.sim.authority import Credentials, Session
from dbc_iac.sim.chain import Chain
from dbc_iac.sim.client import ClientNode, DroppedError
from dbc_iac.sim.clock import Clock
from dbc_iac.sim.faults import Faults
from dbc_iac.sim.gpu import GpuNode, Request
from dbc_iac.sim.gpu.lan import Room
from dbc_iac.sim.manager import Manager
from dbc_iac.sim.reply import RefusedError, Reply, done
from dbc_iac.sim.world import WorldSpec

if TYPE_CHECKING:
    import httpx

_OPEN = frozenset({"mining_nodes", "rent_orders", "lan.list"})
"""Operations that need no authority."""


class Emulator:
    """A world that runs."""

    def __init__(self, world: WorldSpec) -> None:
        source = random.Random(world.seed)  # noqa: S311 - reproducible worlds, no secrets
        self.world = world
        self.clock = Clock(world.time_scale)
        self.chain = Chain.of(world)
        self.faults = Faults(world.faults)
        rooms: dict[str, Room] = {}
        self.nodes: dict[str, GpuNode] = {}
        for spec in world.gpu_nodes:
            room = rooms.setdefault(spec.room, Room(self.clock, source))
            self.nodes[spec.id] = GpuNode(spec, self.clock, source, self.chain, room)
        managers = [Manager(spec, source, self.chain, world.bmcs) for spec in world.managers]
        self.managers = {m.id: m for m in managers}
        for session in world.sessions:
            machine = self.nodes.get(session.target)
            authority = machine.authority if machine is not None else self.managers[session.target].authority
            authority.planned[session.wallet] = session.id
            if session.issued:
                authority.sessions[session.wallet] = Session(session.id, frozenset({session.wallet}))
        self.clients = {name: ClientNode(name, self) for name in world.clients}
        self._turns: dict[str, asyncio.Lock] = {}

    async def ask(self, target: str, op: str, credentials: Credentials, request: Request) -> Reply:
        """What a target answers. It takes one request at a time, of all its clients."""
        async with self._turns.setdefault(target, asyncio.Lock()):
            try:
                if target in self.managers:
                    return await self.managers[target].handle(op, credentials, request.path, request.additional)
                return await self._gpu(self.nodes[target], op, credentials, request)
            except RefusedError as refusal:
                return refusal.reply

    async def _gpu(self, node: GpuNode, op: str, credentials: Credentials, request: Request) -> Reply:
        if op.startswith("bare_metal."):
            raise RefusedError(-3, "Not supported")
        if op in _OPEN:
            return await node.handle(op, None, request)
        if op == "session_id":  # sessions do not count here
            credentials = Credentials(("", ""), credentials.wallet, credentials.multisig, credentials.rent_order)
        caller = node.authority.authorise(node.id, credentials)
        if op == "session_id":
            session = node.authority.sessions.get(caller.wallet)
            return done(f'{{"session_id":"{session.id if session else ""}"}}')
        return await node.handle(op, caller, request)

    def restart(self, target: str) -> None:
        """A target's process ends and starts again."""
        if target in self.nodes:
            self.nodes[target].restart()

    def transport(self, name: str) -> httpx.AsyncBaseTransport:
        """A client node as a transport for httpx, without a network."""
        import httpx

        client = self.clients[name]

        class InProcess(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                try:
                    status, body = await client.handle(
                        request.method, request.url.raw_path.decode(), await request.aread()
                    )
                except DroppedError:
                    raise httpx.RemoteProtocolError("the server closed the connection", request=request) from None
                return httpx.Response(status, headers={"Content-Type": "application/json"}, text=body)

        return InProcess()

    def truth(self) -> dict[str, Any]:
        """What really is, by node id."""
        return {
            **{n.id: n.truth() for n in self.nodes.values()},
            **{m.id: m.truth() for m in self.managers.values()},
        }
