"""Checks against the contract in `specs/openapi/`: operation of a request, and problems of requests and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).parents[2] / "specs" / "openapi" / "dbc.yaml"
_URI = "urn:dbc"
_ROUTER = {200: "Version", 400: "BadRequest", 404: "NotFound", 500: "Unanswered", 501: "NotImplemented"}
"""Answers of the router: before an operation is known, or for a method that it does not support."""


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return loaded


@dataclass(frozen=True, slots=True)
class Operation:
    """`pointer`: JSON pointer into the contract."""

    path: str
    id: str
    pointer: str
    value: Mapping[str, Any]

    @property
    def is_public(self) -> bool:
        return bool(self.value["x-dbc-public"])


@cache
def operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(path, value["operationId"], f"#/paths/{_escaped(path)}/{method}", value)
        for path, methods in document()["paths"].items()
        for method, value in methods.items()
    )


def find(method: str, uri: str) -> Operation | None:
    """Operation of a request line; a literal path precedes one with parameters."""
    if not uri.startswith("/api/v1/"):
        return None
    path = "/" if uri == "/api/v1/" else uri.removeprefix("/api/v1").partition("?")[0].removesuffix("/")
    for operation in sorted(operations(), key=lambda one: one.path.count("{")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path))
        if operation.pointer.endswith(f"/{method.lower()}") and re.fullmatch(pattern, path):
            return operation
    return None


def additional_keys(operation: Operation) -> tuple[str, ...]:
    """Keys of `additional` in a request's body."""
    schema = operation.value.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    additional = schema.get("properties", {}).get("additional", {})
    return tuple((_resolved(additional["$ref"]) if "$ref" in additional else additional).get("properties", {}))


def wrong_request(operation: Operation, body: str) -> list[str]:
    """Problems of a request's body."""
    if "requestBody" not in operation.value:
        return []
    pointer = f"{operation.pointer}/requestBody/content/application~1json/schema"
    return list(_errors(pointer, json.loads(body)))


def wrong_answer(operation: Operation | None, status: int, content_type: str, body: str) -> list[str]:
    """Problems of an answer; without an operation it must be one of the router's."""
    if operation is None:
        return _wrong_for_any(status, content_type, body)
    responses = operation.value["responses"]
    if str(status) not in responses:
        return [f"{operation.id} has no answer with status {status}"]
    pointer = f"{operation.pointer}/responses/{status}"
    if "$ref" in responses[str(status)]:
        pointer = responses[str(status)]["$ref"]
    return _wrong_content(pointer, content_type, body)


def _wrong_for_any(status: int, content_type: str, body: str) -> list[str]:
    if status not in _ROUTER:
        return [f"no router answers with status {status}"]
    return _wrong_content(f"#/components/responses/{_ROUTER[status]}", content_type, body)


def _wrong_content(pointer: str, content_type: str, body: str) -> list[str]:
    content = _resolved(pointer)["content"]
    if content_type not in content:
        return [f"{content_type} is not promised"]
    if content_type == "text/html":
        return []
    return list(_errors(f"{pointer}/content/application~1json/schema", json.loads(body)))


def _resolved(pointer: str) -> Mapping[str, Any]:
    value: Any = document()
    for part in pointer.removeprefix("#/").split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    found: Mapping[str, Any] = value
    return found


def _errors(pointer: str, value: Any) -> Iterator[str]:
    for error in _validator(pointer).iter_errors(value):
        yield f"{'.'.join(map(str, error.absolute_path)) or 'all of it'}: {error.message[:300]}"


@cache
def _validator(pointer: str) -> Draft202012Validator:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(_URI, resource)
    return Draft202012Validator({"$ref": f"{_URI}{pointer}"}, registry=registry)


def _escaped(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1")
