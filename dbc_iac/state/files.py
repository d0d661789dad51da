"""Files that survive the end of the process, of the power and of the space: what state and journal are kept with.

Every step is a method of its own, so that a test can end the process, or fill the disk, at each. Knows no state.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_OWNER_ONLY = 0o600


class Files:
    """The real ones. Raises OSError."""

    def write(self, descriptor: int, content: bytes) -> None:
        """Write all of it. One `os.write` may take a part only, without an error, on a disk that is nearly full."""
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def sync_directory(self, directory: Path) -> None:
        """A new name is on disk only when its directory is."""
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file whole, or leave it as it was. It is on disk when this returns."""
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        try:
            os.fchmod(descriptor, _OWNER_ONLY)  # it may have been left by a process that ended, or by somebody else
            self.write(descriptor, content)
            self.sync(descriptor)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        finally:
            os.close(descriptor)
        self.rename(temporary, path)
        self.sync_directory(path.parent)

    def append(self, path: Path, line: bytes, *, sync: bool) -> None:
        """Add a line, or nothing. What a process left behind that ended within a line is cut off first."""
        created = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _OWNER_ONLY)
        try:
            whole = self._whole_lines(descriptor)
            try:
                self.write(descriptor, line)
                if sync:
                    self.sync(descriptor)
            except OSError:
                with suppress(OSError):
                    self.truncate(descriptor, whole)
                raise
        finally:
            os.close(descriptor)
        if created:
            self.sync_directory(path.parent)

    def empty(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, _OWNER_ONLY)
        try:
            self.truncate(descriptor, 0)
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def _whole_lines(self, descriptor: int) -> int:
        """The length of a file in whole lines, to which it is cut."""
        length = os.fstat(descriptor).st_size
        if length == 0 or os.pread(descriptor, 1, length - 1) == b"\n":
            return length
        whole = os.pread(descriptor, length, 0).rfind(b"\n") + 1
        self.truncate(descriptor, whole)
        return whole


FILES: Final = Files()
