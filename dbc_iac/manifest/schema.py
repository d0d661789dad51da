"""JSON Schemas of the manifest language, generated from the models. Any scalar may also be a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from dbc_iac.manifest.header import API_VERSION, NAME
from dbc_iac.manifest.project import ProjectSpec
from dbc_iac.manifest.secrets import SecretRef

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE = {"type": "string", "pattern": r"\{\{|\{%"}


def schemas(models: Mapping[str, type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """Schemas by file name: `manifest.schema.json` for manifests, `project.schema.json` for the project file."""
    definitions: dict[str, Any] = {}
    for kind, model in sorted(models.items()):
        schema = _with_anchors(model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{kind}.{{model}}"))
        for name, inner in schema.pop("$defs", {}).items():
            definitions[f"{kind}.{name}"] = _templated(inner)
        definitions[kind] = _templated(schema)
    kinds = [_document(kind, {"$ref": f"#/$defs/{kind}"}) for kind in sorted(models)]
    return {
        "manifest.schema.json": {
            "$schema": DIALECT,
            "title": "A dbc-iac document",
            "oneOf": kinds,
            "$defs": definitions,
        },
        "project.schema.json": document_schema("A dbc-iac project file", "Project", ProjectSpec),
    }


def document_schema(title: str, kind: str, model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a document without templates, whose spec is `model`."""
    spec = _with_anchors(model.model_json_schema(by_alias=True))
    definitions = spec.pop("$defs", {})
    return {"$schema": DIALECT, "title": title, **_document(kind, spec), "$defs": definitions}


def _document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "patternProperties": {"^x-": True},
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "patternProperties": {"^x-": True},
                "properties": {
                    "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "forEach": {"type": ["object", "array", "string"]},
            "spec": spec,
        },
    }


def _with_anchors(schema: Any) -> Any:
    """Allow `x-` keys in every mapping of fields, as the loader does; not in secret references."""
    if isinstance(schema, list):
        return [_with_anchors(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    result = {k: _with_anchors(v) for k, v in schema.items()}
    if schema.get("type") == "object" and schema.get("title") != SecretRef.__name__:
        if "patternProperties" in schema:  # keys are names chosen by the user
            result["additionalProperties"] = False
        elif schema.get("additionalProperties") is False:
            result["patternProperties"] = {"^x-": True}
    return result


def _templated(schema: Any) -> Any:
    """Allow a template in place of any scalar."""
    if isinstance(schema, list):
        return [_templated(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        k: _templated(v) if k in {"properties", "items", "anyOf", "additionalProperties"} else v
        for k, v in schema.items()
    }
    if "properties" in schema:
        result["properties"] = {k: _scalar_or_template(v) for k, v in schema["properties"].items()}
    if "items" in schema:
        result["items"] = _scalar_or_template(schema["items"])
    return result


def _scalar_or_template(schema: Any) -> Any:
    inner = _templated(schema)
    if not isinstance(inner, dict) or inner.get("type") in {"object"} or "$ref" in inner:
        return inner
    described = {k: inner.pop(k) for k in ("title", "description", "default") if k in inner}
    return {**described, "anyOf": [*inner.pop("anyOf", [inner]), TEMPLATE]}
