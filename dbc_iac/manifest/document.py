"""The envelope of a document: apiVersion, kind, metadata, spec, forEach; and its instances. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related, Severity, SourceRange
from dbc_iac.manifest.marks import Marks, Path
from dbc_iac.manifest.template import render
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.yaml import YamlDocument

API_VERSION = "dbc-iac/v1"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "forEach")
_METADATA = ("name", "labels")
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


def parked(value: Any) -> Any:
    """A mapping without its `x-` keys, which are a place for anchors."""
    return {k: v for k, v in value.items() if not k.startswith("x-")} if isinstance(value, dict) else value


class Reader:
    """Turns YAML documents into resources. Problems are collected."""

    def __init__(self, models: Mapping[str, type[BaseModel]], context: Mapping[str, Any], found: Diagnostics) -> None:
        self._models = models
        self._context = context
        self._found = found
        self._places: dict[str, SourceRange | None] = {}

    def read(self, document: YamlDocument) -> Iterator[ParsedResource]:
        """The resources of one document: one, or one per key of its `forEach`."""
        marks = document.marks
        value = parked(document.value)
        if not isinstance(value, dict):
            self._problem(
                "not-a-document", "a document is a mapping with apiVersion, kind, metadata and spec", marks, ()
            )
            return
        if not self._envelope(value, marks):
            return
        kind = value["kind"]
        metadata = parked(value["metadata"])
        name = metadata.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self._problem(
                "invalid-name",
                "metadata.name must be lower-case letters, digits and -, at most 42",
                marks,
                ("metadata", "name"),
            )
            return
        for key, each in self._instances(value, marks):
            instance = name if key is None else f"{name}.{key}"
            yield from self._resource(kind, instance, metadata, value, marks, each)

    def _envelope(self, value: dict[str, Any], marks: Marks) -> bool:
        before = len(self._found.errors)
        self._unknown_keys(value, _ENVELOPE, marks, ())
        version = value.get("apiVersion")
        if version != API_VERSION:
            said = "is missing" if version is None else f"is {version}"
            self._problem(
                "api-version", f"apiVersion {said}", marks, ("apiVersion",), f"Write `apiVersion: {API_VERSION}`."
            )
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in self._models:
            close = difflib.get_close_matches(str(kind), self._models, 1)
            remedy = f"Did you mean {close[0]}?" if close else f"Kinds: {', '.join(sorted(self._models))}."
            said = "kind is missing" if kind is None else f"there is no kind {kind}"
            self._problem("unknown-kind", said, marks, ("kind",), remedy)
        metadata = value.get("metadata")
        if not isinstance(metadata, dict):
            self._problem("missing-field", "metadata is required", marks, ("metadata",), "Add `metadata: {name: ...}`.")
        else:
            self._unknown_keys(parked(metadata), _METADATA, marks, ("metadata",))
        if not isinstance(value.get("spec"), dict):
            self._problem("missing-field", "spec is required, a mapping", marks, ("spec",), "Add `spec:`.")
        return len(self._found.errors) == before

    def _labels(self, written: Any, context: Mapping[str, Any], marks: Marks) -> dict[str, str]:
        labels = {} if written is None else render(written, context, marks, self._found, ("metadata", "labels"))
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

    def _unknown_keys(self, value: dict[str, Any], known: tuple[str, ...], marks: Marks, at: Path) -> None:
        for key in value:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                remedy = f"Did you mean {close[0]}?" if close else f"Known fields: {', '.join(known)}."
                self._problem("unknown-field", f"there is no field {key}", marks, (*at, key), remedy, at_key=True)

    def _instances(self, value: dict[str, Any], marks: Marks) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
        if "forEach" not in value:
            yield None, None
            return
        each = render(value["forEach"], self._context, marks, self._found, ("forEach",))
        items = {str(k): k for k in each} if isinstance(each, list) else each
        if not isinstance(items, dict):
            self._problem("for-each", "forEach takes a mapping, or a list of keys", marks, ("forEach",))
            return
        if len(items) > MOST_INSTANCES:
            self._problem("for-each", f"forEach has more than {MOST_INSTANCES} keys", marks, ("forEach",))
            return
        if isinstance(each, list) and len(items) != len(each):
            self._problem("for-each", "forEach has a key twice", marks, ("forEach",))
        for key, item in items.items():
            if not NAME.fullmatch(key):
                self._problem(
                    "for-each",
                    f"the key {key} is not lower-case letters, digits and -, at most 42",
                    marks,
                    ("forEach", key),
                )
                continue
            yield key, {"key": key, "value": item}

    def _resource(
        self,
        kind: str,
        name: str,
        metadata: dict[str, Any],
        value: dict[str, Any],
        marks: Marks,
        each: dict[str, Any] | None,
    ) -> Iterator[ParsedResource]:
        address = f"{kind}/{name}"
        context = self._context if each is None else {**self._context, "each": each}
        before = len(self._found.errors)
        spec = parked(render(value["spec"], context, marks, self._found, ("spec",)))
        labels = self._labels(metadata.get("labels"), context, marks)
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
            yield ParsedResource(address, kind, name, parsed, labels, _Where(marks))

    def _problem(
        self, code: str, summary: str, marks: Marks, path: Path, remedy: str = "", *, at_key: bool = False
    ) -> None:
        source = marks.key(path) if at_key else marks.value(path)
        self._found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=source))


@dataclass(frozen=True, slots=True)
class _Where:
    """The source range of a dotted path in a spec."""

    marks: Marks

    def __call__(self, path: str) -> SourceRange | None:
        if not path:
            return self.marks.value(("metadata", "name"))
        parts: Path = tuple(int(p) if p.isdecimal() else p for p in path.split("."))
        return self.marks.value(("spec", *parts))
