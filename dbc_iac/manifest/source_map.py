"""Source ranges of the values and keys of a YAML document, by path."""

from __future__ import annotations

from msgspec import Struct, field

from dbc_iac.diagnostics import SourceRange

Path = tuple[str | int, ...]
"""Keys and indexes from the root of a document."""


class SourceMap(Struct):
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


class SourceLocator(Struct, frozen=True):
    """Lookup of the source range of a dotted path below `spec`.

    A field that is absent is looked for at the key of the part that lacks it, and at the document's name if the spec
    lacks it: the range of a mapping begins with its first field, which is not the one in question.
    """

    marks: SourceMap

    def __call__(self, path: str) -> SourceRange | None:
        parts: Path = tuple(int(p) if p.isdecimal() else p for p in path.split(".") if p)
        if parts and (found := self.marks.values.get(("spec", *parts))) is not None:
            return found
        parents = (self.marks.keys.get(("spec", *parts[:length])) for length in range(len(parts) - 1, 0, -1))
        return next((place for place in parents if place), self.marks.value(("metadata", "name")))
