"""File system of the host as used by the node: directories, and files with sizes and base files.

No real file is read or written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from msgspec import Struct, field

from dbc_iac.emulator.gpu.spec import GIB, GpuNodeSpec, GuestSpec

EMPTY_QCOW2 = 196_656  # bytes of a new qcow2 file, or of an unused overlay


class HostFile(Struct):
    """A file. `size`: bytes on disk; `virtual_size`: bytes of its disk; `base`: path of its backing file."""

    size: int
    virtual_size: int
    base: str = ""
    guest: GuestSpec | None = None


class HostFiles(Struct):
    """Files and directories by normalised path."""

    files: dict[str, HostFile] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {"/", "/tmp", "/data"})  # noqa: S108 - of an emulated host

    @classmethod
    def of(cls, spec: GpuNodeSpec) -> HostFiles:
        host = cls()
        host.directories.update(disk.path for disk in spec.data)
        host.directories.update(spec.directories)
        for image in spec.images:
            host.files[_normal(f"/data/{image.name}")] = HostFile(
                image.size, image.virtual_size, image.base, image.guest
            )
        for name in spec.files:
            host.files[_normal(name if name.startswith("/") else f"/data/{name}")] = HostFile(EMPTY_QCOW2, 10 * GIB)
        return host

    def get(self, path: str) -> HostFile | None:
        return self.files.get(_normal(path))

    def exists(self, path: str) -> bool:
        """Whether a file or directory exists."""
        return _normal(path) in self.files or self.is_directory(path)

    def is_directory(self, path: str) -> bool:
        return _normal(path) in self.directories

    def put(self, path: str, file: HostFile) -> None:
        self.files[_normal(path)] = file

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""
        self.files.pop(_normal(path), None)

    def in_directory(self, directory: str) -> Iterator[tuple[str, HostFile]]:
        """Names and files in a directory, sorted (the node: in directory order)."""
        prefix = _normal(directory).rstrip("/") + "/"
        for path in sorted(self.files):
            name = path.removeprefix(prefix)
            if path.startswith(prefix) and "/" not in name:
                yield name, self.files[path]

    def root_of(self, path: str) -> str:
        """File at the bottom of a chain of base files."""
        seen = {path}
        while (file := self.get(path)) is not None and file.base and file.base not in seen:
            path = file.base
            seen.add(path)
        return path

    def missing_base(self, path: str) -> str:
        """First missing file of the chain; empty if none is missing."""
        seen: set[str] = set()
        while path and path not in seen:
            seen.add(path)
            file = self.get(path)
            if file is None:
                return path
            path = file.base
        return ""


def _normal(path: str) -> str:
    return posixpath.normpath(path)
