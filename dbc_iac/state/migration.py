"""Migration of states and journals of format 1 to the current one. Pure.

Format 1 kept the recovery state of a VM as a value of its applied `power`. Raises TypeError or AttributeError for
values of another shape, which are no states or records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbc_iac.state.document import FORMAT_VERSION

_POWERED_OFF = "off (for a while)"
"""Format 1: the applied `power` of a VM that an apply powered off to change it and has not started again."""


def migrated_state(value: Mapping[str, Any]) -> dict[str, Any]:
    """A state document in the current format."""
    if value.get("formatVersion") != 1:
        return dict(value)
    bindings, pending = value.get("bindings", {}), value.get("pending", ())
    return {
        **value,
        "formatVersion": FORMAT_VERSION,
        "bindings": {address: _binding(binding) for address, binding in bindings.items()},
        "pending": [_operation(operation) for operation in pending],
    }


def migrated_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A journal record of format 1 in the current format."""
    match record.get("type"):
        case "begin":
            return {**record, "formatVersion": FORMAT_VERSION}
        case "intent":
            rest = {key: value for key, value in record.items() if key != "intent"}
            return {**rest, "operation": _operation(record.get("intent", {}))}
        case "bind":
            renamed = _renamed(record, {"leftBehind": "deposed"})
            return {k: _binding(v) if k in {"binding", "deposed"} else v for k, v in renamed.items()}
        case "applied" if "power" in record.get("fields", {}):
            fields, down = _power(record["fields"])
            return {**record, "fields": fields, "poweredOffByApply": down}
        case _:
            return dict(record)


def _binding(binding: Mapping[str, Any]) -> dict[str, Any]:
    applied, down = _power(binding.get("applied", {}))
    renamed = _renamed(binding, {"where": "route", "holder": "parent"})
    return {**renamed, "applied": applied, "poweredOffByApply": down}


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    detail = _renamed(operation.get("detail", {}), {"where": "route"})
    if detail.get("power") == _POWERED_OFF:
        del detail["power"]
        detail["poweredOffByApply"] = True
    return {**operation, "detail": detail}


def _power(fields: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Fields without the magic value, and whether they had it."""
    down = fields.get("power") == _POWERED_OFF
    return {**fields, **({"power": "off"} if down else {})}, down


def _renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): item for key, item in value.items()}
