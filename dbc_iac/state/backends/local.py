"""A directory: the document written whole and atomically, its last ten versions, the journal, and the kernel's lock.

<directory>/<stack>.json                 the document
<directory>/<stack>.journal.jsonl        the journal since then
<directory>/<stack>.lock
<directory>/history/<stack>.<serial>.json
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dbc_iac.files.reading import real_path
from dbc_iac.files.writing import remove_temporaries
from dbc_iac.json import Json
from dbc_iac.state.backends.backend import MovedError, Stored
from dbc_iac.state.files import FILES, Files, read_own, refuse_link
from dbc_iac.state.lock import holder_of, lock

KEPT = 10
"""Number of kept versions."""


class LocalBackend:
    """State of one stack in a directory. Its lock goes with its process, so there is no lease."""

    lease = None

    def __init__(self, directory: Path, stack: str, files: Files = FILES) -> None:
        self.directory = directory
        self.stack = stack
        self._path = directory / f"{stack}.json"
        self._journal = directory / f"{stack}.journal.jsonl"
        self._files = files
        self.place, self.journal_place = str(self._path), str(self._journal)
        self.whole_place = f"{directory} whole"

    def read(self) -> Stored | None:
        try:
            content = read_own(self._path)
        except FileNotFoundError:
            return None
        return Stored(content, hashlib.sha256(content).hexdigest())

    def write(self, content: bytes, serial: int, expected: str | None) -> None:
        there = self.read()
        if (there and there.version) != expected:
            raise MovedError
        version = self._version(serial)
        refuse_link(version.parent)
        version.parent.mkdir(parents=True, exist_ok=True)
        for target in (self._path, self._version(serial - 1)):
            remove_temporaries(target)  # of processes that ended: the lock is held
        self._files.replace(self._path, content)
        with suppress(OSError):  # the document is written; a missing or superfluous version does no harm
            self._files.replace(version, content)
            self._version(serial - KEPT).unlink(missing_ok=True)

    def stacks(self) -> list[str]:
        """Stacks with older versions: other JSON files of the directory have none."""
        names = {path.stem for path in self.directory.glob("*.json")}
        written = {path.name.rsplit(".", 2)[0] for path in self._version(0).parent.glob("*.json")}
        return sorted(names & written)

    def keeps(self, path: Path) -> bool:
        """Whether a resolved path is, or would be, a file of a state in this directory."""
        directory = real_path(self.directory)
        names = {f"{s}{e}" for s in (self.stack, *self.stacks()) for e in (".json", ".journal.jsonl", ".lock")}
        return path.parent == directory / "history" or (path.parent == directory and path.name in names)

    def kept(self) -> list[int]:
        names = (p.name.removeprefix(f"{self.stack}.").removesuffix(".json") for p in self._version(0).parent.glob("*"))
        return sorted(int(n) for n in names if n.isdecimal())

    def version_place(self, serial: int) -> str:
        return str(self._version(serial))

    def _version(self, serial: int) -> Path:
        return self.directory / "history" / f"{self.stack}.{serial}.json"

    def lines(self) -> list[bytes]:
        try:
            # A process that ended within a write leaves a partial last line. No call was made after it, and the next
            # append cuts it off.
            *lines, _ = read_own(self._journal).split(b"\n")
        except FileNotFoundError:
            return []
        return lines

    def append(self, line: bytes, *, sync: bool) -> None:
        self._files.append(self._journal, line + b"\n", sync=sync)

    def clear(self) -> None:
        self._files.empty(self._journal)

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        refuse_link(self._version(0).parent)  # now, not when the state is to be written
        return lock(self.directory, self.stack, holder)

    def holder(self) -> Mapping[str, Json] | None:
        return holder_of(self.directory, self.stack)

    def break_lock(self) -> None:
        """No effect: the lock is freed by the end of its process."""

    def renew(self) -> None:
        """No effect: the kernel frees the lock of a process that ends."""
