"""JSON Schemas of what machines read: a plan, the end of an apply. Made from the dataclasses themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from dbc_iac.json import Json
from dbc_iac.plan.model import FORMAT_VERSION, Plan

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def plan_schema() -> dict[str, Json]:
    """Of `plan --json`, of a plan file, and of what `apply --json` tells of its plan."""
    made = _Schemas()
    root = made.of_dataclass(Plan)
    properties = root["properties"]
    assert isinstance(properties, dict) and isinstance(root["required"], list)  # noqa: S101 - made right above
    properties["formatVersion"] = {"const": FORMAT_VERSION}
    properties["digest"] = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "over all but diagnostics"}
    root["required"].append("digest")
    return {"$schema": DRAFT, "title": "A plan of dbc-iac", **root, "$defs": made.definitions}


def report_schema() -> dict[str, Json]:
    """Of the end of an apply: `report` of `apply --json`, and the last event of `--events`."""
    reasons: Json = {"type": "object", "additionalProperties": {"type": "string"}, "description": "address -> why"}
    addresses: Json = {"type": "array", "items": {"type": "string"}}
    properties: dict[str, Json] = {
        "done": addresses,
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
        "title": "The end of an apply of dbc-iac",
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


class _Schemas:
    """Schemas of types; those of dataclasses and enums are definitions."""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}

    def of_dataclass(self, cls: type) -> dict[str, Json]:
        hints = get_type_hints(cls, localns={"Json": Any})
        properties: dict[str, Json] = {_camel(f.name): self.of(hints[f.name]) for f in fields(cls)}
        told = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        return {
            "type": "object",
            "description": told,
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

    def _named(self, cls: type) -> dict[str, Json]:
        if cls.__name__ not in self.definitions:
            self.definitions[cls.__name__] = {}
            self.definitions[cls.__name__] = (
                self.of_dataclass(cls) if is_dataclass(cls) else {"enum": [m.value for m in cls if isinstance(m, Enum)]}  # type: ignore[attr-defined]
            )
        return {"$ref": f"#/$defs/{cls.__name__}"}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)
