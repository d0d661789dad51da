"""DeepLink programs: each holds a connection to its manager, which identifies it by its source address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, to_builtins

from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.gpu.ctext import byte_count
from dbc_iac.emulator.reply import ProcessDied
from dbc_iac.emulator.world import DeepLinkSpec

BUFFER = 440
"""Maximum password bytes that fit the manager's buffer of 512 together with the surrounding text."""
_REPORT_SECONDS = 0.1


class Device(Struct):
    id: str
    password: str


class DeepLinks:
    """Connected programs by source address. In memory only."""

    def __init__(self, clock: Clock, connected: Iterable[DeepLinkSpec] = ()) -> None:
        self._clock = clock
        self._reports: set[asyncio.Task[None]] = set()
        self.devices = {spec.ip: Device(spec.device_id, spec.device_password) for spec in connected}

    def connect(self, ip: str, device_id: str, password: str) -> None:
        self.devices[ip] = Device(device_id, password)

    def disconnect(self, ip: str) -> None:
        self.devices.pop(ip, None)

    def set_password(self, ip: str, password: str) -> None:
        """Send to the program, which reports back a moment later. An id is never sent; a text that breaks the
        JSON, or an empty one, has no visible effect. Raises ProcessDied, and KeyError when not connected.
        """
        device = self.devices[ip]
        if byte_count(password) > BUFFER:
            raise ProcessDied("a password over the buffer")
        try:
            parsed = json.loads(f'{{"device_password":"{password}"}}')["device_password"]
        except ValueError:
            return
        if parsed:
            report = asyncio.get_running_loop().create_task(self._report(ip, device, parsed))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

    async def _report(self, ip: str, device: Device, password: str) -> None:
        await self._clock.sleep(_REPORT_SECONDS)
        if self.devices.get(ip) is device:
            device.password = password

    def to_state(self) -> dict[str, Any]:
        return {ip: to_builtins(device) for ip, device in self.devices.items()}

    def from_state(self, state: dict[str, Any]) -> None:
        self.devices = {ip: Device(**device) for ip, device in state.items()}
