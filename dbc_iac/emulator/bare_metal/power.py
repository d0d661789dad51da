"""ipmitool and the BMCs: exact texts, duration of each failure, and replies that count as success."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from dbc_iac.emulator.bare_metal.servers import Server
from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.gpu.ctext import byte_count
from dbc_iac.emulator.world import BmcSpec

DEFAULT_PORT = 623
_LONGEST_PASSWORD = 16
_NO_SESSION = "Error: Unable to establish LAN session <line> Error: Unable to establish IPMI v1.5 / RMCP session"
_WRONG_PASSWORD_SECONDS = 8.0
_DEAD_PORT_SECONDS = 10.0
_LOOKUP_SECONDS = 6.2
_DONE = {"on": "Up/On", "off": "Down/Off", "reset": "Reset"}


class Bmc(Struct):
    """A BMC; `next_boot`: device set by `bootdev`."""

    host: str
    port: int
    user: str
    password: str
    power: str
    reachable: bool
    seconds: float
    failure: str
    next_boot: str = ""

    @classmethod
    def of(cls, spec: BmcSpec) -> Bmc:
        return cls(**spec.model_dump())


class Bmcs:
    """All BMCs of a world."""

    def __init__(self, clock: Clock, specs: Iterable[BmcSpec]) -> None:
        self._clock = clock
        self.all = [Bmc.of(spec) for spec in specs]

    def find(self, host: str, port: int) -> Bmc | None:
        return next((b for b in self.all if (b.host, b.port) == (host, port)), None)

    async def run(self, server: Server, *command: str) -> str:
        """Output of ipmitool, lines joined, after its duration."""
        if byte_count(server.ipmi_password) > _LONGEST_PASSWORD:
            return "lan: password is longer than 16 bytes."
        bmc = self.find(server.ipmi_hostname, server.ipmi_port or DEFAULT_PORT)
        if bmc is None or not bmc.reachable:
            return await self._nobody(server.ipmi_hostname)
        if bmc.user != server.ipmi_username:
            await self._clock.sleep(bmc.seconds)
            return f"Invalid user name <line> {_NO_SESSION}"
        if bmc.password != server.ipmi_password:
            await self._clock.sleep(_WRONG_PASSWORD_SECONDS + bmc.seconds)
            return f"Activate Session command failed <line> {_NO_SESSION}"
        await self._clock.sleep(bmc.seconds)
        return bmc.failure or _act(bmc, command)

    async def _nobody(self, host: str) -> str:
        """Failure of an address without a reply, or of a name that does not resolve."""
        if _is_address(host) or any(b.host == host for b in self.all):
            await self._clock.sleep(_DEAD_PORT_SECONDS)
            return _NO_SESSION
        await self._clock.sleep(_LOOKUP_SECONDS)
        return f"Address lookup for {host} failed <line> Could not open socket!"

    def to_state(self) -> list[dict[str, Any]]:
        return [{"host": b.host, "port": b.port, "power": b.power, "nextBoot": b.next_boot} for b in self.all]

    def from_state(self, state: list[dict[str, Any]]) -> None:
        for one in state:
            bmc = self.find(one["host"], one["port"])
            if bmc is not None:
                bmc.power, bmc.next_boot = one["power"], one["nextBoot"]


def failed(text: str) -> bool:
    """Whether the output contains `Error:`, the node's only sign of failure."""
    return "Error:" in text or "error:" in text


def _act(bmc: Bmc, command: tuple[str, ...]) -> str:
    if command[0] == "bootdev":
        bmc.next_boot = command[1]
        return f"Set Boot Device to {command[1]}"
    verb = command[1]
    if verb == "status":
        return f"Chassis Power is {bmc.power}"
    if verb in {"on", "off"}:
        bmc.power = verb
    return f"Chassis Power Control: {_DONE[verb]}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
