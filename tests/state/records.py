"""Journal records, as an apply writes them."""

from __future__ import annotations

from typing import Any

from dbc_iac.state import Binding, PendingOperation
from dbc_iac.state.journal import Record


def intent(operation: PendingOperation) -> Record:
    return {"type": "intent", "operation": operation.model_dump(mode="json", by_alias=True)}


def bind(binding: Binding) -> Record:
    return {"type": "bind", "binding": binding.model_dump(mode="json", by_alias=True)}


def applied(address: str, fields: dict[str, Any], *uncertain: str, **more: bool) -> Record:
    return {"type": "applied", "address": address, "fields": fields, "uncertain": [*uncertain], **more}


def unbind(address: str) -> Record:
    return {"type": "unbind", "address": address}
