"""The envelope of every document, the project's too: apiVersion, kind, metadata, spec. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity
from dbc_iac.manifest.source_map import Path, SourceMap

API_VERSION = "dbc-iac/v1"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
FIELDS = ("apiVersion", "kind", "metadata", "spec")
_METADATA = ("name", "labels")
_IN_SPEC = ("dependsOn", "lifecycle", "timeouts", "external")


def parked(value: Any) -> Any:
    """A mapping without its `x-` keys, which are a place for anchors."""
    return {k: v for k, v in value.items() if not k.startswith("x-")} if isinstance(value, dict) else value


def checked_name(
    value: dict[str, Any], marks: SourceMap, kinds: Iterable[str], fields: tuple[str, ...], found: Diagnostics
) -> str | None:
    """The `metadata.name` of a document whose envelope is as it should be; None where there are problems."""
    envelope = _Envelope(marks, found)
    before = len(found.errors)
    envelope.unknown_keys(value, fields, ())
    envelope.version(value.get("apiVersion"))
    envelope.kind(value.get("kind"), sorted(kinds))
    metadata = parked(value.get("metadata"))
    name = envelope.name(metadata)
    if not isinstance(value.get("spec"), dict):
        envelope.problem("missing-field", "spec is required, a mapping", ("spec",), "Add `spec:`.")
    return name if len(found.errors) == before else None


class _Envelope:
    def __init__(self, marks: SourceMap, found: Diagnostics) -> None:
        self._marks = marks
        self._found = found

    def version(self, version: Any) -> None:
        if version != API_VERSION:
            said = "is missing" if version is None else f"is {version}"
            self.problem("api-version", f"apiVersion {said}", ("apiVersion",), f"Write `apiVersion: {API_VERSION}`.")

    def kind(self, kind: Any, known: list[str]) -> None:
        if not isinstance(kind, str) or kind not in known:
            close = difflib.get_close_matches(str(kind), known, 1)
            remedy = f"Did you mean {close[0]}?" if close else f"Kinds: {', '.join(known)}."
            said = "kind is missing" if kind is None else f"there is no kind {kind}"
            self.problem("unknown-kind", said, ("kind",), remedy)

    def name(self, metadata: Any) -> str | None:
        if not isinstance(metadata, dict):
            self.problem("missing-field", "metadata is required", ("metadata",), "Add `metadata: {name: ...}`.")
            return None
        self.unknown_keys(metadata, _METADATA, ("metadata",))
        name = metadata.get("name")
        if isinstance(name, str) and NAME.fullmatch(name):
            return name
        summary = "metadata.name must be lower-case letters, digits and -, at most 42"
        close = re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")[:42].strip("-")
        remedy = "Name it." if name is None or not close else f"Write {close}."
        self.problem("invalid-name", summary, ("metadata", "name"), remedy)
        return None

    def unknown_keys(self, value: dict[str, Any], known: tuple[str, ...], at: Path) -> None:
        for key in value:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                remedy = f"Did you mean {close[0]}?" if close else f"Known fields: {', '.join(known)}."
                if not at and key in _IN_SPEC:
                    remedy = f"Write {key} below `spec:`."
                self.problem("unknown-field", f"there is no field {key}", (*at, key), remedy, at_key=True)

    def problem(self, code: str, summary: str, path: Path, remedy: str, *, at_key: bool = False) -> None:
        source = self._marks.key(path) if at_key else self._marks.value(path)
        self._found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=source))
