"""Copies of a state with the records that follow it: written by an apply that failed to write, or by `state pull`.

A copy is pushed only if nothing has happened since: its state is the stored one, and the stored journal is a prefix of
its journal. Nothing is merged.
"""

from __future__ import annotations

from typing import NoReturn

from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.json import load_json
from dbc_iac.state.document import FORMAT_VERSION, MAX_VALUES, State
from dbc_iac.state.journal import StateBackup, current_records, records_after
from dbc_iac.state.migration import migrated_state
from dbc_iac.state.store import Store


def read_backup(content: bytes, place: str) -> StateBackup:
    """A copy, or a state alone. Raises DiagnosticError if it is neither."""
    try:
        value = load_json(content, most=MAX_VALUES)
        if value["formatVersion"] > FORMAT_VERSION:
            summary = f"{place} has format {value['formatVersion']}; this version reads up to {FORMAT_VERSION}"
            _refuse("state-newer", summary, "Install the version of dbc-iac that wrote it, or a newer one.")
        if "state" not in value:
            return StateBackup(State.of_json(migrated_state(value)))
        records = [*current_records(value["journal"], place)]
        return StateBackup(State.of_json(migrated_state(value["state"])), records)
    except (ValueError, KeyError, TypeError, AttributeError):  # pydantic's is a ValueError
        _refuse(
            "not-a-state", f"{place} is not a state or a copy of one", "Name a file of `state pull` or of an apply."
        )


def push(copy: StateBackup, store: Store, *, project: str, uid: str) -> State:
    """Store a copy as the state. The lock is held. Returns the stored state; raises DiagnosticError."""
    place, state = store.backend.place, copy.state
    for name, ours in (("project", project), ("uid", uid), ("stack", store.stack)):
        if getattr(state, name) != ours:
            _refuse(
                "state-foreign",
                f"the copy belongs to {name} {getattr(state, name)}, not {ours}",
                "Push it from its own project and stack. Nothing was written.",
            )
    there = store.look(project=project, uid=uid)
    if there is None:
        return store.begin(copy.folded)
    if there.lineage != state.lineage:
        _refuse(
            "push-lineage",
            f"the copy is not one of {place} (lineage {state.lineage}, not {there.lineage})",
            "Push a copy of this state. Nothing was written.",
        )
    if there.model_copy(update={"serial": state.serial}) == copy.folded and there.serial == state.serial + 1:
        return there  # it was written, and only the answer was lost
    if there.serial != state.serial:
        _refuse(
            "push-serial",
            f"{place} has serial {there.serial}, the copy serial {state.serial}",
            "Run `dbc-iac plan`: it adopts objects that are in the copy only, or `dbc-iac orphans` lists them.",
        )
    written = [*records_after(store.journal.read(), there.serial)]
    if written != list(copy.records)[: len(written)]:
        _refuse(
            "push-journal",
            f"the copy lacks records of the journal of {place}",
            "Run `dbc-iac apply` to complete the later apply, then plan again.",
        )
    return store.commit(copy.folded)


def _refuse(code: str, summary: str, remedy: str) -> NoReturn:
    raise failure(code, summary, remedy=remedy, exit_code=ExitCode.REFUSED) from None
