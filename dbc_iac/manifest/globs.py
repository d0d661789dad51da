"""Expansion of the globs of the project file. Reads directories; opens no file.

Unlike pathlib's, `**` follows symbolic links: resources of a skipped directory would be planned for deletion. Each
real directory is entered once, so cyclic links terminate; an unreadable directory is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from msgspec import Struct, field

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity, SourceRange
from dbc_iac.files.reading import real_path

_MAGIC = frozenset("*?[")
Place = Callable[[], SourceRange | None]
"""Source range of a pattern in the project file, looked up for a diagnostic."""


def matching(project: Path, pattern: str, found: Diagnostics, place: Place = lambda: None) -> list[Path]:
    """Paths below a project that match a pattern, sorted, directories excluded."""
    parts = PurePath(pattern).parts
    if not parts or PurePath(pattern).is_absolute():
        return []
    walk = _Walk(real_path(project), found, place)
    files = {p for p in walk.matches(project, parts) if not p.is_dir()}
    for link in sorted(walk.dangling - files):  # its target may have been a directory of manifests
        walk.problem("unreadable-file", f"{link} is a broken symbolic link", "Remove the link, or restore its target.")
    return sorted(files)


class _Walk(Struct):
    root: Path
    found: Diagnostics
    place: Place
    # For each rest of the pattern: else `**/**/**` enters a directory once for each way to split its path.
    entered: set[tuple[Path, tuple[str, ...]]] = field(default_factory=set)
    dangling: set[Path] = field(default_factory=set)

    def matches(self, directory: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        if not parts:
            yield directory
            return
        place = (real_path(directory), parts)
        if place in self.entered:
            return
        self.entered.add(place)
        first, *rest = parts
        if first == "**":
            yield from self.matches(directory, tuple(rest))
            entries = self._entries(directory)
            self.dangling |= {e for e in entries if e.is_symlink() and not e.exists()}
            # Real directories come before links to them.
            for entry in sorted((e for e in entries if e.is_dir()), key=lambda e: (e.is_symlink(), e)):
                yield from self.matches(entry, parts)
        elif _MAGIC & set(first):
            for entry in self._entries(directory):
                if fnmatchcase(entry.name, first) and (not rest or entry.is_dir()):
                    yield from self.matches(entry, tuple(rest))
        elif os.path.lexists(directory / first):
            yield from self.matches(directory / first, tuple(rest))

    def _entries(self, directory: Path) -> list[Path]:
        if not real_path(directory).is_relative_to(self.root):  # names of files outside are not printed either
            remedy = "Copy the directory into the project."
            self.problem("outside-project", f"{directory} is a directory outside the project", remedy)
            return []
        try:
            return sorted(directory.iterdir())
        except NotADirectoryError:
            return []
        except OSError as error:
            self.problem("unreadable-file", f"cannot read {directory} ({error.strerror})", "Correct its permissions.")
            return []

    def problem(self, code: str, summary: str, remedy: str) -> None:
        self.found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=self.place()))
