"""The emulated network in one process: clients, GPU nodes, managers, chain, image servers and clock."""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dbc_iac.emulator.authority import Session
from dbc_iac.emulator.bare_metal.deeplink import DeepLinks
from dbc_iac.emulator.bare_metal.manager import ManagerProcess
from dbc_iac.emulator.bare_metal.power import Bmcs
from dbc_iac.emulator.chain import Chain, wallet_address
from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.faults import Faults
from dbc_iac.emulator.gossip import Gossip
from dbc_iac.emulator.gpu.image_servers import ImageServer, ImageServers
from dbc_iac.emulator.gpu.lan import LanRoom
from dbc_iac.emulator.gpu_process import GpuProcess
from dbc_iac.emulator.http import chain_rpc
from dbc_iac.emulator.http.answer import Dropped, Response
from dbc_iac.emulator.http.node import HttpNode
from dbc_iac.emulator.world import DATE, ClientSpec, WorldSpec

if TYPE_CHECKING:
    import httpx

_LIST_SECONDS = 0.19
STATE_FORMAT = 1


class Network:
    """A running world. `passed`: virtual seconds since its start."""

    def __init__(self, spec: WorldSpec, passed: float = 0.0) -> None:
        self.spec = spec
        start = datetime.strptime(spec.start, DATE).replace(tzinfo=UTC)
        self.clock = Clock(spec.time_scale, start, passed)
        self.chain = Chain.of(spec, self.clock)
        self.wallets = {w.name: wallet_address(w.seed, w.address) for w in spec.wallets}
        self.faults = Faults(spec.faults)
        self.gossip = Gossip(self.clock, spec.gossip)
        self.image_servers = ImageServers(spec.image_servers)
        self.bmcs = Bmcs(self.clock, spec.bmcs)
        self.deeplinks = DeepLinks(self.clock, spec.deeplinks)
        self._rooms: dict[str, LanRoom] = {}
        self.nodes = {n.id: self._gpu_process(n.id) for n in spec.gpu_nodes}
        managers = [self._manager_process(index) for index in range(len(spec.managers))]
        self.managers = {m.id: m for m in managers}
        self._plan_sessions()
        self.clients = {c.name: self._client_node(c) for c in spec.clients}
        self.ports = self._ports()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._started = False

    def _gpu_process(self, node_id: str) -> GpuProcess:
        spec = next(n for n in self.spec.gpu_nodes if n.id == node_id)
        return GpuProcess(
            spec,
            clock=self.clock,
            source=self._random_for(node_id),
            chain=self.chain,
            room=self._room(spec.room),
            image_servers=self.image_servers,
            gossip=self.gossip,
            restart_after=self.spec.restart_seconds,
        )

    def _manager_process(self, index: int) -> ManagerProcess:
        return ManagerProcess(
            self.spec.managers[index],
            clock=self.clock,
            source=self._random_for(f"manager {index}"),
            chain=self.chain,
            gossip=self.gossip,
            bmcs=self.bmcs,
            deeplinks=self.deeplinks,
            restart_after=self.spec.restart_seconds,
        )

    def _client_node(self, spec: ClientSpec) -> HttpNode:
        node_id = spec.id or hashlib.sha256(f"client {spec.name}".encode()).hexdigest()
        table = self._room(spec.room).table(node_id, hears=bool(spec.room))
        known = spec.image_servers if spec.image_servers is not None else tuple(self.image_servers.image_servers)
        return HttpNode(spec.name, node_id, self, table, known, host=self.nodes.get(spec.host_of))

    def _ports(self) -> dict[str, HttpNode]:
        """HTTP ports by node: clients by name; GPU nodes and managers by id, and by name if it is unique."""
        ports = dict(self.clients)
        image_servers = tuple(self.image_servers.image_servers)
        for process in self._processes():
            if isinstance(process, GpuProcess):
                lan = process.node.machine.lan
            else:
                lan = self._room("").table(process.id, hears=False)
            port = HttpNode(process.spec.name, process.id, self, lan, image_servers, process)
            ports[process.id] = port
            ports.setdefault(process.spec.name, port)
        return ports

    def _room(self, name: str) -> LanRoom:
        return self._rooms.setdefault(name, LanRoom(self.clock))

    def _random_for(self, name: str) -> random.Random:
        """Random generator of one process, so that the order of requests to others does not change its values."""
        return random.Random(f"{self.spec.seed} {name}")  # noqa: S311 - reproducible worlds, no secrets

    def _plan_sessions(self) -> None:
        for session in self.spec.sessions:
            process = self.nodes.get(session.target) or self.managers[session.target]
            process.authority.planned[session.wallet] = session.id
            if session.issued:
                process.authority.sessions[session.wallet] = Session(
                    session.id, frozenset(session.signers or {session.wallet})
                )

    # -- running -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Create the initial objects, on the running loop. Otherwise the first request does it."""
        if self._started:
            return
        self._started = True
        self.clock.now()
        for process in self._processes():
            process.begin()

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Hold a reference to a background task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, port: str, method: str, uri: str, body: bytes, head_bytes: int = 0) -> Response:
        """Send a request to the HTTP port of a node, given its name or id; `chain`: a node of the chain.

        Raises KeyError, Dropped.
        """
        self.begin()
        if port == chain_rpc.PORT and port not in self.ports:
            return chain_rpc.answer(self.chain, method, body)
        return await self.ports[port].handle(method, uri, body, head_bytes)

    def process(self, node_id: str) -> GpuProcess | ManagerProcess:
        """Process by node id. Raises KeyError."""
        return self.nodes[node_id] if node_id in self.nodes else self.managers[node_id]

    def image_server_seconds(self, image_server: ImageServer) -> float:
        """Duration of a list; an unreachable image server may take very long."""
        return _LIST_SECONDS if image_server.reachable else image_server.fail_seconds

    def transport(self, port: str) -> httpx.AsyncBaseTransport:
        """A port as an httpx transport, without a network."""
        from dbc_iac.emulator.http.in_process import InProcess

        return InProcess(self, port)

    def truth(self) -> dict[str, Any]:
        """Actual state, by node id."""
        return {process.id: process.truth() for process in self._processes()}

    def _processes(self) -> list[GpuProcess | ManagerProcess]:
        return [*self.nodes.values(), *self.managers.values()]

    # -- saving and loading ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """State that survives the emulator, as JSON values."""
        return {
            "format": STATE_FORMAT,
            "passed": self.clock.now(),
            "chain": self.chain.to_state(),
            "image servers": self.image_servers.to_state(),
            "bmcs": self.bmcs.to_state(),
            "deeplinks": self.deeplinks.to_state(),
            "nodes": {node.id: node.to_state() for node in self.nodes.values()},
            "managers": {manager.id: manager.to_state() for manager in self.managers.values()},
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Load a saved state instead of the initial objects. A node that is missing there starts as in the world file.

        On the running loop. Raises ValueError, KeyError, TypeError for data not written by `to_state`.
        """
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise ValueError(f"its format is not {STATE_FORMAT}")
        self.clock.passed = float(state["passed"])
        self.chain.from_state(state["chain"])
        self.image_servers.from_state(state["image servers"])
        self.bmcs.from_state(state["bmcs"])
        self.deeplinks.from_state(state["deeplinks"])
        for node in self.nodes.values():
            if node.id in state["nodes"]:
                node.from_state(state["nodes"][node.id])
        for manager in self.managers.values():
            if manager.id in state["managers"]:
                manager.from_state(state["managers"][manager.id])


__all__ = ["Dropped", "Network"]
