"""Header of every document, the project's included: apiVersion, kind, metadata, spec. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Any

from dbc_iac.diagnostics import Diagnostic, Diagnostics, Severity, failure
from dbc_iac.manifest.source_map import Path, SourceMap

API_VERSION = "dbc-iac/v1"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,41}")
DEFAULT_STACK = "main"
NAME_EXPECTED = "expected 1-42 lower-case letters, digits or -"
FIELDS = ("apiVersion", "kind", "metadata", "spec")
_METADATA = ("name", "labels")
_IN_SPEC = ("dependsOn", "lifecycle", "timeouts", "external")
_OTHER_TOOLS = {
    "namespace": "Remove it; `--stack NAME` separates copies of a project.",
    "annotations": "Use labels, or a comment.",
}
"""Remedies of keys of `metadata` that Kubernetes has."""


def check_stack_name(name: str) -> None:
    """Raise DiagnosticError for a name that a stack cannot have: it names files, and is in the marker of each VM."""
    if not STACK_NAME.fullmatch(name):
        summary = f"invalid stack name {name[:44]!r}"
        remedy = "Use --stack with at most 42 letters, digits, _ and -, beginning with a letter or digit."
        raise failure("stack-name", summary, remedy=remedy)


def close_name(text: str) -> str:
    """The valid name closest to a text; empty if it has no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:42].strip("-")


def without_anchors(value: Any) -> Any:
    """A mapping without its `x-` keys, which only carry YAML anchors. Other values are returned unchanged."""
    return {k: v for k, v in value.items() if not k.startswith("x-")} if isinstance(value, dict) else value


def check_header(
    value: dict[str, Any], marks: SourceMap, kinds: Collection[str], fields: tuple[str, ...], found: Diagnostics
) -> str | None:
    """Validate the header of a document: its `metadata.name`, or None if there are problems, which are collected."""
    before = found.error_count

    def report(code: str, summary: str, path: Path, remedy: str) -> None:
        found.add(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, source=marks.value(path)))

    def report_unknown(key: str, known: tuple[str, ...], at: Path, elsewhere: str | None) -> None:
        remedy, source = elsewhere or _likely(key, known), marks.key((*at, key))
        found.add(Diagnostic("unknown-field", Severity.ERROR, f"unknown field {key}", remedy=remedy, source=source))

    # Keys of a document without `spec` that belong below it: their one cause is reported with `spec`.
    unknown = [key for key in value if key not in fields]
    loose = [k for k in unknown if not difflib.get_close_matches(k, fields, 1)] if "spec" not in value else []
    for key in unknown:
        if key not in loose:
            report_unknown(key, fields, (), f"Move {key} below `spec:`." if key in _IN_SPEC else None)
    if (version := value.get("apiVersion")) != API_VERSION:
        summary = _wrong("apiVersion", "unsupported apiVersion", version)
        report("api-version", summary, ("apiVersion",), f"Write `apiVersion: {API_VERSION}`.")
    if not isinstance(kind := value.get("kind"), str) or kind not in kinds:
        report("unknown-kind", _wrong("kind", "unknown kind", kind), ("kind",), _likely(str(kind), sorted(kinds)))
    metadata, name = without_anchors(value.get("metadata")), None
    if not isinstance(metadata, dict):
        summary = "metadata is required" if metadata is None else "metadata: expected a mapping"
        meant = (close_name(metadata) if isinstance(metadata, str) else "") or "..."
        report("missing-field", summary, ("metadata",), f"Write `metadata: {{name: {meant}}}`.")
    else:
        for key in metadata:
            if key not in _METADATA:
                report_unknown(key, _METADATA, ("metadata",), _OTHER_TOOLS.get(key))
        name = metadata.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            close = close_name(str(name))
            remedy = "Add `name:`." if name is None or not close else f"Write {close}."
            report("invalid-name", f"metadata.name: {NAME_EXPECTED}", ("metadata", "name"), remedy)
    if not isinstance(value.get("spec"), dict):
        rest = " and the other fields" if len(loose) > 1 else ""
        remedy = f"Add `spec:`, and move {loose[0]}{rest} below it." if loose else "Add `spec:`."
        report("missing-field", "spec is required", ("spec",), remedy)
    return name if found.error_count == before else None


def _likely(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"Did you mean {close[0]}?" if close else f"Use one of: {', '.join(known)}."


def _wrong(field: str, problem: str, value: Any) -> str:
    """Summary of a missing or wrong value of a text field."""
    if value is None:
        return f"{field} is required"
    return f"{field}: expected text" if isinstance(value, dict | list) else f"{problem} {value}"
