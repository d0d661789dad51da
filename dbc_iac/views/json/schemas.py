"""JSON Schemas of plans and end reports, derived from their structs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from pydantic.alias_generators import to_camel

from dbc_iac.json import Json
from dbc_iac.plan.model import FORMAT_VERSION, Action, Plan
from dbc_iac.views.text.apply import FORMAT_VERSION as REPORT_VERSION

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def plan_schema() -> dict[str, Json]:
    """Schema of `plan --json`, of a plan file, and of `plan` in `apply --json`."""
    made = _Schemas()
    root = made.of_struct(Plan)
    properties = root["properties"]
    assert isinstance(properties, dict) and isinstance(root["required"], list)  # noqa: S101 - made right above
    properties["formatVersion"] = {"const": FORMAT_VERSION}
    properties["digest"] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "of all but diagnostics, of which it covers code and address of each error",
    }
    root["required"].append("digest")
    return {"$schema": DRAFT, "title": "Plan", **root, "$defs": made.definitions}


def report_schema() -> dict[str, Json]:
    """Schema of the end report: `report` of `apply --json`, and the last event of `--events`."""
    reasons: Json = {"type": "object", "additionalProperties": {"type": "string"}, "description": "reason by address"}
    actions: list[Json] = [a.value for a in Action if a not in {Action.NO_OP, Action.UNKNOWN}]
    addresses: dict[str, Json] = {"type": "array", "items": {"type": "string"}}
    properties: dict[str, Json] = {
        "formatVersion": {"const": REPORT_VERSION},
        "done": {"type": "object", "additionalProperties": {"enum": actions}, "description": "action by address"},
        "moved": {**addresses, "description": "each as `OLD to NEW`"},
        "failed": reasons,
        "notStarted": reasons,
        "waiting": reasons,
        "poweredOff": reasons,
        "unknown": addresses,
        "interrupted": {"type": "boolean"},
        "seconds": {"type": "number", "minimum": 0},
        "exitCode": {"type": "integer"},
    }
    return {
        "$schema": DRAFT,
        "title": "End report of an apply",
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


class _Schemas:
    """Schemas of types; structs and enums become definitions."""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}

    def of_struct(self, cls: type[Struct]) -> dict[str, Json]:
        hints = get_type_hints(cls, localns={"Json": Any})
        properties: dict[str, Json] = {to_camel(name): self.of(hints[name]) for name in cls.__struct_fields__}
        summary = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        return {
            "type": "object",
            "description": summary,
            "properties": properties,
            "required": [*properties],
            "additionalProperties": False,
        }

    def of(self, hint: Any) -> dict[str, Json]:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any:
            return {}
        if origin in {Union, UnionType}:
            return {"anyOf": [self.of(a) for a in arguments]}
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0])}
        if inspect.isclass(origin) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if hint in _PLAIN:
            return {"type": _PLAIN[hint]}
        return self._named(hint)

    def _named(self, cls: Any) -> dict[str, Json]:
        if cls.__name__ not in self.definitions:
            self.definitions[cls.__name__] = {}
            is_enum = issubclass(cls, Enum)
            self.definitions[cls.__name__] = {"enum": [m.value for m in cls]} if is_enum else self.of_struct(cls)
        return {"$ref": f"#/$defs/{cls.__name__}"}
