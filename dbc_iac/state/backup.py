"""A copy of a state with the records that go on from it: what an apply could not write, or what was pulled.

A copy is put back only where nothing has happened that it does not know of: its state is the one that is there, and the
journal that is there is a beginning of its own. Nothing is merged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import load_json
from dbc_iac.state.document import FORMAT_VERSION, State
from dbc_iac.state.journal import Record, fold, going_on
from dbc_iac.state.records import RECORD
from dbc_iac.state.store import Store


@dataclass(frozen=True)
class StateBackup:
    """A state as it was written, and the records after it."""

    state: State
    records: Sequence[Record] = ()

    @property
    def folded(self) -> State:
        return fold(self.state, self.records)

    def text(self) -> bytes:
        value = {
            "formatVersion": FORMAT_VERSION,
            "state": self.state.model_dump(mode="json", by_alias=True),
            "journal": list(self.records),
        }
        return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_backup(content: bytes, place: str) -> StateBackup:
    """A copy, or a state alone. Raises DiagnosticError where it is neither."""
    try:
        value = load_json(content)
        if value["formatVersion"] > FORMAT_VERSION:
            _refuse("state-newer", f"{place} has a newer format", "Use the newer dbc-iac that wrote it.")
        if "state" not in value:
            return StateBackup(State.model_validate(value))
        for record in value["journal"]:
            RECORD.validate_python(record)
        return StateBackup(State.model_validate(value["state"]), value["journal"])
    except (ValueError, KeyError, TypeError):  # pydantic's is a ValueError
        _refuse("not-a-state", f"{place} is no state, and no copy of one", "Give what `state pull` or an apply wrote.")


def push(copy: StateBackup, store: Store, *, project: str, uid: str) -> State:
    """Make a copy the state. The lock is held. Returns the state as it is now; raises DiagnosticError."""
    place, state = store.backend.place, copy.state
    for name, ours in (("project", project), ("uid", uid), ("stack", store.stack)):
        if getattr(state, name) != ours:
            _refuse(
                "state-foreign",
                f"the copy belongs to {name} {getattr(state, name)}, not {ours}",
                "Nothing was written.",
            )
    there = store.look(project=project, uid=uid)
    if there is None:
        return store.begin(copy.folded)
    if there.lineage != state.lineage:
        _refuse(
            "push-lineage",
            f"{place} has another history (lineage {there.lineage}) than the copy ({state.lineage})",
            "It is not a copy of this state. Nothing was written.",
        )
    if there.model_copy(update={"serial": state.serial}) == copy.folded and there.serial == state.serial + 1:
        return there  # it was written after all, and only the answer to that was lost
    if there.serial != state.serial:
        newer = "a later apply has written it" if there.serial > state.serial else "an older one was put there"
        _refuse(
            "push-serial",
            f"{place} has serial {there.serial}, and the copy goes on from serial {state.serial}: {newer}",
            "Plan: what the copy knows, and the state does not, is found as orphans or adopted.",
        )
    written = [*going_on(store.journal.read(), there.serial)]
    if written != list(copy.records)[: len(written)]:
        _refuse(
            "push-journal",
            f"the journal of {place} has records that the copy does not know of",
            "Another apply was begun since. Apply that to its end; then plan.",
        )
    return store.commit(copy.folded)


def _refuse(code: str, summary: str, remedy: str) -> NoReturn:
    raise DiagnosticError(
        Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.REFUSED)
    ) from None
