"""Bounded reads of regular files: no endless pipes, no devices, no links that lead out of the project.

    read_file      a file anywhere, such as a secret file
    read_inside    a file that the project names
    read_given     a file that the command line names; pipes are allowed
    read_regular   a file at exactly this path, such as a state
    open_regular   the same, for reading or writing

All raise OSError with a readable `strerror`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange
from dbc_iac.files.writing import OWNER_ONLY

MIB = 1024 * 1024
MAX_BYTES = 256 * MIB
"""Default size limit of a file."""
_KERNEL = (Path("/proc"), Path("/sys"))
_MAX_LINKS = 40


class OutsideProjectError(OSError):
    """A file that the project names, but that is outside the project directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EPERM, "outside the project", str(path))


class TooLargeError(OSError):
    """A file over its size limit."""

    def __init__(self, path: Path, most: int) -> None:
        size = f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"
        super().__init__(errno.EFBIG, f"larger than {size}", str(path))


def read_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """Content of a regular file. Pipes, devices, standard input and kernel files are refused."""
    real = real_path(path)
    _refuse_kernel(path)
    return read_regular(real, most)


def read_regular(path: Path, most: int = MAX_BYTES) -> bytes:
    """Content of a regular file at exactly this path: a link is refused."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        return _read(descriptor, path, most)
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int) -> int:
    """A descriptor of a regular file, which is created for its owner only. A link in its place is refused."""
    # Without O_NONBLOCK the open itself would wait for the other end of a pipe.
    careful = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | careful, OWNER_ONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.EINVAL, "a symbolic link, which is not followed", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def read_inside(path: Path, root: Path, most: int = MAX_BYTES) -> bytes:
    """Content of a regular file that is inside `root` after resolving links. Raises OutsideProjectError."""
    real = real_path(path)
    if not real.is_relative_to(real_path(root)):
        raise OutsideProjectError(path)
    return read_file(real, most)


def read_given(path: Path, most: int = MAX_BYTES) -> bytes:
    """Content of a file or pipe that the command line names."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return _read(descriptor, path, most)
    finally:
        os.close(descriptor)


def real_path(path: Path) -> Path:
    """Path with all links resolved. Raises OSError for cyclic links and invalid names."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL in it
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path)) from None


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path that is written as one inside `root` leads outside through a link."""
    # Not `resolve`: `..` is relative to the written path, not to the target of a link.
    written = Path(os.path.abspath(path))  # noqa: PTH100
    inside = written.is_relative_to(os.path.abspath(root)) or written.is_relative_to(real_path(root))  # noqa: PTH100
    return inside and not real_path(path).is_relative_to(real_path(root))


def file_problem(path: Path, error: OSError, what: str = "", source: SourceRange | None = None) -> Diagnostic:
    """Diagnostic of a failed read. `what`: description of the file, such as `variable file`."""
    name = f"{what} {path}".strip()
    if isinstance(error, OutsideProjectError):
        remedy = "Copy the file into the project."
        return Diagnostic("outside-project", Severity.ERROR, f"{name} is outside the project", "", remedy, source)
    code = "too-large" if isinstance(error, TooLargeError) else "unreadable-file"
    remedy = (
        "Split the file." if isinstance(error, TooLargeError) else "Correct the path or the permissions of the file."
    )
    return Diagnostic(code, Severity.ERROR, f"cannot read {name} ({error.strerror})", "", remedy, source)


def _refuse_kernel(path: Path) -> None:
    """Refuse /proc and /sys, whose files appear regular: the environment of a process, /dev/stdin."""
    for _ in range(_MAX_LINKS):
        parent = real_path(path.parent)
        if any(parent.is_relative_to(place) for place in _KERNEL):
            raise _irregular(path)
        path = parent / path.name
        if not path.is_symlink():
            return
        path = parent / path.readlink()


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))


def _read(descriptor: int, path: Path, most: int = MAX_BYTES) -> bytes:
    """Content of an open file, up to a limit. Its size is checked first; it may grow, and that of a pipe is 0."""
    if os.fstat(descriptor).st_size > most:
        raise TooLargeError(path, most)
    found = bytearray()
    while len(found) <= most:
        part = os.read(descriptor, min(MIB, most + 1 - len(found)))
        if not part:
            return bytes(found)
        found += part
    raise TooLargeError(path, most)
