"""The journal's fold, the store's versions and refusals, the lock."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.secret import SecretText
from dbc_iac.state import Binding, PendingOperation, State, Store, fold, owner
from dbc_iac.state.backends.backend import LeaseLostError
from dbc_iac.state.backends.local import LocalBackend
from tests.state.places import local_store, stored_state
from tests.state.records import applied, bind

EMPTY = State(lineage="l", project="lab", uid="0" * 32, stack="main")


def binding(address: str = "VirtualMachine/a", generation: int = 1, **more: Any) -> Binding:
    return Binding(address=address, kind=address.partition("/")[0], id=f"id{generation}", generation=generation, **more)


def intent(number: int, address: str = "VirtualMachine/a", generation: int = 1, **more: Any) -> PendingOperation:
    made = {"goal": "vm-exists", "id": f"id{generation}", "call_class": "keyed", "creates": True, **more}
    return PendingOperation(number=number, address=address, generation=generation, **made)


def record_intent(i: PendingOperation) -> dict[str, Any]:
    return {"type": "intent", "operation": i.model_dump(mode="json", by_alias=True)}


def record_bind(b: Binding) -> dict[str, Any]:
    return {"type": "bind", "binding": b.model_dump(mode="json", by_alias=True)}


BEGIN = {"type": "begin", "serial": 0, "plan": "", "owner": {}}


def test_an_intent_without_a_result_stays_pending_and_takes_its_generation() -> None:
    state = fold(EMPTY, [BEGIN, record_intent(intent(1, generation=3))])
    assert [i.number for i in state.pending] == [1]
    assert state.generations == {"VirtualMachine/a": 3}


@pytest.mark.parametrize(("outcome", "left"), [("refused", 0), ("not-sent", 0), ("unknown", 1), ("done", 1)])
def test_a_result_closes_an_intent_only_where_nothing_can_follow(outcome: str, left: int) -> None:
    result = {"type": "result", "number": 1, "outcome": outcome, "message": ""}
    assert len(fold(EMPTY, [BEGIN, record_intent(intent(1)), result]).pending) == left


def test_a_binding_closes_the_intents_of_its_address_only() -> None:
    records = [BEGIN, record_intent(intent(1)), record_intent(intent(2, "Disk/d")), record_bind(binding())]
    state = fold(EMPTY, records)
    assert [i.address for i in state.pending] == ["Disk/d"]
    assert state.bindings["VirtualMachine/a"].id == "id1"


def test_generations_outlive_their_bindings() -> None:
    state = fold(EMPTY, [BEGIN, record_bind(binding(generation=4)), {"type": "unbind", "address": "VirtualMachine/a"}])
    assert (state.bindings, state.generations) == ({}, {"VirtualMachine/a": 4})


def test_applied_fields_and_uncertainty_are_merged() -> None:
    applied = {"type": "applied", "address": "VirtualMachine/a", "fields": {"gpus": 2}, "uncertain": ["firewall"]}
    bound = fold(EMPTY, [BEGIN, record_bind(binding(applied={"cpus": 4})), applied]).bindings["VirtualMachine/a"]
    assert (bound.applied, bound.uncertain) == ({"cpus": 4, "gpus": 2}, ("firewall",))


ADDRESSES = st.sampled_from(["VirtualMachine/a", "VirtualMachine/b", "Disk/d"])
RECORDS = st.lists(
    st.one_of(
        st.builds(lambda n, a, g: record_intent(intent(n, a, g)), st.integers(1, 9), ADDRESSES, st.integers(1, 5)),
        st.builds(lambda a, g: record_bind(binding(a, g)), ADDRESSES, st.integers(1, 5)),
        st.builds(lambda a: {"type": "unbind", "address": a}, ADDRESSES),
        st.builds(
            lambda n, o: {"type": "result", "number": n, "outcome": o, "message": ""},
            st.integers(1, 9),
            st.sampled_from(["done", "refused", "unknown", "not-sent"]),
        ),
    ),
    max_size=20,
)


@given(RECORDS, st.integers(0, 20))
def test_folding_in_two_parts_is_folding_at_once(records: list[dict[str, Any]], split: int) -> None:
    first = fold(EMPTY, [BEGIN, *records[:split]])
    assert fold(first, [BEGIN, *records[split:]]) == fold(EMPTY, [BEGIN, *records])


@given(RECORDS)
def test_generations_never_fall(records: list[dict[str, Any]]) -> None:
    state = EMPTY
    for record in records:
        after = fold(state, [BEGIN, record])
        assert all(after.generations.get(a, 0) >= g for a, g in state.generations.items())
        state = after


JOURNAL = "main.journal.jsonl"


def opened(directory: Path) -> Store:
    store = local_store(directory)
    stored_state(store)
    return store


def test_a_journal_that_was_folded_already_is_passed_over(tmp_path: Path) -> None:
    """The process ends after the state was written and before the journal was emptied."""
    store = opened(tmp_path)
    store.journal.begin(serial=0, plan="", owner={})
    store.journal.append([bind(binding())])
    state = store.read()
    assert state is not None
    journal = tmp_path / JOURNAL
    text = journal.read_bytes()
    store.commit(state.without_binding("VirtualMachine/a"))
    journal.write_bytes(text)
    again = store.read()
    assert again is not None
    assert again.bindings == {}


def test_a_state_that_another_program_has_changed_is_not_overwritten(tmp_path: Path) -> None:
    """Such as an editor, or a restored copy: it takes no lock, and may keep the serial."""
    store = opened(tmp_path)
    state = store.read()
    assert state is not None
    other = json.dumps({**state.model_dump(mode="json", by_alias=True), "environment": "prod"})
    (tmp_path / "main.json").write_text(other)
    with pytest.raises(DiagnosticError) as caught:
        store.commit(state)
    assert caught.value.diagnostics[0].code == "state-changed"
    assert (tmp_path / "main.json").read_text() == other


def test_a_state_is_committed_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    state = store.read()
    assert state is not None
    store.commit(state)
    with pytest.raises(DiagnosticError) as caught:
        store.commit(state)
    assert caught.value.diagnostics[0].code == "state-changed"


def test_the_last_ten_versions_are_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for _ in range(14):
        state = store.read()
        assert state is not None
        store.commit(state)
    kept = sorted(int(p.name.split(".")[1]) for p in (tmp_path / "history").iterdir())
    assert kept == list(range(5, 15))


def test_a_torn_last_line_is_no_record_and_a_torn_middle_stops(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.journal.begin(serial=0, plan="", owner={})
    store.journal.append([bind(binding())])
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])
    state = store.read()
    assert state is not None
    assert state.bindings == {}
    journal.write_bytes(whole[:40] + b"\n" + whole)
    with pytest.raises(DiagnosticError) as caught:
        store.read()
    assert caught.value.diagnostics[0].code == "journal-corrupt"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "state-corrupt"),
        ("[]", "state-corrupt"),
        (json.dumps({"formatVersion": 99}), "state-newer"),
        (json.dumps({"formatVersion": 1}), "state-corrupt"),
    ],
)
def test_an_unusable_state_is_reported_and_not_changed(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "main.json").write_text(text)
    with pytest.raises(DiagnosticError) as caught:
        local_store(tmp_path).read()
    assert caught.value.diagnostics[0].code == code
    assert (tmp_path / "main.json").read_text() == text


@pytest.mark.parametrize("changed", [{"project": "other"}, {"uid": "1" * 32}])
def test_another_project_or_uid_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    opened(tmp_path)
    with pytest.raises(DiagnosticError) as caught:
        stored_state(local_store(tmp_path), **changed)
    assert caught.value.diagnostics[0].code == "state-foreign"


def test_a_secret_cannot_be_written(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.journal.begin(serial=0, plan="", owner={})
    with pytest.raises(TypeError):
        store.journal.append([applied("VirtualMachine/a", {"login.password": SecretText("canary")})])
    assert "canary" not in (tmp_path / JOURNAL).read_text()


def test_a_second_run_is_refused_with_the_holder_of_the_lock(tmp_path: Path) -> None:
    environ = {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "a/b"}
    holder = owner(environ, "apply", datetime(2026, 1, 1, tzinfo=UTC))
    with (
        LocalBackend(tmp_path, "main").lock(holder),
        pytest.raises(DiagnosticError) as caught,
        LocalBackend(tmp_path, "main").lock(holder),
    ):
        pass
    assert caught.value.exit_code is ExitCode.LOCKED
    assert "https://git.example/a/b/actions/runs/7" in caught.value.diagnostics[0].detail
    with LocalBackend(tmp_path, "main").lock(holder):
        pass


def test_a_lock_that_is_not_renewed_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tried = threading.Event()

    class Lapsing(LocalBackend):
        lease = 0.003  # type: ignore[assignment]

        def renew(self) -> None:
            tried.set()
            raise LeaseLostError(self.place)

    with caplog.at_level("INFO", "dbc_iac.state"), Store(Lapsing(tmp_path, "main"), "main").locked({}):
        assert tried.wait(60)
    place = tmp_path / "main.json"
    assert f"the lock of {place} was not renewed: the lock of {place} was taken over by another run" in caplog.messages
