"""Expansion of a YAML document into resources: one, or one for each key of its `forEach`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import BaseModel

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related, Severity, SourceRange
from dbc_iac.manifest.header import FIELDS, NAME, check_header, without_anchors
from dbc_iac.manifest.origins import Origins, Variables
from dbc_iac.manifest.source_map import Path, SourceLocator, SourceMap
from dbc_iac.manifest.templates import Templates
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.yaml import YamlDocument

TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_INSTANCES = 10_000


class ParsedResource(Struct, frozen=True):
    """A validated resource: a document, or one instance of its `forEach`."""

    address: str
    kind: str
    name: str
    spec: BaseModel
    labels: Mapping[str, str]
    where: Callable[[str], SourceRange | None]


class Expander(Struct):
    """Expand YAML documents into resources. Problems are collected."""

    models: Mapping[str, type[BaseModel]]
    templates: Templates
    found: Diagnostics
    variables: Variables = Variables()
    defined: dict[str, SourceMap] = field(default_factory=dict)
    """The document of each address."""
    broken: set[str] = field(default_factory=set)
    """Addresses of invalid documents; for a `forEach`, the part that all instances share."""
    groups: set[str] = field(default_factory=set)
    """Addresses of documents with `forEach`, also of those without instances."""
    whole: bool = True
    """Whether the address of every document is known, the invalid ones included."""

    def read(self, document: YamlDocument) -> Iterator[ParsedResource]:
        """Resources of one document: one, or one per key of its `forEach`."""
        marks = document.marks
        value = without_anchors(document.value)
        if not isinstance(value, dict) or value.keys().isdisjoint(FIELDS):
            self._problem("not-a-document", "expected a mapping with apiVersion, kind, metadata and spec", marks, ())
            self.whole = False
            return
        name = check_header(value, marks, self.models, (*FIELDS, "forEach"), self.found)
        if name is None:
            self._record_invalid(value)
            return
        kind = value["kind"]
        before, begin = self.found.error_count, len(self.found)
        if self.variables.invalid and self._uses_invalid_variable(value.get("forEach")):
            self.broken.add(Address.of(kind, name))
            return
        metadata = without_anchors(value["metadata"])
        origins = Origins(value["spec"], marks, self.variables)
        count = 0
        if "forEach" in value:
            self.groups.add(Address.of(kind, name))
        instances = self._instances(value["forEach"], marks) if "forEach" in value else [(None, None, ())]
        for key, each, origins.each in instances:
            count += 1
            instance = name if key is None else f"{name}.{key}"
            yield from self._resource(kind, instance, metadata, value, origins, each)
        failed = self.found.error_count > before
        if failed:
            origins.report_at_templates(self.found, begin, count)
        if failed or (self.variables.invalid and self._uses_invalid_variable(value)):
            self.broken.add(Address.of(kind, name))

    def _uses_invalid_variable(self, value: Any) -> bool:
        if isinstance(value, dict | list):
            return any(map(self._uses_invalid_variable, value.values() if isinstance(value, dict) else value))
        return isinstance(value, str) and self.variables.hide(value)

    def _record_invalid(self, value: dict[str, Any]) -> None:
        """Record the addresses an invalid document may have, so that references to it are not reported as missing."""
        metadata, kind = value.get("metadata"), value.get("kind")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str):
            self.whole = False
            return
        known = isinstance(kind, str) and kind in self.models
        self.broken |= {f"{k}/{name}" for k in ([kind] if known else self.models)}

    def _labels(self, written: Any, names: Mapping[str, Any], marks: SourceMap) -> dict[str, str]:
        path = ("metadata", "labels")
        labels = self.templates.render(written, marks, self.found, path, names)
        if not isinstance(labels, dict):
            self._problem("invalid-value", "metadata.labels: expected a mapping of text to text", marks, path)
            return {}
        for key, value in labels.items():
            if not TOKEN.fullmatch(str(key)) or not isinstance(value, str) or not TOKEN.fullmatch(value):
                self._problem(
                    "invalid-value",
                    f"label {key}: expected 1-64 letters, digits, _, . or -, as text",
                    marks,
                    (*path, key),
                )
        return labels

    def _instances(self, written: Any, marks: SourceMap) -> Iterator[tuple[str | None, dict[str, Any] | None, Path]]:
        """Key, names and path in the document of each instance of a `forEach`."""
        before = self.found.error_count
        each = self.templates.render(written, marks, self.found, ("forEach",))
        if self.found.error_count > before:
            return
        items = self._keyed(each, marks) if isinstance(each, list) else each
        if not isinstance(items, dict):
            self._problem("for-each", "forEach: expected a mapping or a list of keys", marks, ("forEach",))
            return
        if len(items) > MAX_INSTANCES:
            self._problem(
                "for-each", f"forEach has {len(items)} keys; the limit is {MAX_INSTANCES}", marks, ("forEach",)
            )
            return
        for index, (key, item) in enumerate(items.items()):
            if not NAME.fullmatch(key):
                summary = f"forEach key {key}: expected 1-42 lower-case letters, digits or -"
                self._problem("for-each", summary, marks, ("forEach", index if isinstance(each, list) else key))
                continue
            place = ("forEach", index if isinstance(each, list) else key)
            yield key, {"key": key, "value": item}, place

    def _keyed(self, each: list[Any], marks: SourceMap) -> dict[str, Any]:
        """A list of keys as a mapping from instance name to key. Keys are text or whole numbers."""
        items: dict[str, Any] = {}
        for index, key in enumerate(each):
            if isinstance(key, bool) or not isinstance(key, str | int):
                self._problem("for-each", "forEach key: expected text, such as worker-1", marks, ("forEach", index))
            elif str(key) in items:
                self._problem("for-each", f"duplicate forEach key {key}", marks, ("forEach", index))
            else:
                items[str(key)] = key
        return items

    def _resource(
        self,
        kind: str,
        name: str,
        metadata: dict[str, Any],
        value: dict[str, Any],
        origins: Origins,
        each: dict[str, Any] | None,
    ) -> Iterator[ParsedResource]:
        marks, address = origins.marks, Address.of(kind, name)
        names = {} if each is None else {"each": each}
        before = self.found.error_count
        problems = Diagnostics()
        try:
            spec = without_anchors(self.templates.render(value["spec"], marks, problems, ("spec",), names))
        finally:
            self.found.extend(replace(d, address=address) for d in problems)
        written = metadata.get("labels")
        labels = {} if written is None else self._labels(written, names, marks)
        if address in self.defined:
            name_of = ("metadata", "name")
            first = self.defined[address].value(name_of)
            related = (Related("first defined here", first),) if first else ()
            self.found.add(
                Diagnostic(
                    "duplicate-document",
                    Severity.ERROR,
                    f"{address} is defined twice",
                    remedy="Rename or remove one of the two.",
                    source=marks.value(name_of),
                    related=related,
                    address=address,
                )
            )
            return
        self.defined[address] = marks
        if self.found.error_count > before:
            return
        parsed = parse(self.models[kind], spec, marks, ("spec",), self.found, address, origins.placed)
        if parsed is not None and not (self.variables.invalid and self._uses_invalid_variable(value)):
            yield ParsedResource(address, kind, name, parsed, labels, SourceLocator(marks))

    def _problem(self, code: str, summary: str, marks: SourceMap, path: Path) -> None:
        # An invalid key of a mapping is shown itself, not its value.
        place = (
            marks.key(path) if code == "for-each" and len(path) > 1 and isinstance(path[-1], str) else marks.value(path)
        )
        self.found.add(Diagnostic(code, Severity.ERROR, summary, remedy=_REMEDIES[code], source=place))


_REMEDIES = {
    "not-a-document": "Write these four fields; separate documents by a line with ---.",
    "invalid-value": "Write labels like {team: vision}.",
    "for-each": "Write `forEach: {one: 1, two: 2}`, or `forEach: [one, two]`.",
}
