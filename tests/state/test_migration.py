"""States and journals of format 1 are read, and the next write has the current format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state import State, Store, fold
from dbc_iac.state.backup import read_backup
from dbc_iac.state.document import FORMAT_VERSION
from dbc_iac.state.journal import StateBackup
from dbc_iac.state.migration import migrated_state
from tests.cli.test_crash import AFTER, BEFORE, build, converged
from tests.projects import Emulated, project
from tests.proof.ends import Interposed, Point
from tests.state import format_1
from tests.state.places import local_store, stored_state
from tests.state.records import applied

OWNER = {"project": "lab", "uid": format_1.state_of("window")["uid"]}


def store_of(tmp_path: Path, name: str) -> Store:
    for ending in ("json", "journal.jsonl"):
        shutil.copy(format_1.DIRECTORY / f"{name}.{ending}", tmp_path / f"main.{ending}")
    return local_store(tmp_path)


@pytest.mark.parametrize("name", format_1.NAMES)
def test_a_state_with_its_journal_reads_as_format_1_folded_them(tmp_path: Path, name: str) -> None:
    read = store_of(tmp_path, name).read()
    folded = json.loads((format_1.DIRECTORY / f"{name}.folded.json").read_text())
    assert read is not None
    assert read == State.model_validate({**migrated_state(folded), "serial": folded["serial"] - 1})


def test_keys_have_their_new_names_and_recovery_state_is_a_field() -> None:
    state = fold(*format_1.current("window"))
    trainer, scratch = state.bindings["VirtualMachine/trainer"], state.bindings["Disk/scratch"]
    assert (trainer.powered_off_by_apply, trainer.applied["power"]) == (True, "off")
    assert (scratch.parent, scratch.route["name"]) == ("VirtualMachine/trainer", "Node/gpu-a")
    assert [(p.goal, p.powers_off, p.detail["route"]["name"]) for p in state.pending] == [
        ("vm-power", False, "Node/gpu-a")
    ]


def test_a_deposed_object_stays_bound() -> None:
    state = fold(*format_1.current("move"))
    assert state.bindings["Disk/scratch~1"].parent == "VirtualMachine/trainer"
    assert state.bindings["Disk/scratch"].parent == "VirtualMachine/other"


def test_the_power_off_of_an_interrupted_window_is_pending_for_a_start() -> None:
    state, records = format_1.current("window")
    sent = next(n for n, r in enumerate(records) if r["type"] == "intent" and r["operation"]["goal"] == "vm-power")
    assert [p.powers_off for p in fold(state, records[: sent + 1]).pending] == [True]


@pytest.mark.parametrize("name", format_1.NAMES)
def test_a_commit_writes_the_current_format(tmp_path: Path, name: str) -> None:
    store = store_of(tmp_path, name)
    state = stored_state(store, **OWNER)
    store.commit(state)
    written = json.loads((tmp_path / "main.json").read_text())
    assert written["formatVersion"] == FORMAT_VERSION
    assert (
        not {"where", "holder"}
        & written["bindings"]["VirtualMachine/" + ("other" if name == "move" else "trainer")].keys()
    )
    assert local_store(tmp_path).read() == state.model_copy(update={"serial": state.serial + 1})


def test_records_of_both_formats_follow_one_another(tmp_path: Path) -> None:
    store = store_of(tmp_path, "window")
    before = store.read()
    assert before is not None
    store.journal.begin(serial=before.serial, plan="next", owner={})
    store.journal.append([applied("VirtualMachine/trainer", {"power": "on"}, poweredOffByApply=False)])
    after = store.read()
    assert after is not None
    bound = after.bindings["VirtualMachine/trainer"]
    assert (bound.powered_off_by_apply, bound.applied["power"]) == (False, "on")


def test_a_copy_of_format_1_is_read() -> None:
    state, records = format_1.state_of("window"), format_1.records_of("window")
    copy = json.dumps({"formatVersion": 1, "state": state, "journal": records}).encode()
    assert read_backup(copy, "copy.json") == StateBackup(*format_1.current("window"))


@pytest.mark.parametrize("name", format_1.NAMES)
def test_the_way_back_gives_what_format_1_wrote(name: str) -> None:
    state, records = format_1.current(name)
    assert format_1.old_state(state.model_dump(mode="json", by_alias=True)) == format_1.state_of(name)
    assert [format_1.old_record(r) for r in records] == format_1.records_of(name)


@pytest.mark.parametrize(
    "value",
    [{"formatVersion": 1, "bindings": 7}, {"formatVersion": 1, "bindings": "ab"}, {"formatVersion": 1, "pending": [7]}],
)
def test_a_malformed_state_of_format_1_is_refused_as_no_state(tmp_path: Path, value: dict[str, object]) -> None:
    (tmp_path / "main.json").write_text(json.dumps(value))
    with pytest.raises(DiagnosticError) as refused:
        local_store(tmp_path).read()
    assert [d.code for d in refused.value.diagnostics] == ["state-corrupt"]


@pytest.mark.parametrize(
    "record",
    [
        {"type": "intent", "intent": 7},
        {"type": "bind", "binding": 7},
        {"type": "applied", "fields": 7},
        {"type": "applied", "fields": "power"},
    ],
)
def test_a_malformed_record_of_format_1_is_named_by_its_line(tmp_path: Path, record: dict[str, object]) -> None:
    store = store_of(tmp_path, "window")
    path = tmp_path / "main.journal.jsonl"
    begin, *_ = path.read_text().splitlines()
    path.write_text(f"{begin}\n{json.dumps(record)}\n")
    with pytest.raises(DiagnosticError) as refused:
        store.journal.read()
    assert [(d.code, d.summary.partition(" of ")[0]) for d in refused.value.diagnostics] == [
        ("journal-corrupt", "line 2")
    ]


@pytest.mark.parametrize("record", range(7, 33, 5))
def test_an_apply_that_format_1_began_is_completed(tmp_path: Path, record: int) -> None:
    emulated: Emulated = build(tmp_path / "lab", *BEFORE)
    assert emulated.run("apply", "--yes", "--allow-data-loss").code == 0
    project(tmp_path / "lab", *AFTER, environ=emulated.project.environ)
    assert Interposed(emulated, Point("record", record, "after")).run("apply", "--yes", "--allow-data-loss") is None
    format_1.downgrade(tmp_path / "lab/state")
    converged(emulated, [10, 20, 30, 90])
    emulated.close()
