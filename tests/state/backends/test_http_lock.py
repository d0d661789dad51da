"""Locks over HTTP that are none: servers that grant them to everybody, or free them for nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.json import Json
from dbc_iac.state.backends.http import PARTS, HttpBackend
from dbc_iac.state.backends.http_client import HttpDocuments
from tests.projects import PROJECT, Emulated, project, vm
from tests.proof.test_two_at_once import Meanwhile, never
from tests.state.places import Clock
from tests.state.servers import terraform_http
from tests.state.servers.terraform_http import Documents, Fault

HOLDER: dict[str, Json] = {"command": "apply", "host": "ci-7"}
WHOLE = ("", *PARTS)
"""The state and all that is locked with it."""


def on_a_server(test: Callable[[Callable[[], HttpBackend], Documents], None]) -> None:
    clock = Clock()
    with terraform_http.served(now=clock) as (address, documents):
        test(lambda: HttpBackend(HttpDocuments(address, "main"), clock, lambda: uuid4().hex), documents)


def refusal(take: Callable[[], Any]) -> str:
    with pytest.raises(DiagnosticError) as caught:
        take()
    (told,) = caught.value.diagnostics
    assert (told.code, told.exit_code) == ("lock-unproved", ExitCode.ERROR)
    return told.summary


def locked(backend: HttpBackend) -> None:
    with backend.lock(HOLDER):
        raise AssertionError("the lock was taken")


@pytest.mark.parametrize("fault", ["grants every LOCK", "frees for anybody"])
@pytest.mark.parametrize("part", WHOLE, ids=lambda part: part or "state")
def test_a_server_that_shares_one_of_its_locks_is_refused(fault: Fault, part: str) -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        documents.fault, documents.faulty = fault, f"lab-main{part}"
        assert "grants its lock to two runs at once" in refusal(lambda: locked(opened()))
        assert documents.locks == {}
        assert "/state/lab-main" not in documents.kept

    on_a_server(test)


@pytest.mark.parametrize("fault", ["grants every LOCK", "frees for anybody", "ignores UNLOCK"])
def test_unlock_says_nothing_is_free_on_a_server_whose_locks_are_none(fault: Fault) -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        documents.fault = fault
        refusal(opened().holder)
        refusal(opened().break_lock)

    on_a_server(test)


def test_a_server_that_frees_no_lock_is_refused_by_the_first_run() -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        documents.fault = "ignores UNLOCK"
        assert "does not free its lock" in refusal(lambda: locked(opened()))

    on_a_server(test)


@pytest.mark.parametrize("part", WHOLE, ids=lambda part: part or "state")
def test_a_lock_that_is_left_over_and_cannot_be_freed_is_not_taken_over(part: str) -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        first = opened()
        with first.lock(HOLDER):
            documents.now.advance(first.lease + 1)  # type: ignore[attr-defined]
            documents.fault, documents.faulty = "ignores UNLOCK", f"lab-main{part}"
            assert "does not free its lock" in refusal(lambda: locked(opened()))

    on_a_server(test)


def test_an_answer_of_200_with_the_lock_of_another_run_is_no_lock() -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        documents.fault = "answers 200 with the holder"
        with opened().lock(HOLDER):
            with pytest.raises(DiagnosticError) as caught:
                locked(opened())
            assert caught.value.exit_code is ExitCode.LOCKED
            assert "host ci-7" in caught.value.diagnostics[0].detail
        with opened().lock(HOLDER):  # it was freed
            pass

    on_a_server(test)


def test_a_refusal_of_another_run_s_unlock_may_have_any_status() -> None:
    def test(opened: Callable[[], HttpBackend], documents: Documents) -> None:
        documents.fault = "refuses UNLOCK with 500"
        with opened().lock(HOLDER):
            assert set(documents.locks) == {f"/state/lab-main{part}" for part in WHOLE}
        assert documents.locks == {}

    on_a_server(test)


@pytest.mark.parametrize("fault", ["grants every LOCK", "frees for anybody", "ignores UNLOCK"])
def test_no_apply_runs_on_a_lock_that_was_not_proved(tmp_path: Path, fault: Fault) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    with terraform_http.served() as (address, documents):
        documents.fault = fault
        state = f"  state: {{backend: http, address: {address!r}}}\n"
        emulated.project.write({"dbc-iac.yaml": PROJECT + state})
        for command in (["plan"], ["apply", "--yes"], ["destroy", "--yes"], ["state", "unlock", "--yes"]):
            documents.locks.clear()  # what the last one could not free
            refused = emulated.run(*command, "--json")
            assert (refused.code, refused.codes) == (1, ["lock-unproved"]), (command, refused)
        assert (emulated.vms, documents.kept.get("/state/lab-main")) == ({}, None)
    emulated.close()


def test_of_two_applies_on_a_server_that_begins_to_grant_every_lock_one_runs(tmp_path: Path) -> None:
    """The first run has proved its lock; the second one must not believe its own."""
    emulated = Emulated(project(tmp_path, vm()))
    with terraform_http.served() as (address, documents):
        state = f"  state: {{backend: http, address: {address!r}}}\n"
        emulated.project.write({"dbc-iac.yaml": PROJECT + state})

        def second() -> Any:
            documents.fault = "grants every LOCK"
            return emulated.project.run("apply", "--yes", "--json", run=never)

        other = Meanwhile("creating", second)
        emulated.run("apply", "--yes", err=other)
        assert other.result is not None
        assert (other.result.code, other.result.codes) == (1, ["lock-unproved"])
        assert len(emulated.vms) == 1
    emulated.close()
