"""Virtual LANs: each node of a machine room keeps its own table, synchronised by unacknowledged multicast.

A table may be wrong: its node does not receive, was down, or missed an announcement larger than a datagram. Requests
use only the table; they are in `lan_requests.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.emulator.gpu.timing import Clock

DEVICE = 1  # the bridge exists on the node
DHCP = 2  # the node runs the DHCP server
DATAGRAM = 1024  # bytes; longer ones are dropped as unparsable
IDLE_SECONDS = 259_200.0  # three days without members
FIRST_TICK = 90.0
TICK = 120.0
TAKE_OVER = 1.0
_ROUNDING = 1e-9
"""Tolerance before a round: a shorter wait would never elapse on the clock."""


class Lan(Struct):
    """One node's copy of a LAN. `used`: date of the last join, leave or creation; `heard`: emulated seconds."""

    name: str
    vni: int
    cidr: str
    ip_start: str
    ip_end: str
    dhcp_interface: str
    machine_id: str
    wallet: str
    used: datetime
    heard: float
    members: list[str] = field(default_factory=list)
    flags: int = 0


class LanTable:
    """LAN table of one node. `bridges`: names of the LANs whose bridge exists on its host."""

    def __init__(self, room: LanRoom, node_id: str, *, hears: bool, bridges: set[str]) -> None:
        self.node_id = node_id
        self.hears = hears
        self.bridges = bridges
        self.networks: dict[str, Lan] = {}
        self.alive = True
        self.script_error: tuple[int, str] | None = None
        self.room = room
        self._started = 0.0
        self._left: set[tuple[str, str]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self.taking_over: asyncio.Task[None] | None = None

    def sorted(self) -> list[Lan]:
        return [self.networks[name] for name in sorted(self.networks)]

    def host(self, lan: Lan) -> None:
        """Add a LAN created here: bridge and DHCP server are up; announce it."""
        self.bridges.add(lan.name)
        self.networks[lan.name] = lan
        self.keep_ticking()
        self.room.broadcast(self, lambda table: table.add_heard(lan))

    def drop(self, name: str) -> None:
        """Delete a LAN of this node; announce it."""
        self.forget(name)
        self.room.broadcast(self, lambda table: table.forget(name))

    def forget(self, name: str) -> None:
        self.networks.pop(name, None)
        self.bridges.discard(name)

    def join(self, name: str, task_id: str) -> None:
        """Announce that a VM joined. The node records it only if it receives its own multicast."""
        if name:
            self.room.broadcast(self, lambda table: table.heard_join(name, task_id))

    def leave(self, name: str, task_id: str) -> None:
        if name:
            self._left.add((name, task_id))
            self.room.broadcast(self, lambda table: table.heard_leave(name, task_id))

    def heard_join(self, name: str, task_id: str) -> None:
        lan = self.networks.get(name)
        if lan is not None:
            lan.members.append(task_id)
            lan.used = self.room.clock.wall()

    def heard_leave(self, name: str, task_id: str) -> None:
        lan = self.networks.get(name)
        if lan is not None:
            lan.members = [member for member in lan.members if member != task_id]
            lan.used = self.room.clock.wall()

    def add_heard(self, lan: Lan) -> None:
        """Record another node's LAN. The announcement clears the flag of a bridge that may exist here."""
        if lan.machine_id != self.node_id:
            self.networks[lan.name] = replace(lan, members=list(lan.members), flags=0, heard=self.room.clock.now())
            self.keep_ticking()

    # -- time --------------------------------------------------------------------------------------

    def keep_ticking(self) -> None:
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        while self.networks and self.alive:
            since = self.room.clock.now() - self._started
            rounds = max(0, math.floor((since - FIRST_TICK) / TICK + _ROUNDING) + 1)
            await self.room.clock.sleep(FIRST_TICK + rounds * TICK - since)
            self.pass_by()

    def pass_by(self) -> None:
        """One round: remove idle LANs, announce hosted ones, drop stale copies, repeat leaves."""
        now, wall = self.room.clock.now(), self.room.clock.wall()
        for lan in self.sorted():
            if lan.members:
                continue
            if lan.machine_id == self.node_id:
                if (wall - lan.used).total_seconds() > IDLE_SECONDS:
                    self.drop(lan.name)
            elif now - lan.heard > IDLE_SECONDS:
                self.forget(lan.name)
        self._announce()
        for name, task_id in self._left:
            if name in self.networks and task_id in self.networks[name].members:
                self.room.broadcast(self, lambda table, n=name, t=task_id: table.heard_leave(n, t))  # type: ignore[misc]

    def _announce(self) -> None:
        hosted = [lan for lan in self.sorted() if lan.machine_id == self.node_id]
        if sum(310 + 28 * len(lan.members) for lan in hosted) + 100 >= DATAGRAM:
            return
        for lan in hosted:
            self.room.broadcast(self, lambda table, lan=lan: table.add_heard(lan))  # type: ignore[misc]

    # -- daemon life cycle -------------------------------------------------------------------------

    def leave_cleanly(self) -> None:
        """Shut down cleanly: the LANs move to another node of the room, if one receives."""
        for lan in self.sorted():
            if lan.machine_id == self.node_id:
                lan.machine_id = ""
                lan.flags &= ~DHCP
                self.room.move(self, lan.name)
        self.stop()

    def stop(self) -> None:
        """The daemon is dead. Bridges remain, the table is on disk."""
        self.alive = False
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def restart(self) -> None:
        """Restart. The bridge flag of another node's LAN was never saved."""
        self.alive = True
        self._started = self.room.clock.now()
        for lan in self.networks.values():
            lan.flags = DEVICE | DHCP if lan.machine_id == self.node_id else 0
        if self.networks:
            self.keep_ticking()
        if any(not lan.machine_id for lan in self.networks.values()):
            self.taking_over = asyncio.get_running_loop().create_task(self._reclaim())

    async def _reclaim(self) -> None:
        """Recreate LANs that no other node took over, two minutes later."""
        await self.room.clock.sleep(TICK)
        for lan in self.sorted():
            if self.alive and not lan.machine_id:
                self.room.host_at(self, lan.name)


class LanRoom:
    """Nodes that share a network segment."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tables: list[LanTable] = []

    def table(self, node_id: str, *, hears: bool = True, bridges: set[str] | None = None) -> LanTable:
        """Add a node to the room (a client node has a table too)."""
        table = LanTable(self, node_id, hears=hears, bridges=set() if bridges is None else bridges)
        self.tables.append(table)
        return table

    def broadcast(self, sender: LanTable, change: Callable[[LanTable], None]) -> None:
        """Multicast to every node that receives, the sender included."""
        if not sender.hears:
            return
        for table in self.tables:
            if table.alive and table.hears:
                change(table)

    def move(self, sender: LanTable, name: str) -> None:
        """Another node takes over the DHCP server of a LAN."""
        heirs = [
            t for t in self.tables if t is not sender and t.alive and t.hears and sender.hears and name in t.networks
        ]
        for table in heirs:
            table.networks[name].machine_id = ""
        heir = min(heirs, key=lambda table: table.node_id, default=None)
        if heir is not None:
            heir.taking_over = asyncio.get_running_loop().create_task(self._take_over(heir, name))

    async def _take_over(self, heir: LanTable, name: str) -> None:
        await self.clock.sleep(TAKE_OVER)
        if not heir.alive or name not in heir.networks:
            return
        self.host_at(heir, name)

    def host_at(self, heir: LanTable, name: str) -> None:
        """Make a node run the DHCP server of a LAN; receivers record it."""
        lan = heir.networks[name]
        lan.machine_id, lan.flags = heir.node_id, DEVICE | DHCP
        heir.bridges.add(name)
        for table in self.tables:
            if table is not heir and table.hears and heir.hears and name in table.networks:
                table.networks[name].machine_id = heir.node_id
                table.networks[name].flags &= ~DHCP
