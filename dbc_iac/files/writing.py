"""Atomic writes: into a temporary file in the same directory, which then replaces the target.

Raises OSError. The temporary file has a random name and is created with O_EXCL, so planted links are not followed.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600
_BATCH = 256 * 1024
"""Least bytes of a write, but for the last."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_temporary(target: Path, mode: int = OWNER_ONLY) -> tuple[int, Path]:
    """Create a temporary file next to `target`: its descriptor and its path."""
    path = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.new")
    return os.open(path, _NEW, mode), path


def remove_temporaries(target: Path) -> None:
    """Remove temporary files of ended processes next to `target`. The caller must be the only writer."""
    for left in target.parent.glob(f".{target.name[:100]}.{'[0-9a-f]' * 16}.new"):
        with suppress(OSError):
            left.unlink()


def write_whole(path: Path, content: bytes | Iterable[bytes], *, private: bool = False) -> None:
    """Write a file atomically. `content`: whole, or in pieces. `private`: mode 0600 from its creation.

    Terminals, pipes and devices are written to directly.
    """
    batches = _batches([content] if isinstance(content, bytes) else content)
    there = _status(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        with path.open("wb") as stream:
            stream.writelines(batches)
        return
    path = path.resolve()  # a link made by the user stays a link
    descriptor, temporary = open_temporary(path, OWNER_ONLY if private else 0o666)
    try:
        try:
            if there is not None and not private:
                os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
            for batch in batches:
                write_all(descriptor, batch)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the user's file name, not the temporary one
        raise


def _batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, joined to batches that are worth a system call."""
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)


def write_new(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """Write a new file. Raises FileExistsError if the name exists, also as a broken link."""
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
    """Write all bytes. A single `os.write` may write a part without an error, when the disk is nearly full."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def check_writable(path: Path) -> None:
    """Require that a file can be written later, without changing it. Raises OSError."""
    there = _status(path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if there is None or stat.S_ISREG(there.st_mode):
        _check_directory(path.resolve().parent, path)


def check_creatable(directory: Path) -> None:
    """Require that files can be created in a directory, which may not exist yet. Raises OSError."""
    path = directory
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    _check_directory(path, directory)


def _check_directory(directory: Path, path: Path) -> None:
    """Require that a file can be created, by creating one: permission bits alone do not tell."""
    try:
        descriptor, temporary = open_temporary(directory / "check")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(descriptor)
    temporary.unlink()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
