"""Files that survive the end of the process, of the power and of the space: what state and journal are kept with.

Every step is a method of its own, so that a test can end the process, or fill the disk, at each. Knows no state.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from dbc_iac.files.reading import read_descriptor
from dbc_iac.files.writing import OWNER_ONLY, open_temporary, write_all


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a regular file of the state's directory. A link in its place is refused. Raises OSError."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, OWNER_ONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _irregular(path, "it is a symbolic link") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path, "it is not a regular file")
    return descriptor


def read_own(path: Path) -> bytes:
    """The content of a file that `open_own` accepts. Raises OSError."""
    descriptor = open_own(path, os.O_RDONLY)
    try:
        return read_descriptor(descriptor, path)
    finally:
        os.close(descriptor)


def refuse_link(path: Path) -> None:
    """Refuse a link in the place of a directory of the state. Raises OSError."""
    if path.is_symlink():
        raise _irregular(path, "it is a symbolic link")


def _irregular(path: Path, why: str) -> OSError:
    return OSError(errno.EINVAL, why, str(path))


class Files:
    """The real ones. Raises OSError."""

    def write(self, descriptor: int, content: bytes) -> None:
        write_all(descriptor, content)

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
        descriptor, temporary = open_temporary(path)
        try:
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
        descriptor = open_own(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            whole = os.fstat(descriptor).st_size
            if whole and os.pread(descriptor, 1, whole - 1) != b"\n":
                whole = os.pread(descriptor, whole, 0).rfind(b"\n") + 1
                self.truncate(descriptor, whole)
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
        descriptor = open_own(path, os.O_WRONLY | os.O_CREAT)
        try:
            self.truncate(descriptor, 0)
            self.sync(descriptor)
        finally:
            os.close(descriptor)


FILES: Final = Files()
