"""Image transfers: one rsync process each, and a watcher that looks at them every three seconds.

A transfer whose process has ended counts as running until the watcher looks. Its exit code is never asked for.
Downloads are known by the name that was sent, uploads by the absolute path.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from dbc_iac.emulator.gpu.centres import ImageCentre
from dbc_iac.emulator.gpu.files import HostFiles
from dbc_iac.emulator.gpu.spec import GpuNodeSpec
from dbc_iac.emulator.gpu.timing import Clock


@dataclass(slots=True)
class Transfer:
    """A running process: from `began` to `ends` (emulated seconds). `deliver` puts the file where it goes."""

    key: str
    expected: int
    began: float
    ends: float
    deliver: Callable[[], None]
    finished: Callable[[], None]
    interrupted: Callable[[float], None]
    task: asyncio.Task[None] | None = None

    def progress(self, now: float) -> float:
        """The part that has arrived; 1 when the process is gone."""
        if now >= self.ends:
            return 1.0
        return min(0.99, max(0.0, (now - self.began) / (self.ends - self.began)))


class Transfers:
    """Downloads and uploads of one node."""

    def __init__(self, spec: GpuNodeSpec, clock: Clock, files: HostFiles, die: Callable[[], None]) -> None:
        self.downloads: dict[str, Transfer] = {}
        self.uploads: dict[str, Transfer] = {}
        self._spec = spec
        self._clock = clock
        self._files = files
        self._die = die

    def download(self, centre: ImageCentre, name: str, directory: str, expected: int) -> None:
        """Fetches `name` into a directory of the host; into one that is not there the transfer fails at once."""
        source = centre.files.get(name)
        works = source is not None and self._files.is_directory(directory)

        def deliver() -> None:
            if works and source is not None:
                self._files.put(f"{directory}/{name}", replace(source))

        seconds = self._seconds(centre, expected) if works else self._spec.durations.transfer_failure
        self._begin(Transfer(name, expected, 0, seconds, deliver, _nothing, _nothing_left), self.downloads)

    def upload(self, centre: ImageCentre, path: str, finished: Callable[[], None] | None = None) -> None:
        """Sends a file to a centre. Without `finished` it is a plain upload, whose end may end the process."""
        file = self._files.get(path)
        name = path.rsplit("/", 1)[-1]

        def deliver() -> None:
            if file is not None and centre.reachable:
                centre.files[name] = replace(file)

        def die() -> None:
            if self._spec.uploads_end_process:
                self._die()

        def interrupted(part: float) -> None:
            if file is not None and centre.reachable and 0 < part < 1:
                centre.files[name] = replace(file, size=int(file.size * part))

        size = file.size if file is not None else 0
        seconds = self._seconds(centre, size)
        self._begin(Transfer(path, size, 0, seconds, deliver, finished or die, interrupted), self.uploads)

    def stop_download(self, name: str) -> None:
        self._drop(self.downloads, name)

    def stop_upload(self, path: str) -> None:
        """Kills the process; what was sent may stay in the centre under the final name."""
        self._drop(self.uploads, path)

    def end(self) -> None:
        """The daemon ends: its rsync processes end with it."""
        for running in (self.downloads, self.uploads):
            for key in list(running):
                self._drop(running, key)

    def progress(self, running: dict[str, Transfer], key: str) -> float:
        """1 for whatever is not known."""
        transfer = running.get(key)
        return 1.0 if transfer is None else transfer.progress(self._clock.now())

    def _seconds(self, centre: ImageCentre, size: int) -> float:
        durations = self._spec.durations
        if not centre.reachable:
            return durations.transfer_failure
        return max(durations.transfer_minimum, size / centre.bytes_per_second)

    def _begin(self, transfer: Transfer, running: dict[str, Transfer]) -> None:
        """`ends` is a duration until here."""
        transfer.began = self._clock.now()
        transfer.ends += transfer.began
        running[transfer.key] = transfer
        transfer.task = asyncio.get_running_loop().create_task(self._watch(running, transfer))

    async def _watch(self, running: dict[str, Transfer], transfer: Transfer) -> None:
        await self._clock.sleep(transfer.ends - self._clock.now())
        transfer.deliver()
        tick = self._spec.durations.transfer_tick
        now = self._clock.now()
        await self._clock.sleep((math.floor(now / tick) + 1) * tick - now)
        if running.get(transfer.key) is transfer:
            del running[transfer.key]
        transfer.finished()

    def _drop(self, running: dict[str, Transfer], key: str) -> None:
        transfer = running.pop(key, None)
        if transfer is not None and transfer.task is not None:
            transfer.task.cancel()
            transfer.interrupted(transfer.progress(self._clock.now()))


def _nothing() -> None:
    """A download ends without any harm."""


def _nothing_left(part: float) -> None:
    """A stopped download leaves only a hidden file."""
