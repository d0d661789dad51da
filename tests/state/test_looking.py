"""`show` and `state` only look: they write nothing, and an apply that holds the lock does not stop them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.state import Binding, owner
from dbc_iac.state.backends.local import LocalBackend
from tests.projects import UID, project
from tests.state.places import local_store, stored_state
from tests.state.records import bind

LOOKS = [["show"], ["state", "list"], ["show", "--json"], ["state", "list", "--json"]]
ADDRESS = "VirtualMachine/trainer"
ROUTE = {"name": "Node/gpu-a", "target": "0" * 64, "identity": "", "clients": []}


def files(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("arguments", LOOKS, ids=" ".join)
def test_without_a_state_nothing_is_made(tmp_path: Path, arguments: list[str]) -> None:
    made = project(tmp_path)
    before = files(tmp_path)
    result = made.run(*arguments)
    assert result.code == 0, result.err
    assert "--json" in arguments or result.out == "The state is empty.\n"
    assert files(tmp_path) == before
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("arguments", [*LOOKS, ["state", "show", ADDRESS]], ids=" ".join)
def test_an_apply_under_way_does_not_stop_them(tmp_path: Path, arguments: list[str]) -> None:
    made = project(tmp_path)
    store = local_store(tmp_path / "state")
    with LocalBackend(tmp_path / "state", "main").lock(owner({}, "apply", datetime(2026, 1, 1, tzinfo=UTC))):
        state = stored_state(store, uid=UID)
        store.journal.begin(serial=state.serial, plan="", owner={})
        store.journal.append(
            [bind(Binding(address=ADDRESS, kind="VirtualMachine", id="id1", generation=1, route=ROUTE))]
        )
        before = files(tmp_path)
        result = made.run(*arguments)
        assert result.code == 0, result.err
        assert ADDRESS in result.out
        assert files(tmp_path) == before


def test_a_state_that_is_written_while_it_is_read_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An apply ends, and the next begins, between the two files that are read."""
    store = local_store(tmp_path / "state")
    with LocalBackend(tmp_path / "state", "main").lock({}):
        state = stored_state(store, uid=UID)
    between = [True]

    def then_written(read: Callable[[], Any]) -> Callable[[], Any]:
        def reading() -> Any:
            found = read()
            if between:
                between.clear()
                following = store.commit(state)
                store.journal.begin(serial=following.serial, plan="", owner={})
            return found

        return reading

    monkeypatch.setattr(store.backend, "lines", then_written(store.backend.lines))
    monkeypatch.setattr(store.backend, "read", then_written(store.backend.read))
    seen = store.look(project="lab", uid=UID)
    assert seen is not None
    assert seen.serial == state.serial + 1
