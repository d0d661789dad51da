"""States and journals that dbc-iac wrote in format 1, and the way back to that format.

NAME.json and NAME.journal.jsonl are of an apply that was killed within a power-off window; NAME.folded.json is the
state that format 1 wrote from both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dbc_iac.state import State
from dbc_iac.state.journal import Record, current_records
from dbc_iac.state.migration import migrated_state

DIRECTORY = Path(__file__).parent
NAMES = ("window", "move")
POWERED_OFF = "off (for a while)"


def state_of(name: str) -> dict[str, Any]:
    return dict(json.loads((DIRECTORY / f"{name}.json").read_text()))


def records_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DIRECTORY / f"{name}.journal.jsonl").read_text().splitlines()]


def current(name: str) -> tuple[State, list[Record]]:
    """State and journal of a fixture in today's format."""
    return State.model_validate(migrated_state(state_of(name))), [*current_records(records_of(name), "journal")]


def downgrade(directory: Path, stack: str = "main") -> None:
    """Rewrite the state and the journal of a directory in format 1."""
    state, journal = directory / f"{stack}.json", directory / f"{stack}.journal.jsonl"
    state.write_text(json.dumps(old_state(json.loads(state.read_text()))))
    lines = [json.dumps(old_record(json.loads(line))) + "\n" for line in journal.read_text().splitlines()]
    journal.write_text("".join(lines))


def old_state(state: dict[str, Any]) -> dict[str, Any]:
    bindings = {address: _old_binding(binding) for address, binding in state["bindings"].items()}
    pending = [_old_operation(operation) for operation in state["pending"]]
    kept = {key: value for key, value in state.items() if key != "unfinishedPlan"}
    return {**kept, "formatVersion": 1, "bindings": bindings, "pending": pending}


def old_record(record: dict[str, Any]) -> dict[str, Any]:
    names = {"operation": "intent", "deposed": "leftBehind"}
    old = {names.get(k, k): v for k, v in record.items() if k != "poweredOffByApply"}
    if "formatVersion" in old:
        old["formatVersion"] = 1
    if record.get("poweredOffByApply"):
        old["fields"] = {**old["fields"], "power": POWERED_OFF}
    if "intent" in old:
        old["intent"] = _old_operation(old["intent"])
    return {k: _old_binding(v) if k in {"binding", "leftBehind"} else v for k, v in old.items()}


def _old_binding(binding: dict[str, Any]) -> dict[str, Any]:
    names = {"route": "where", "parent": "holder"}
    old = {names.get(k, k): v for k, v in binding.items() if k != "poweredOffByApply"}
    if binding["poweredOffByApply"]:
        old["applied"] = {**old["applied"], "power": POWERED_OFF}
    return old


def _old_operation(operation: dict[str, Any]) -> dict[str, Any]:
    detail = {"where" if k == "route" else k: v for k, v in operation["detail"].items()}
    if detail.pop("poweredOffByApply", False):
        detail["power"] = POWERED_OFF
    return {**operation, "detail": detail}
