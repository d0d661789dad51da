"""Files that are written whole or not at all: into a new file beside the target, which then takes its place.

Raises OSError. The new file has a random name and is made with O_EXCL: no link that somebody put there is followed.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_temporary(target: Path, mode: int = OWNER_ONLY) -> tuple[int, Path]:
    """A new file beside `target`: its descriptor and its path."""
    path = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.new")
    return os.open(path, _NEW, mode), path


def remove_temporaries(target: Path) -> None:
    """Remove what ended processes left beside `target`. Nobody else may be writing it."""
    for left in target.parent.glob(f".{target.name[:100]}.{'[0-9a-f]' * 16}.new"):
        with suppress(OSError):
            left.unlink()


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file, or leave it as it was. `private`: readable by its owner only, from the first moment.

    A terminal, a pipe or a device is written to as it is.
    """
    there = _status(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        with path.open("wb") as stream:
            stream.write(content)
        return
    path = path.resolve()  # a link that the user made keeps leading here
    descriptor, temporary = open_temporary(path, OWNER_ONLY if private else 0o666)
    try:
        try:
            if there is not None and not private:
                os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the name that the user knows, not the temporary one
        raise


def write_new(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """Write a file that is not there yet. Raises FileExistsError, also for a link that leads to nothing."""
    descriptor = os.open(path, _NEW, mode)
    try:
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it. One `os.write` may take a part only, without an error, on a disk that is nearly full."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def check_writable(path: Path) -> None:
    """Require that a file can be written later; an existing file is not changed. Raises OSError."""
    there = _status(path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if there is None or stat.S_ISREG(there.st_mode):
        _check_directory(path.resolve().parent, path)


def check_creatable(directory: Path) -> None:
    """Require that files can be created in a directory, which need not exist yet. Raises OSError."""
    path = directory
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    _check_directory(path, directory)


def _check_directory(directory: Path, wanted: Path) -> None:
    """Make a file and remove it: what permissions say is not all that can be in the way."""
    try:
        descriptor, temporary = open_temporary(directory / "check")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(wanted)) from None
    os.close(descriptor)
    temporary.unlink()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
