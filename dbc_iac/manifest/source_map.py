"""Source ranges of the values and keys of a YAML document, by path."""

from __future__ import annotations

from dataclasses import dataclass, field

from dbc_iac.diagnostics import SourceRange

Path = tuple[str | int, ...]
"""Keys and indexes from the root of a document."""


@dataclass(slots=True)
class SourceMap:
    """Source ranges of the values and keys of one document, by path."""

    values: dict[Path, SourceRange] = field(default_factory=dict)
    keys: dict[Path, SourceRange] = field(default_factory=dict)

    def value(self, path: Path) -> SourceRange | None:
        """Source range of the value at a path, else of its nearest ancestor."""
        for length in range(len(path), -1, -1):
            if (found := self.values.get(path[:length])) is not None:
                return found
        return None

    def key(self, path: Path) -> SourceRange | None:
        """Source range of the key of a path; of the value if it has none."""
        return self.keys.get(path) or self.value(path)


@dataclass(frozen=True, slots=True)
class SourceLocator:
    """Lookup of the source range of a dotted path below `spec`."""

    marks: SourceMap

    def __call__(self, path: str) -> SourceRange | None:
        if not path:
            return self.marks.value(("metadata", "name"))
        parts: Path = tuple(int(p) if p.isdecimal() else p for p in path.split("."))
        return self.marks.value(("spec", *parts))
