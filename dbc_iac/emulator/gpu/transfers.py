"""Image transfers: one rsync process each, and a watcher that polls them every three seconds.

An ended process counts as running until the next poll. Its exit code is ignored. Downloads are known by the requested
name, uploads by the absolute path. An interrupted transfer leaves the transmitted part under the final name, unmarked.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.emulator.gpu.files import HostFile, HostFiles
from dbc_iac.emulator.gpu.image_servers import ImageServer
from dbc_iac.emulator.gpu.spec import GpuNodeSpec
from dbc_iac.emulator.gpu.timing import Clock, sleep_or

SHELL = 0.05
"""Seconds from a transfer's shell to its rsync."""


class Transfer(Struct, eq=False):
    """A process started at `began` that needs `seconds` (emulated) for the whole file. `deliver` stores the transmitted
    part; `breaks`: part at which the connection is interrupted.
    """

    key: str
    died: asyncio.Event
    seconds: float
    deliver: Callable[[float], None]
    finished: Callable[[], None]
    breaks: float = 1.0
    began: float = 0.0
    ended: bool = False
    task: asyncio.Task[None] | None = None

    def arrived(self, now: float) -> float:
        return min(self.breaks, (now - self.began) / self.seconds)

    def progress(self, now: float) -> float:
        """Transmitted part; 1 when the process is gone."""
        return 1.0 if self.ended else min(0.99, self.arrived(now))


class Transfers:
    """Downloads and uploads of one node."""

    def __init__(self, spec: GpuNodeSpec, clock: Clock, files: HostFiles, die: Callable[[], None]) -> None:
        self.downloads: dict[str, Transfer] = {}
        self.uploads: dict[str, Transfer] = {}
        self._spec = spec
        self._clock = clock
        self._files = files
        self._die = die
        self._running: list[Transfer] = []
        """Processes of transfers, stopped ones included."""

    def download(
        self, image_server: ImageServer, name: str, directory: str, expected: int, breaks: float = 1.0
    ) -> None:
        """Download `name` into a directory of the host; into a missing one it fails at once."""
        source = image_server.files.get(name)
        works = source is not None and self._files.is_directory(directory)

        def deliver(part: float) -> None:
            if works and source is not None and part > 0:
                self._files.put(f"{directory}/{name}", _part_of(source, part))

        seconds = self._seconds(image_server, expected) if works else self._spec.durations.transfer_failure
        self._begin(Transfer(name, image_server.died, seconds, deliver, _nothing, breaks), self.downloads)

    def upload(
        self, image_server: ImageServer, path: str, finished: Callable[[], None] | None = None, breaks: float = 1.0
    ) -> None:
        """Upload a file to an image server. Without `finished`, a plain upload, whose end may crash the process."""
        file = self._files.get(path)
        name = path.rsplit("/", 1)[-1]
        reached = image_server.reachable

        def deliver(part: float) -> None:
            if file is not None and reached and part > 0:
                image_server.files[name] = _part_of(file, part)

        def die() -> None:
            if self._spec.uploads_end_process:
                self._die()

        seconds = self._seconds(image_server, file.size if file is not None else 0)
        self._begin(Transfer(path, image_server.died, seconds, deliver, finished or die, breaks), self.uploads)

    def stop_download(self, name: str) -> None:
        self._stop(self.downloads.pop(name, None))

    def stop_upload(self, path: str) -> None:
        self._stop(self.uploads.pop(path, None))

    def _stop(self, transfer: Transfer | None) -> None:
        """Kill the shell of a transfer: its rsync continues to the end."""
        early = transfer is not None and not transfer.ended and self._clock.now() - transfer.began < SHELL
        if early and transfer is not None and transfer.task is not None:
            transfer.task.cancel()
            self._running.remove(transfer)

    def end(self) -> None:
        """Stop of the daemon kills its rsync processes. Downloads leave only a hidden file."""
        for transfer in self._running:
            if transfer.task is not None:
                transfer.task.cancel()
            if transfer in self.uploads.values():
                transfer.deliver(transfer.arrived(self._clock.now()))
        self._running.clear()
        self.downloads.clear()
        self.uploads.clear()

    def progress(self, running: dict[str, Transfer], key: str) -> float:
        """Progress; 1 for an unknown transfer."""
        transfer = running.get(key)
        return 1.0 if transfer is None else transfer.progress(self._clock.now())

    def _seconds(self, image_server: ImageServer, size: int) -> float:
        durations = self._spec.durations
        if not image_server.reachable:
            return durations.transfer_failure
        return max(durations.transfer_minimum, size / image_server.bytes_per_second)

    def _begin(self, transfer: Transfer, running: dict[str, Transfer]) -> None:
        transfer.began = self._clock.now()
        running[transfer.key] = transfer
        self._running.append(transfer)
        transfer.task = asyncio.get_running_loop().create_task(self._watch(running, transfer))

    async def _watch(self, running: dict[str, Transfer], transfer: Transfer) -> None:
        await sleep_or(self._clock, transfer.seconds * transfer.breaks, transfer.died)
        transfer.ended = True
        self._running.remove(transfer)
        transfer.deliver(transfer.arrived(self._clock.now()) if transfer.died.is_set() else transfer.breaks)
        tick = self._spec.durations.transfer_tick
        now = self._clock.now()
        await self._clock.sleep((math.floor(now / tick) + 1) * tick - now)
        if running.get(transfer.key) is transfer:
            del running[transfer.key]
            transfer.finished()


def _part_of(file: HostFile, part: float) -> HostFile:
    return replace(file, size=int(file.size * part))


def _nothing() -> None:
    """End of a download, without side effects."""
