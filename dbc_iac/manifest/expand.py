"""From a YAML document to resources: one, or one for each instance of its `forEach`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related, Severity, SourceRange
from dbc_iac.manifest.header import FIELDS, NAME, checked_name, parked
from dbc_iac.manifest.source_map import Path, SourceLocator, SourceMap
from dbc_iac.manifest.templates import Templates
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.yaml import YamlDocument

TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MOST_INSTANCES = 10_000


@dataclass(frozen=True, slots=True)
class ParsedResource:
    """One checked document, or one instance of a `forEach`."""

    address: str
    kind: str
    name: str
    spec: BaseModel
    labels: Mapping[str, str]
    where: Callable[[str], SourceRange | None]


class Expander:
    """Turns YAML documents into resources. Problems are collected."""

    def __init__(self, models: Mapping[str, type[BaseModel]], context: Mapping[str, Any], found: Diagnostics) -> None:
        self._models = models
        self._templates = Templates(context)
        self._found = found
        self._places: dict[str, SourceRange | None] = {}
        self.broken: set[str] = set()
        """Addresses, also of all instances of a `forEach`, that documents with problems would have had."""
        self.whole = True
        """Whether every document could be told at least by its address."""

    def read(self, document: YamlDocument) -> Iterator[ParsedResource]:
        """The resources of one document: one, or one per key of its `forEach`."""
        marks = document.marks
        value = parked(document.value)
        if not isinstance(value, dict):
            self._problem(
                "not-a-document", "a document is a mapping with apiVersion, kind, metadata and spec", marks, ()
            )
            self.whole = False
            return
        name = checked_name(value, marks, self._models, (*FIELDS, "forEach"), self._found)
        if name is None:
            self._unsound(value)
            return
        kind = value["kind"]
        before = len(self._found.errors)
        metadata = parked(value["metadata"])
        for key, each in self._instances(value, marks):
            instance = name if key is None else f"{name}.{key}"
            yield from self._resource(kind, instance, metadata, value, marks, each)
        if len(self._found.errors) > before:
            self.broken.add(f"{kind}/{name}")

    def _unsound(self, value: dict[str, Any]) -> None:
        """A document that cannot be read: what it may have been called is not missed elsewhere."""
        metadata, kind = value.get("metadata"), value.get("kind")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str):
            self.whole = False
            return
        known = isinstance(kind, str) and kind in self._models
        self.broken |= {f"{k}/{name}" for k in ([kind] if known else self._models)}

    def _labels(self, written: Any, names: Mapping[str, Any], marks: SourceMap) -> dict[str, str]:
        path = ("metadata", "labels")
        labels = {} if written is None else self._templates.render(written, marks, self._found, path, names)
        if not isinstance(labels, dict):
            self._problem("invalid-value", "labels are a mapping of text to text", marks, ("metadata", "labels"))
            return {}
        for key, value in labels.items():
            if not TOKEN.fullmatch(str(key)) or not isinstance(value, str) or not TOKEN.fullmatch(value):
                self._problem(
                    "invalid-value",
                    f"label {key}: letters, digits, _ . and - only, at most 64, as text",
                    marks,
                    ("metadata", "labels", key),
                )
        return labels

    def _instances(self, value: dict[str, Any], marks: SourceMap) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
        if "forEach" not in value:
            yield None, None
            return
        before = len(self._found.errors)
        each = self._templates.render(value["forEach"], marks, self._found, ("forEach",))
        if len(self._found.errors) > before:
            return
        items = self._keyed(each, marks) if isinstance(each, list) else each
        if not isinstance(items, dict):
            self._problem("for-each", "forEach takes a mapping, or a list of keys", marks, ("forEach",))
            return
        if len(items) > MOST_INSTANCES:
            self._problem("for-each", f"forEach has more than {MOST_INSTANCES} keys", marks, ("forEach",))
            return
        for index, (key, item) in enumerate(items.items()):
            if not NAME.fullmatch(key):
                summary = f"the key {key} is not lower-case letters, digits and -, at most 42"
                self._problem("for-each", summary, marks, ("forEach", index if isinstance(each, list) else key))
                continue
            yield key, {"key": key, "value": item}

    def _keyed(self, each: list[Any], marks: SourceMap) -> dict[str, Any]:
        """A list of keys by the names that they give. Numbers may be keys; what is no text is no name."""
        items: dict[str, Any] = {}
        for index, key in enumerate(each):
            if isinstance(key, bool) or not isinstance(key, str | int):
                self._problem("for-each", "a key of forEach is text, such as worker-1", marks, ("forEach", index))
            elif str(key) in items:
                self._problem("for-each", f"forEach has the key {key} twice", marks, ("forEach", index))
            else:
                items[str(key)] = key
        return items

    def _resource(
        self,
        kind: str,
        name: str,
        metadata: dict[str, Any],
        value: dict[str, Any],
        marks: SourceMap,
        each: dict[str, Any] | None,
    ) -> Iterator[ParsedResource]:
        address = f"{kind}/{name}"
        names = {} if each is None else {"each": each}
        before = len(self._found.errors)
        spec = parked(self._templates.render(value["spec"], marks, self._found, ("spec",), names))
        labels = self._labels(metadata.get("labels"), names, marks)
        place = marks.value(("metadata", "name"))
        if address in self._places:
            first = self._places[address]
            related = (Related("the first one is here", first),) if first else ()
            self._found.add(
                Diagnostic(
                    "duplicate-document",
                    Severity.ERROR,
                    f"{address} stands here twice",
                    remedy="Rename one.",
                    source=place,
                    related=related,
                    address=address,
                )
            )
            return
        self._places[address] = place
        if len(self._found.errors) > before:
            return
        parsed = parse(self._models[kind], spec, marks, ("spec",), self._found, address)
        if parsed is not None:
            yield ParsedResource(address, kind, name, parsed, labels, SourceLocator(marks))

    def _problem(self, code: str, summary: str, marks: SourceMap, path: Path) -> None:
        # Of a wrong name of a mapping the name is what is to be seen, not what it stands for.
        place = (
            marks.key(path) if code == "for-each" and len(path) > 1 and isinstance(path[-1], str) else marks.value(path)
        )
        self._found.add(Diagnostic(code, Severity.ERROR, summary, remedy=_REMEDIES[code], source=place))


_REMEDIES = {
    "not-a-document": "Write these four, as in the examples. Several documents stand one after another, --- between.",
    "invalid-value": "Write labels like this: {team: vision}.",
    "for-each": "Write `forEach: {one: 1, two: 2}`, or `forEach: [one, two]`.",
}
