"""Header of every document, the project's included: apiVersion, kind, metadata, spec. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity
from dbc_iac.manifest.source_map import Path, SourceMap

API_VERSION = "dbc-iac/v1"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,41}")
NAME_EXPECTED = "expected 1-42 lower-case letters, digits or -"
FIELDS = ("apiVersion", "kind", "metadata", "spec")
_METADATA = ("name", "labels")
_IN_SPEC = ("dependsOn", "lifecycle", "timeouts", "external")
_OTHER_TOOLS = {
    "namespace": "Remove it; `--stack NAME` separates copies of a project.",
    "annotations": "Use labels, or a comment.",
}
"""Remedies of keys of `metadata` that Kubernetes has."""


def close_name(text: str) -> str:
    """The valid name closest to a text; empty if it has no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:42].strip("-")


def without_anchors(value: Any) -> Any:
    """A mapping without its `x-` keys, which only carry YAML anchors. Other values are returned unchanged."""
    return {k: v for k, v in value.items() if not k.startswith("x-")} if isinstance(value, dict) else value


def check_header(
    value: dict[str, Any], marks: SourceMap, kinds: Iterable[str], fields: tuple[str, ...], found: Diagnostics
) -> str | None:
    """Validate the header of a document: its `metadata.name`, or None if there are problems, which are collected."""
    header = _Header(marks, found)
    before = found.error_count
    loose = _loose(value, fields)
    header.unknown_keys({k: v for k, v in value.items() if k not in loose}, fields, ())
    header.version(value.get("apiVersion"))
    header.kind(value.get("kind"), sorted(kinds))
    metadata = without_anchors(value.get("metadata"))
    name = header.name(metadata)
    if not isinstance(value.get("spec"), dict):
        rest = " and the other fields" if len(loose) > 1 else ""
        remedy = f"Add `spec:`, and move {loose[0]}{rest} below it." if loose else "Add `spec:`."
        header.problem("missing-field", "spec is required", ("spec",), remedy)
    return name if found.error_count == before else None


def _loose(value: dict[str, Any], fields: tuple[str, ...]) -> list[str]:
    """Keys of a document without `spec` that belong below it: their one cause is reported with `spec`."""
    if "spec" in value:
        return []
    return [key for key in value if key not in fields and not difflib.get_close_matches(key, fields, 1)]


def _wrong(field: str, problem: str, value: Any) -> str:
    """Summary of a missing or wrong value of a text field."""
    if value is None:
        return f"{field} is required"
    return f"{field}: expected text" if isinstance(value, dict | list) else f"{problem} {value}"


class _Header:
    def __init__(self, marks: SourceMap, found: Diagnostics) -> None:
        self._marks = marks
        self._found = found

    def version(self, version: Any) -> None:
        if version != API_VERSION:
            self.problem(
                "api-version",
                _wrong("apiVersion", "unsupported apiVersion", version),
                ("apiVersion",),
                f"Write `apiVersion: {API_VERSION}`.",
            )

    def kind(self, kind: Any, known: list[str]) -> None:
        if not isinstance(kind, str) or kind not in known:
            close = difflib.get_close_matches(str(kind), known, 1)
            remedy = f"Did you mean {close[0]}?" if close else f"Use one of: {', '.join(known)}."
            self.problem("unknown-kind", _wrong("kind", "unknown kind", kind), ("kind",), remedy)

    def name(self, metadata: Any) -> str | None:
        if not isinstance(metadata, dict):
            summary = "metadata is required" if metadata is None else "metadata: expected a mapping"
            meant = (close_name(metadata) if isinstance(metadata, str) else "") or "..."
            self.problem("missing-field", summary, ("metadata",), f"Write `metadata: {{name: {meant}}}`.")
            return None
        self.unknown_keys(metadata, _METADATA, ("metadata",))
        name = metadata.get("name")
        if isinstance(name, str) and NAME.fullmatch(name):
            return name
        close = close_name(str(name))
        remedy = "Add `name:`." if name is None or not close else f"Write {close}."
        self.problem("invalid-name", f"metadata.name: {NAME_EXPECTED}", ("metadata", "name"), remedy)
        return None

    def unknown_keys(self, value: dict[str, Any], known: tuple[str, ...], at: Path) -> None:
        for key in value:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                remedy = f"Did you mean {close[0]}?" if close else f"Use one of: {', '.join(known)}."
                if not at and key in _IN_SPEC:
                    remedy = f"Move {key} below `spec:`."
                if at and key in _OTHER_TOOLS:
                    remedy = _OTHER_TOOLS[key]
                self.problem("unknown-field", f"unknown field {key}", (*at, key), remedy, at_key=True)

    def problem(self, code: str, summary: str, path: Path, remedy: str, *, at_key: bool = False) -> None:
        source = self._marks.key(path) if at_key else self._marks.value(path)
        self._found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=source))
