"""A directory: the document written whole and atomically, its last ten versions, the journal, and the kernel's lock.

<directory>/<stack>.json                 the document
<directory>/<stack>.journal.jsonl        the journal since then
<directory>/<stack>.lock
<directory>/history/<stack>.<serial>.json
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.files.reading import open_regular, read_regular, real_path
from dbc_iac.files.writing import open_temporary, remove_temporaries, write_all
from dbc_iac.json import Json
from dbc_iac.state.backends.backend import MovedError, Stored, held, parse_holder

KEPT = 10
"""Number of kept versions."""


class LocalBackend:
    """State of one stack in a directory. Its lock goes with its process, so there is no lease."""

    lease = None

    def __init__(self, directory: Path, stack: str) -> None:
        self.directory = directory
        self.stack = stack
        self._path = directory / f"{stack}.json"
        self._journal = directory / f"{stack}.journal.jsonl"
        self._lock = directory / f"{stack}.lock"
        self._history = directory / "history"
        self.place, self.journal_place = str(self._path), str(self._journal)
        self.whole_place = f"{directory} whole"

    def read(self) -> Stored | None:
        try:
            content = read_regular(self._path)
        except FileNotFoundError:
            return None
        return Stored(content, hashlib.sha256(content).hexdigest())

    def write(self, content: bytes, serial: int, expected: str | None) -> str:
        there = self.read()  # programs that restore or edit a state take no lock
        if (there and there.version) != expected:
            raise MovedError
        version = self._version(serial)
        _refuse_link(self._history)
        self._history.mkdir(parents=True, exist_ok=True)
        for target in (self._path, self._version(serial - 1)):
            remove_temporaries(target)  # of processes that ended: the lock is held
        replace(self._path, content)
        with suppress(OSError):  # the document is written; a missing or superfluous version does no harm
            replace(version, content)
            self._version(serial - KEPT).unlink(missing_ok=True)
        return hashlib.sha256(content).hexdigest()

    def stacks(self) -> list[str]:
        """Stacks with older versions: other JSON files of the directory have none."""
        names = {path.stem for path in self.directory.glob("*.json")}
        written = {path.name.rsplit(".", 2)[0] for path in self._history.glob("*.json")}
        return sorted(names & written)

    def keeps(self, path: Path) -> bool:
        """Whether a resolved path is, or would be, a file of a state in this directory."""
        directory = real_path(self.directory)
        names = {f"{s}{e}" for s in (self.stack, *self.stacks()) for e in (".json", ".journal.jsonl", ".lock")}
        return path.parent == directory / "history" or (path.parent == directory and path.name in names)

    def kept(self) -> list[int]:
        names = (p.name.removeprefix(f"{self.stack}.").removesuffix(".json") for p in self._history.glob("*"))
        return sorted(int(n) for n in names if n.isdecimal())

    def version_place(self, serial: int) -> str:
        return str(self._version(serial))

    def _version(self, serial: int) -> Path:
        return self._history / f"{self.stack}.{serial}.json"

    def lines(self) -> list[bytes]:
        try:
            # A process that ended within a write leaves a partial last line. No call was made after it, and the next
            # append cuts it off.
            *lines, _ = read_regular(self._journal).split(b"\n")
        except FileNotFoundError:
            return []
        return lines

    def append(self, line: bytes, *, sync: bool) -> None:
        """Add a line, or nothing. A partial line of a process that ended within it is cut off first."""
        created = not self._journal.exists()
        descriptor = open_regular(self._journal, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            whole = os.fstat(descriptor).st_size
            if whole and os.pread(descriptor, 1, whole - 1) != b"\n":
                whole = os.pread(descriptor, whole, 0).rfind(b"\n") + 1
                os.ftruncate(descriptor, whole)
            try:
                write_all(descriptor, line + b"\n")
                if sync:
                    os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, whole)
                raise
        finally:
            os.close(descriptor)
        if created:
            _sync_directory(self.directory)

    def clear(self) -> None:
        descriptor = open_regular(self._journal, os.O_WRONLY | os.O_CREAT)
        try:
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def lock(self, holder: Mapping[str, Json]) -> Iterator[None]:
        _refuse_link(self._history)  # now, not when the state is to be written
        with ExitStack() as closing:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                descriptor = open_regular(self._lock, os.O_RDWR | os.O_CREAT)
                closing.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    remedy = "Use --lock-timeout 60s to wait for it. The lock is freed when its process ends."
                    raise DiagnosticError(held(_holder(descriptor), f"Lock file: {self._lock}.", remedy)) from None
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(dict(holder)).encode())
            except OSError as error:  # a disk that is read-only or full, a file system without locks
                raise _impossible(self._lock, error) from error
            yield
            os.ftruncate(descriptor, 0)

    def holder(self) -> Mapping[str, Json] | None:
        if not self._lock.exists():
            return None
        descriptor = open_regular(self._lock, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(descriptor)
        finally:
            os.close(descriptor)
        return None

    def break_lock(self) -> None:
        """No effect: the lock is freed by the end of its process."""

    def renew(self) -> None:
        """No effect: the kernel frees the lock of a process that ends."""


def replace(path: Path, content: bytes) -> None:
    """Write a file whole, or leave it as it was. It is on disk when this returns. Raises OSError."""
    descriptor, temporary = open_temporary(path)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """A new name is on disk only when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_link(directory: Path) -> None:
    if directory.is_symlink():
        raise OSError(errno.EINVAL, "a symbolic link, which is not followed", str(directory))


def _holder(descriptor: int) -> dict[str, Json]:
    """Holder in a held lock file, which it writes right after taking the lock."""
    for _ in range(10_000):
        if found := os.pread(descriptor, 65536, 0):
            return parse_holder(found)
        os.sched_yield()
    return {}


def _impossible(path: Path, error: OSError) -> DiagnosticError:
    return failure(
        "state-not-lockable",
        f"cannot lock {path} ({error.strerror})",
        "Without a lock two runs could create every object twice.",
        "Free some space, fix the permissions, or keep the state on a local disk.",
        exit_code=ExitCode.ERROR,
    )
