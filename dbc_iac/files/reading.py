"""Bounded reads of regular files: no pipe that never ends, no device, and no file outside the project by way of a link.

    read_file      a file that may lie anywhere, such as a secret's
    read_inside    a file that the project names
    read_given     a file that the command line names: a pipe is allowed

All raise OSError with words for people in `strerror`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange

MIB = 1024 * 1024
MOST_BYTES = 256 * MIB
"""Size limit of a file without a smaller one of its own."""
_KERNEL = (Path("/proc"), Path("/sys"))
_MOST_LINKS = 40


class OutsideProjectError(OSError):
    """A file that the project names, but that lies outside it."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EPERM, "it lies outside the project", str(path))


class TooLargeError(OSError):
    """A file over its size limit."""

    def __init__(self, path: Path, most: int) -> None:
        size = f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"
        super().__init__(errno.EFBIG, f"it is larger than {size}", str(path))


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file. Pipes, devices, standard input and files of the kernel are refused."""
    real = real_path(path)
    _refuse_kernel(path)
    # Without O_NONBLOCK the open itself would wait for the other end of a pipe.
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _irregular(path)
        return read_descriptor(descriptor, path, most)
    finally:
        os.close(descriptor)


def read_inside(path: Path, root: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file that lies in `root` after every link. Raises OutsideProjectError."""
    real = real_path(path)
    if not real.is_relative_to(real_path(root)):
        raise OutsideProjectError(path)
    return read_file(real, most)


def read_given(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file or a pipe that the command line names."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return read_descriptor(descriptor, path, most)
    finally:
        os.close(descriptor)


def real_path(path: Path) -> Path:
    """The path after all links. A ring of links, or a name that no file can have, is an OSError."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL in it
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path)) from None


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path that is written as one in `root` leads out of it by a link."""
    # Not `resolve`: `..` is to go up from what is written, not from where a link leads.
    written = Path(os.path.abspath(path))  # noqa: PTH100
    inside = written.is_relative_to(os.path.abspath(root)) or written.is_relative_to(real_path(root))  # noqa: PTH100
    return inside and not real_path(path).is_relative_to(real_path(root))


def file_problem(path: Path, error: OSError, what: str = "", source: SourceRange | None = None) -> Diagnostic:
    """Why a file was not read. `what` it is, such as `variable file`."""
    name = f"{what} {path}".strip()
    if isinstance(error, OutsideProjectError):
        remedy = "Copy it into the project; only the command line may name files elsewhere."
        return Diagnostic("outside-project", Severity.ERROR, f"{name} lies outside the project", "", remedy, source)
    code = "too-large" if isinstance(error, TooLargeError) else "unreadable-file"
    remedy = "Split it." if isinstance(error, TooLargeError) else "Check the file and its permissions."
    return Diagnostic(code, Severity.ERROR, f"{name} cannot be read ({error.strerror})", "", remedy, source)


def _refuse_kernel(path: Path) -> None:
    """Refuse /proc and /sys, whose files call themselves regular: the environment of a process, /dev/stdin."""
    for _ in range(_MOST_LINKS):
        parent = real_path(path.parent)
        if any(parent.is_relative_to(place) for place in _KERNEL):
            raise _irregular(path)
        path = parent / path.name
        if not path.is_symlink():
            return
        path = parent / path.readlink()


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_descriptor(descriptor: int, path: Path, most: int = MOST_BYTES) -> bytes:
    """All that an open file holds, to a limit."""
    found = bytearray()
    while len(found) <= most:
        part = os.read(descriptor, min(MIB, most + 1 - len(found)))
        if not part:
            return bytes(found)
        found += part
    raise TooLargeError(path, most)
