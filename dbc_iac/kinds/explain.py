"""Documentation of kinds and fields, from their models."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.kinds import MODELS, kind_of
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.manifest.project import ProjectSpec


class FieldDoc(Struct, frozen=True):
    """A field: its dotted path below `spec`, its type, its rule of change where it has one, and its description."""

    path: str
    type: str
    required: bool
    rule: str
    description: str
    default: Any = None


class Explanation(Struct, frozen=True):
    """A kind, or a field of it with its own fields."""

    kind: str
    path: str
    description: str
    fields: tuple[FieldDoc, ...]


def explain(typed: str) -> Explanation:
    """The documentation of `KIND` or `KIND.field.field`. Raises DiagnosticError for an unknown one."""
    name, *path = typed.split(".")
    models: dict[str, type[BaseModel]] = {"Project": ProjectSpec, **MODELS}
    by_lower = {n.lower(): n for n in models}
    kind = by_lower.get(name.lower()) or by_lower.get(name.lower().removesuffix("s"))
    if kind is None:
        raise _unknown("kind", name, models)
    model = models[kind]
    schema = model.model_json_schema(by_alias=True)
    rules = {f.path: f.rule.behaviour.value for f in kind_of(kind).fields} if kind in MODELS else {}
    here, found = schema, None
    walked: list[str] = [p for p in path if p != "spec"]
    for number, part in enumerate(walked):
        inside = _properties(here, schema)
        if part not in inside:
            above = ".".join((kind, *walked[:number]))
            raise _unknown("field", f"{above}.{part}", [f"{above}.{n}" for n in inside], part, above)
        found = _field(here, part, ".".join(walked[: number + 1]), schema, rules)
        here = inside[part]
    prefix = ".".join(walked)
    shared = {to_camel(name) for name in Spec.model_fields} if not walked else set()
    names = sorted(_properties(here, schema), key=shared.__contains__)  # the fields of every kind last
    below = tuple(_field(here, name, f"{prefix}.{name}".lstrip("."), schema, rules) for name in names)
    if found is None:
        return Explanation(kind, "", (model.__doc__ or "").strip(), below)
    return Explanation(kind, prefix, found.description, below or (found,))


def _field(
    parent: Mapping[str, Any], name: str, path: str, schema: Mapping[str, Any], rules: Mapping[str, str]
) -> FieldDoc:
    written = _properties(parent, schema)[name]
    described = written.get("description") or _resolved(written, schema).get("description", "")
    required = name in _model(parent, schema).get("required", ())
    return FieldDoc(path, _type(written, schema), required, rules.get(path, ""), described, written.get("default"))


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the schema without references, and without the alternative null."""
    while True:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        elif options := [o for o in part.get("anyOf", ()) if o.get("type") != "null"]:
            if len(options) != 1:
                return part
            part = options[0]
        else:
            return part


def _model(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the fields of a part; for a list or a mapping, that of its elements."""
    part = _resolved(part, schema)
    named = part.get("patternProperties") or {}
    inner = part.get("items") or part.get("additionalProperties") or next(iter(named.values()), None)
    return _model(inner, schema) if isinstance(inner, Mapping) and "properties" not in part else part


def _properties(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = _model(part, schema).get("properties", {})
    return properties


_TYPES = {"string": "text", "object": "mapping", "array": "list", "integer": "number", "number": "number"}


def _type(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    part = _resolved(part, schema)
    if "enum" in part:
        return "|".join(map(str, part["enum"]))
    if "const" in part:
        return str(part["const"])
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_type(o, schema) for o in part["anyOf"] if o.get("type") != "null"))
    if isinstance(items := part.get("items"), Mapping):
        return f"list of {_type(items, schema)}"
    name = str(part.get("type", "any"))
    return _TYPES.get(name, name)


def _unknown(what: str, name: str, known: Collection[str], part: str = "", above: str = "") -> DiagnosticError:
    """The problem of an unknown name. `above`: what it would be a field of."""
    last = {k.rpartition(".")[2]: k for k in known}
    close = difflib.get_close_matches(part or name, last, 1)
    remedy = f"Did you mean {last[close[0]]}?" if close else f"Use one of: {', '.join(sorted(known))}."
    if not known:
        remedy = f"Use {above}, which has no fields."
    return failure(f"unknown-{what}", f"unknown {what} {name[:50]}", remedy=remedy)
