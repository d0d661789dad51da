"""Process of a GPU node: one request at a time, authorisation, then the node; and its end and restart."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from msgspec.structs import replace

from dbc_iac.emulator.authority import Authority, Caller, Credentials, refusal
from dbc_iac.emulator.chain import Chain, MachineRentals, OrderCache
from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.gossip import Entry, Gossip
from dbc_iac.emulator.gpu.admin import GpuAdmin
from dbc_iac.emulator.gpu.image_servers import ImageServers
from dbc_iac.emulator.gpu.lan import LanRoom
from dbc_iac.emulator.gpu.node import OPERATIONS, Access, GpuNode
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu.spec import GpuNodeSpec
from dbc_iac.emulator.reply import ProcessDied, RefusedError, Reply, done

_NOT_HERE = "Not supported"
KEEPALIVE = 30.0
"""Seconds of a frozen process after which libvirt closes its connection."""
RECONNECT = 60.0
"""Interval in seconds between checks of the libvirt connection."""


class GpuProcess:
    """A GPU machine's daemon on the network. `restart_after`: seconds until a dead process restarts; 0: never."""

    def __init__(
        self,
        spec: GpuNodeSpec,
        *,
        clock: Clock,
        source: random.Random,
        chain: Chain,
        room: LanRoom,
        image_servers: ImageServers,
        gossip: Gossip,
        restart_after: float,
    ) -> None:
        self.id = spec.id
        self.spec = spec
        self.clock = clock
        self.authority = Authority(OrderCache(chain), source)
        self.gossip = gossip
        rentals = MachineRentals(spec.id, self.authority.cache)
        self.node = GpuNode(
            spec,
            clock=clock,
            source=source,
            rentals=rentals,
            room=room,
            image_servers=image_servers,
            on_death=self._died,
        )
        self.admin = GpuAdmin(self.node)
        self._restart_after = restart_after
        self._turn = asyncio.Lock()
        self._coming_back: asyncio.Task[None] | None = None
        self._frozen_until = 0.0
        gossip.announce(Entry(spec.id, "gpu", spec.name, self, clients=spec.client_nodes, version=spec.version))

    def begin(self) -> None:
        """Create the initial objects on the running loop."""
        self.node.begin()

    async def ask(self, target: str, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        """Handle a request. Raises ProcessDied."""
        async with self._turn:
            await self.clock.sleep(self._frozen_until - self.clock.now())
            try:
                return await self._answer(op, credentials, request)
            except RefusedError as refused:
                return refused.reply

    async def _answer(self, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        if not self.node.alive:
            raise ProcessDied("not running")
        if op.startswith(("bare_metal", "deeplink")):
            raise RefusedError(-3, _NOT_HERE)
        if op == "mining_nodes.session_id":
            return await self._session(credentials)
        if op == "images.delete" and self.authority.cache.chain.order(self.id, "") is not None:
            # Any named order. The case of a machine without an order on the chain is unobserved.
            credentials = replace(credentials, rent_order="")
        access = OPERATIONS[op].access
        caller = None if access == "none" else await self._caller(access, credentials)
        return await self.node.handle(op, caller, request)

    async def _session(self, credentials: Credentials) -> Reply:
        """Require a renter with a wallet signature; a verifier is refused without a reason."""
        caller = await self._authorise(credentials.without_session())
        if caller.role != "wallet":
            raise RefusedError(-3, "check authority failed")
        return done(f'{{"session_id":"{self.authority.session_of(caller)}"}}')

    async def _caller(self, access: Access, credentials: Credentials) -> Caller | None:
        try:
            caller = await self._authorise(credentials)
        except RefusedError:
            if access == "optional":
                return None
            raise
        if access == "renter" and caller.role == "verifier":
            raise refusal("")
        return caller

    async def _authorise(self, credentials: Credentials) -> Caller:
        """Authorise a request. Even a refused one deletes the VMs of verifiers."""
        if self.authority.is_unrented(self.id):
            await self.node.drop_check_vms()
        caller = self.authority.authorise(self.id, credentials)
        if caller.role == "verifier":
            await self.node.drop_check_vms(keep_wallet=caller.wallet)
        return caller

    # -- process life cycle ------------------------------------------------------------------------

    def _died(self) -> None:
        self.gossip.withdraw(self.id)
        if self._restart_after:
            self._coming_back = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        await self.clock.sleep(self._restart_after)
        if not self.node.alive:
            self.restart()

    def stop(self) -> None:
        """Stop cleanly and permanently."""
        self.node.stop()
        self.gossip.withdraw(self.id)

    def die(self) -> None:
        self.node.die()

    def freeze(self, seconds: float) -> None:
        """Freeze the process. Beyond libvirt's time limit, jobs find no domain until the process reconnects."""
        self._frozen_until = self.clock.now() + seconds
        if seconds >= KEEPALIVE:
            self.node.machine.libvirt.lose(seconds + RECONNECT)

    def restart(self) -> None:
        """Restart the process, killing it if it runs."""
        self._frozen_until = 0.0
        self.node.restart()
        self.authority.restart()
        self.gossip.back(self.id)

    def truth(self) -> dict[str, Any]:
        return self.admin.truth()

    def to_state(self) -> dict[str, Any]:
        return {"node": self.node.to_state(), "authority": self.authority.to_state()}

    def from_state(self, state: dict[str, Any]) -> None:
        self.node.from_state(state["node"])
        self.authority.from_state(state["authority"])
