"""Bare-metal manager: its servers as seen by owner, renter and others.

Reached through other nodes or at its own port. A single thread serves requests, queries BMCs and runs maintenance, so
they delay each other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from dbc_iac.emulator.authority import Authority, Caller, Credentials, refusal
from dbc_iac.emulator.bare_metal.deeplink import DeepLinks
from dbc_iac.emulator.bare_metal.power import Bmcs, failed
from dbc_iac.emulator.bare_metal.servers import CAP, BadRequest, Server, Servers, added_text, pasted
from dbc_iac.emulator.chain import Chain, OrderCache
from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.crypto import node_id_of
from dbc_iac.emulator.gossip import ALWAYS, Entry, Gossip
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.reply import NeverAnswered, ProcessDied, RefusedError, Reply, done, refused
from dbc_iac.emulator.world import VERSION, ManagerSpec

_LOOK_SECONDS = 0.002
_CHECK_SECONDS = 0.006


class ManagerProcess:
    """A manager with its servers. `restart_after`: seconds until a dead process restarts; 0: never."""

    def __init__(
        self,
        spec: ManagerSpec,
        *,
        clock: Clock,
        source: random.Random,
        chain: Chain,
        gossip: Gossip,
        bmcs: Bmcs,
        deeplinks: DeepLinks,
        restart_after: float,
    ) -> None:
        self.id = spec.id or node_id_of(spec.seed)
        self.spec = spec
        self.clock = clock
        self.gossip = gossip
        self.bmcs = bmcs
        self.deeplinks = deeplinks
        self.authority = Authority(OrderCache(chain), source)
        self.servers = Servers(spec.servers, source)
        self.alive = True
        self._restart_after = restart_after
        self._turn = asyncio.Lock()
        self._rounds: asyncio.Task[None] | None = None
        self._coming_back: asyncio.Task[None] | None = None
        gossip.announce(Entry(self.id, "manager", spec.name, self))
        for node_id in self.servers.by_id:
            gossip.announce(Entry(node_id, "server", spec.name, self))

    def begin(self) -> None:
        """Start the maintenance rounds on the running loop."""
        if self.spec.maintenance.every > 0 and (self._rounds is None or self._rounds.done()):
            self._rounds = asyncio.get_running_loop().create_task(self._keep_round())

    # -- requests from other nodes -----------------------------------------------------------------

    async def ask(self, target: str, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        """Reply about the manager (its own id) or a server. Raises ProcessDied and NeverAnswered.

        An id that is not one of its servers is ignored; a server that is deleted while its request waits is reported as
        missing.
        """
        if self.alive and target != self.id and target not in self.servers.by_id:
            raise NeverAnswered
        async with self._turn:
            if not self.alive:
                raise ProcessDied("not running")
            await self.clock.sleep(_LOOK_SECONDS)
            try:
                if target == self.id:
                    return await self._of_manager(op, credentials, request)
                return await self._of_server(target, op, credentials, request)
            except RefusedError as refused_:
                return refused_.reply
            except BadRequest as wrong:
                return refused(-3, wrong.relayed)
            except ProcessDied:
                self.die()
                raise

    async def _of_manager(self, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        match op:
            case "bare_metal.list":
                return await self._list(self._is_owner(credentials), request.path)
            case "bare_metal.add" | "bare_metal.delete" | "bare_metal.modify":
                if not self._is_owner(credentials):
                    raise RefusedError(-3, "verify sign failed")
                return self.change(op, request.path, request.additional)
            case "bare_metal.power" | "bare_metal.bootdev" | "deeplink" | "deeplink.set":
                raise RefusedError(-3, "Not supported")
            case "mining_nodes.session_id":
                raise NeverAnswered
            case "mining_nodes" | "rent_orders":
                raise RefusedError(-3, "bare metal node has no machine info for now")
        raise RefusedError(-3, "bare metal nodes are not supported")

    def _is_owner(self, credentials: Credentials) -> bool:
        wallet, nonce, sign = credentials.wallet
        return wallet == self.id and bool(nonce) and self.authority.fresh(wallet, nonce, sign)

    async def _list(self, shown: bool, path: tuple[str, ...]) -> Reply:
        found = self.servers.find(path[0] if path else "")
        power = None
        if len(found) == 1:
            output = await self.bmcs.run(found[0], "power", "status")
            power = None if failed(output) else output
        return done(self.list_text(found, power, shown=shown))

    def list_text(self, found: list[Server], power: str | None, *, shown: bool) -> str:
        """Message of a list; `power` is set for a single server only."""
        rows = (s.text(shown=shown, power=power, device=self.deeplinks.devices.get(s.ip)) for s in found[:CAP])
        return f'{{"bare_metal_nodes":[{",".join(rows)}]}}'

    def change(self, op: str, path: tuple[str, ...], additional: Mapping[str, Any]) -> Reply:
        """Add, delete or modify as the owner. Raises BadRequest and ProcessDied."""
        if op == "bare_metal.add":
            added = self.servers.add(additional)
            now = self.clock.now()
            for server in added:
                self.gossip.announce(Entry(server.node_id, "server", self.spec.name, self, born=now))
            return done(added_text(added))
        if op == "bare_metal.delete":
            gone, outcome = self.servers.delete(additional)
            for node_id in gone:
                self.gossip.withdraw(node_id)
        else:
            outcome = self.servers.modify(path[0] if path else "", additional)
        return Reply(f'{{"errcode":{outcome.errcode}, "message":"{outcome.text}"}}')

    async def _of_server(self, target: str, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        match op:
            case "mining_nodes":
                return self._information(self._server(target))
            case "rent_orders":
                return self._orders()
            case "mining_nodes.session_id":
                caller = await self._caller(target, credentials.without_session())
                if caller.role != "wallet":
                    raise RefusedError(-3, "check authority failed")
                return done(f'{{"session_id":"{self.authority.session_of(caller)}"}}')
            case "bare_metal.list":
                await self._caller(target, credentials)
                return await self._renters_view(self._server(target))
            case "bare_metal.power":
                await self._caller(target, credentials)
                return await self._power(self._server(target, "node id not existed"), request)
            case "bare_metal.bootdev":
                await self._renter(target, credentials)
                server = self._server(target, "node id not existed")
                await self.bmcs.run(server, "bootdev", str(request.additional.get("device")))
                raise RefusedError(-3, "bare metal client not existed")
            case "deeplink":
                await self._caller(target, credentials)
                return self._device(self._server(target, "node id not existed"))
            case "deeplink.set":
                await self._renter(target, credentials)
                return self._set_device(self._server(target, "node id not existed"), request)
            case "bare_metal.add" | "bare_metal.delete" | "bare_metal.modify":
                raise RefusedError(-3, "Not supported")
        raise RefusedError(-3, "bare metal nodes are not supported")

    async def _caller(self, target: str, credentials: Credentials) -> Caller:
        await self.clock.sleep(_CHECK_SECONDS)
        return self.authority.authorise(target, credentials)

    async def _renter(self, target: str, credentials: Credentials) -> None:
        caller = await self._caller(target, credentials)
        if caller.role == "verifier":
            raise refusal("")

    def _server(self, target: str, missing: str = "get bare metal node info failed") -> Server:
        server = self.servers.by_id.get(target)
        if server is None:
            raise RefusedError(-3, missing)
        return server

    def _information(self, server: Server) -> Reply:
        device = self.deeplinks.devices.get(server.ip)
        row = pasted(version=VERSION, node_type="2", ip=server.ip, os=server.os)
        if device is not None:
            shown = pasted(device_id=device.id, device_password="*" * len(device.password))
            row = f'{row[:-1]},"deeplink":{shown}}}'
        return done(row)

    async def _renters_view(self, server: Server) -> Reply:
        output = await self.bmcs.run(server, "power", "status")
        device = self.deeplinks.devices.get(server.ip)
        return done(
            pasted(
                version=VERSION,
                ip=server.ip,
                os=server.os,
                description=server.desc,
                power_status=None if failed(output) else output,
                deeplink_device_id=device.id if device is not None else None,
                deeplink_device_password=device.password if device is not None else None,
            )
        )

    def _orders(self) -> Reply:
        """Cache of all servers."""
        rows = ",".join(
            pasted(id=o.key, renter=o.renter, rent_end=str(o.end), rent_status=o.status, gpu_nums=str(o.gpu_num))[:-1]
            + f',"gpu_index":[{",".join(map(str, o.gpu_index))}]}}'
            for o in self.authority.cache.in_order()[:CAP]
        )
        return done(f'{{"rent_orders":[{rows}]}}')

    async def _power(self, server: Server, request: NodeRequest) -> Reply:
        output = await self.bmcs.run(server, "power", str(request.additional.get("command")))
        return refused(-3 if failed(output) else 0, output)

    def _device(self, server: Server) -> Reply:
        device = self.deeplinks.devices.get(server.ip)
        if device is None:
            raise RefusedError(1, "deeplink service not connected")
        return done(pasted(device_id=device.id, device_password=device.password))

    def _set_device(self, server: Server, request: NodeRequest) -> Reply:
        device_id, password = (str(request.additional.get(k) or "") for k in ("device_id", "device_password"))
        if not device_id and not password:
            raise RefusedError(-3, "invalid device")
        if server.ip not in self.deeplinks.devices:
            raise RefusedError(-3, "deeplink service not connected")
        self.deeplinks.set_password(server.ip, password)
        return done()

    # -- maintenance -------------------------------------------------------------------------------

    async def _keep_round(self) -> None:
        await self.clock.sleep(self.spec.maintenance.first)
        while self.alive:
            await self.do_round()
            await self.clock.sleep(self.spec.maintenance.every)

    async def do_round(self) -> None:
        """One pass: each server blocks requests for three seconds; unrented ones are powered off once."""
        async with self._turn:
            chain = self.authority.cache.chain
            for server in list(self.servers.by_id.values()):
                await self.clock.sleep(self.spec.maintenance.per_server)
                order = chain.order(server.node_id, "")
                rented = chain.status(server.node_id) in {"creating", "rented"}
                ended = order is not None and rented and chain.block() > order.end
                if chain.status(server.node_id) not in {"waitingFulfill", "online"} and not ended:
                    server.off_sent = server.off_sent and not rented
                elif not server.off_sent:
                    server.off_sent = True
                    await self.bmcs.run(server, "power", "off")

    async def be_busy(self, seconds: float) -> None:
        """Block all requests for a time."""
        async with self._turn:
            await self.clock.sleep(seconds)

    # -- process life cycle ------------------------------------------------------------------------

    def die(self) -> None:
        """Crash the process; it restarts after a while."""
        if not self.alive:
            return
        self.stop()
        if self._restart_after:
            self._coming_back = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        await self.clock.sleep(self._restart_after)
        if not self.alive:
            self.restart()

    def stop(self) -> None:
        self.alive = False
        if self._rounds is not None:
            self._rounds.cancel()
        for node_id in (self.id, *self.servers.by_id):
            self.gossip.withdraw(node_id)

    def restart(self) -> None:
        """Restart the process: nonces and the list of powered-off servers were only in memory."""
        if self.alive:
            self.stop()
        self.alive = True
        self.authority.restart()
        for server in self.servers.by_id.values():
            server.off_sent = False
        for node_id in (self.id, *self.servers.by_id):
            self.gossip.back(node_id)
        self._rounds = None
        self.begin()

    def truth(self) -> dict[str, Any]:
        return self.servers.truth()

    def to_state(self) -> dict[str, Any]:
        return {"servers": self.servers.to_state(), "authority": self.authority.to_state()}

    def from_state(self, state: dict[str, Any]) -> None:
        for node_id in self.servers.by_id:
            self.gossip.entries.pop(node_id, None)
        self.servers.from_state(state["servers"])
        for node_id in self.servers.by_id:
            self.gossip.announce(Entry(node_id, "server", self.spec.name, self, born=ALWAYS))
        self.authority.from_state(state["authority"])
