"""Virtual LANs of a machine room: shared by name, owned by a wallet, deleted by the node after three idle days."""

from __future__ import annotations

import ipaddress
import random
import re
from dataclasses import dataclass, field

from dbc_iac.sim.clock import Clock
from dbc_iac.sim.gpu.record import Request
from dbc_iac.sim.reply import ProcessDiedError, RefusedError, Reply, done

IDLE_SECONDS = 259_200.0


@dataclass(slots=True)
class Lan:
    name: str
    cidr: str
    vni: int
    host: str
    wallet: str
    tap: str
    used: float
    used_at: str
    members: list[str] = field(default_factory=list)

    def text(self, node: str) -> str:
        """As one node tells it; every value is pasted."""
        first, last = _range(self.cidr)
        members = ",".join(f'"{m}"' for m in self.members)
        flags = "3" if node == self.host else "0"
        return (
            f'{{"network_name":"{self.name}", "bridge_name":"br{self.name}", "vxlan_name":"vx{self.name}", '
            f'"vxlan_vni":"{self.vni}", "ip_cidr":"{self.cidr}", "ip_start":"{first}", "ip_end":"{last}", '
            f'"dhcp_interface":"{self.tap}", "machine_id":"{self.host}", "rent_wallet":"{self.wallet}", '
            f'"members":[{members}], "lastUseTime":"{self.used_at}", "native_flags":"{flags}"}}'
        )


def _range(cidr: str) -> tuple[str, str]:
    """First and last address, by the node's own arithmetic: the prefix is not checked."""
    host, _, bits = cidr.partition("/")
    prefix = int(bits) if bits.isdigit() else 0
    mask = (0xFFFFFFFF << (32 - prefix % 32)) & 0xFFFFFFFF if prefix % 32 else (0xFFFFFFFF if prefix else 0)
    network = int(ipaddress.IPv4Address(host)) & mask
    last = network | (~mask & 0xFFFFFFFF)
    return str(ipaddress.IPv4Address((network + 1) & 0xFFFFFFFF)), str(ipaddress.IPv4Address((last - 1) & 0xFFFFFFFF))


class Room:
    """The LANs that the nodes of one machine room know."""

    def __init__(self, clock: Clock, source: random.Random) -> None:
        self.lans: dict[str, Lan] = {}
        self._clock = clock
        self._random = source

    def _clean(self) -> None:
        now = self._clock.now()
        for name in [n for n, lan in self.lans.items() if not lan.members and now - lan.used > IDLE_SECONDS]:
            del self.lans[name]

    def show(self, node: str, request: Request) -> Reply:
        self._clean()
        if not request.path:
            listed = sorted(self.lans.values(), key=lambda lan: lan.name)[:31]
            return done("[" + ", ".join(lan.text(node) for lan in listed) + "]")
        lan = self.lans.get(request.path[0])
        if lan is None:
            raise RefusedError(-3, "network name not exist")
        return done(lan.text(node))

    def create(self, node: str, wallet: str, request: Request) -> Reply:
        self._clean()
        name, cidr = request.text("network_name") or "", request.text("ip_cidr") or ""
        if not name:
            raise RefusedError(-3, "network name can not be empty")
        if not re.fullmatch(r"[0-9A-Za-z]{6,10}", name):
            raise RefusedError(-3, "network name requires a combination of 6 to 10 letters or numbers")
        if name in self.lans:
            raise RefusedError(-3, "network name already existed")
        if not cidr:
            raise RefusedError(-3, "ip cidr can not be empty")
        if "192.168.122." in cidr:
            raise RefusedError(-3, "ip cidr already exist")
        parts = [p for p in cidr.split("/") if p]
        if len(parts) != 2 or ":" in cidr:
            raise RefusedError(-3, "invalid ip cidr")
        try:
            ipaddress.IPv4Address(parts[0])
        except ValueError:
            raise ProcessDiedError("an address that does not parse throws on the request thread") from None
        tap = "tap" + "".join(self._random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=10))
        vni = self._random.randrange(1 << 24)
        self.lans[name] = Lan(name, cidr, vni, node, wallet, tap, self._clock.now(), self._clock.stamp())
        return done()

    def delete(self, wallet: str, request: Request) -> Reply:
        lan = self.lans.get(request.path[0])
        if lan is None:
            raise RefusedError(-3, "network name not exist")
        if lan.wallet != wallet:
            raise RefusedError(-3, "wallet error, you are not the owner of the network")
        if lan.members:
            raise RefusedError(-3, "network is in used, please delete task in the network first")
        del self.lans[lan.name]
        return done()

    def join(self, name: str, task: str, *, heard: bool) -> None:
        lan = self.lans[name]
        lan.used, lan.used_at = self._clock.now(), self._clock.stamp()
        if heard:
            lan.members.append(task)

    def leave(self, name: str, task: str) -> None:
        lan = self.lans.get(name)
        if lan is not None:
            lan.used, lan.used_at = self._clock.now(), self._clock.stamp()
            lan.members = [m for m in lan.members if m != task]
