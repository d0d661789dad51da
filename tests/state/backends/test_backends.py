"""Requirements of every backend: one suite, against real servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.json import Json
from dbc_iac.state import State, Store
from dbc_iac.state.backends.backend import Backend, LeaseLostError, MovedError
from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.objectstore import ObjectStoreBackend, object_store
from tests.state.places import PLACES, Place, stored_state
from tests.state.records import unbind
from tests.state.servers import rclone, s3

HOLDER: dict[str, Json] = {"command": "apply", "host": "ci-7", "pid": 42, "run": "https://ci.example/7"}


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def leased(place: Place) -> Place:
    if place.open().lease is None:
        pytest.skip("its lock goes with its process: there is no lease that could end")
    return place


def text(place: Backend) -> bytes | None:
    stored = place.read()
    return None if stored is None else stored.content


def test_nothing_is_there_at_first(place: Place) -> None:
    backend = place.open()
    assert (backend.read(), backend.lines(), backend.kept(), backend.holder()) == (None, [], [], None)


def test_a_write_replaces_the_version_that_it_names_and_no_other(place: Place) -> None:
    backend = place.open()
    with backend.lock(HOLDER):
        backend.write(b"one", 0, None)
        first = backend.read()
        assert first is not None
        backend.write(b"two", 1, first.version)
        for expected in (None, first.version):
            with pytest.raises(MovedError):
                backend.write(b"three", 2, expected)
    assert text(place.open()) == b"two"


def test_a_write_returns_the_version_that_the_next_one_names(place: Place) -> None:
    backend = place.open()
    with backend.lock(HOLDER):
        versions = [backend.write(b"one", 0, None)]
        versions.append(backend.write(b"two", 1, versions[0]))
        stored = backend.read()
        assert stored is not None
        assert (stored.content, stored.version) == (b"two", versions[1])
        assert versions[0] != versions[1]


def test_a_journal_keeps_its_order_over_many_runs(place: Place) -> None:
    lines = [f"line {n} \N{BULLET}".encode() for n in range(90)]
    for start in (0, 30, 60):
        backend = place.open()
        with backend.lock(HOLDER):
            for n, line in enumerate(lines[start : start + 30]):
                backend.append(line, sync=n % 3 == 0)
    assert place.open().lines() == lines
    backend = place.open()
    with backend.lock(HOLDER):
        backend.clear()
        assert backend.lines() == []
        backend.append(b"after", sync=True)
    assert place.open().lines() == [b"after"]


def test_a_run_reads_what_it_has_appended_itself_synced_or_not(place: Place) -> None:
    backend = place.open()
    with backend.lock(HOLDER):
        backend.append(b"intent", sync=True)
        backend.append(b"result", sync=False)
        assert backend.lines() == [b"intent", b"result"]
    assert place.open().lines() == [b"intent", b"result"]


def test_a_synced_line_is_there_and_so_are_all_before_it(place: Place) -> None:
    backend = place.open()
    with backend.lock(HOLDER):
        backend.append(b"result", sync=False)
        backend.append(b"intent", sync=True)
        assert place.open().lines() == [b"result", b"intent"]


def test_of_two_at_once_one_wins_and_the_other_says_who(place: Place) -> None:
    ready, over = Barrier(2), Barrier(2)

    def run(number: int) -> str:
        backend = place.open()
        ready.wait()
        try:
            with backend.lock({**HOLDER, "host": f"ci-{number}"}):
                over.wait()
        except DiagnosticError as error:
            assert error.exit_code is ExitCode.LOCKED
            over.wait()
            return error.diagnostics[0].detail
        except BaseException:
            over.abort()  # or the other never ends
            raise
        return "won"

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(run, range(2)))
    assert answers.count("won") == 1
    other = answers.index("won")
    told = answers[1 - other]
    if "user somebody" in told:  # GitLab does not know the holder before its lease is written
        assert isinstance(place.open(), HttpBackend)
        return
    assert f"command apply, host ci-{other}, pid 42" in told
    assert "run https://ci.example/7" in told


def test_a_lock_is_free_after_its_run_and_says_its_holder_before(place: Place) -> None:
    with place.open().lock(HOLDER):
        assert dict(place.open().holder() or {})["host"] == "ci-7"
    assert place.open().holder() is None
    with place.open().lock(HOLDER):
        pass


def test_a_lease_is_taken_over_after_its_end_only(leased: Place) -> None:
    first = leased.open()
    with first.lock(HOLDER):
        assert first.lease is not None
        leased.clock.advance(first.lease - 30)
        with pytest.raises(DiagnosticError) as caught, leased.open().lock(HOLDER):
            pass
        assert caught.value.exit_code is ExitCode.LOCKED
        first.renew()
        leased.clock.advance(first.lease - 30)
        with pytest.raises(DiagnosticError), leased.open().lock(HOLDER):
            pass
        leased.clock.advance(60)
        with leased.open().lock(HOLDER):
            pass


def test_who_was_taken_over_writes_nothing_any_more(leased: Place) -> None:
    first, second = leased.open(), leased.open()
    with first.lock(HOLDER):
        first.write(b"one", 0, None)
        first.append(b"before", sync=True)
        version = first.read()
        assert version is not None
        assert first.lease is not None
        leased.clock.advance(first.lease + 1)
        with second.lock(HOLDER):
            with pytest.raises(LeaseLostError):
                first.append(b"late", sync=True)
            with pytest.raises(LeaseLostError):
                first.write(b"late", 1, version.version)
            with pytest.raises(LeaseLostError):
                first.renew()
            with pytest.raises(LeaseLostError):
                first.clear()
            assert (text(second), second.lines()) == (b"one", [b"before"])
            second.append(b"mine", sync=True)
            with pytest.raises(LeaseLostError):
                first.append(b"late", sync=True)
        # It removed nothing on its way out, and the next run gets a lock of its own.
        with leased.open().lock(HOLDER), pytest.raises(LeaseLostError):
            first.append(b"late", sync=True)
    assert (text(leased.open()), leased.open().lines()) == (b"one", [b"before", b"mine"])


def test_a_run_that_leaves_late_does_not_free_the_lock_of_its_successor(leased: Place) -> None:
    first, second = leased.open(), leased.open()
    late = first.lock({**HOLDER, "host": "late"})
    late.__enter__()
    assert first.lease is not None
    leased.clock.advance(first.lease + 1)
    with second.lock(HOLDER):
        late.__exit__(None, None, None)
        with pytest.raises(DiagnosticError), leased.open().lock(HOLDER):
            pass
        second.append(b"mine", sync=True)


def test_a_lock_that_is_broken_by_hand_is_lost(leased: Place) -> None:
    """Whether somebody comes next or not; and also when that one has gone again."""
    first = leased.open()
    with first.lock(HOLDER):
        first.write(b"one", 0, None)
        version = first.read()
        assert version is not None
        leased.open().break_lock()
        for _ in range(2):
            with pytest.raises(LeaseLostError):
                first.append(b"late", sync=True)
            with pytest.raises(LeaseLostError):
                first.write(b"late", 1, version.version)
            with pytest.raises(LeaseLostError):
                first.renew()
            with leased.open().lock(HOLDER), pytest.raises(LeaseLostError):
                first.append(b"late", sync=True)
    assert (text(leased.open()), leased.open().lines()) == (b"one", [])
    leased.open().break_lock()  # of nobody
    with leased.open().lock(HOLDER):
        pass


def test_who_was_taken_over_by_one_that_has_left_writes_nothing_any_more(leased: Place) -> None:
    first = leased.open()
    with first.lock(HOLDER):
        first.write(b"one", 0, None)
        assert first.lease is not None
        leased.clock.advance(first.lease + 1)
        with leased.open().lock(HOLDER):
            pass
        with pytest.raises(LeaseLostError):
            first.append(b"late", sync=True)
        with pytest.raises(LeaseLostError):
            first.renew()
    assert leased.open().lines() == []


def test_a_lock_that_could_not_be_taken_whole_is_left_again(leased: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = leased.open()

    def unanswered(*_: object) -> None:
        raise OSError(5, "no answer")

    last = "_put_lease" if isinstance(lost, HttpBackend) else "_require_conditions"
    if not hasattr(lost, last):
        pytest.skip("one transaction takes it")
    with monkeypatch.context() as patch:
        patch.setattr(type(lost), last, unanswered)
        with pytest.raises(OSError, match="no answer"), lost.lock(HOLDER):
            pass
    with leased.open().lock(HOLDER):
        pass


def test_a_store_that_looks_at_no_condition_is_refused(tmp_path: Path) -> None:
    with rclone.served(tmp_path / "served") as endpoint:
        store = object_store(f"s3://{s3.BUCKET}/x", endpoint, "us-east-1", s3.KEYS)
        for _ in range(2):  # with and without an object that was there before
            backend = ObjectStoreBackend(store, "s3://states/x", "main", lambda: uuid4().hex)
            with pytest.raises(DiagnosticError) as refusal, backend.lock(HOLDER):
                pass
            assert [d.code for d in refusal.value.diagnostics] == ["store-unconditional"]


def test_without_the_lock_nothing_is_written(leased: Place) -> None:
    backend = leased.open()
    with pytest.raises(LeaseLostError):
        backend.write(b"x", 0, None)
    with pytest.raises(LeaseLostError):
        backend.append(b"x", sync=True)
    with pytest.raises(LeaseLostError):
        backend.clear()
    assert leased.open().read() is None


def test_a_document_of_50_mb(place: Place) -> None:
    content = b"0123456789abcdef" * (50 * 1024 * 1024 // 16)
    backend = place.open()
    with backend.lock(HOLDER):
        backend.write(content, 0, None)
    assert text(place.open()) == content


def test_readers_see_a_whole_document_while_it_is_written(place: Place) -> None:
    sizes = 40_000
    writer = place.open()
    with writer.lock(HOLDER), ThreadPoolExecutor(4) as pool:
        writer.write(b"a" * sizes, 0, None)
        reads = [pool.submit(lambda: [text(place.open()) for _ in range(5)]) for _ in range(4)]
        for serial, letter in enumerate(b"bcdefgh", 1):
            there = writer.read()
            assert there is not None
            writer.write(bytes([letter]) * sizes, serial, there.version)
        seen = [one for read in reads for one in read.result()]
    assert all(one is not None and len(one) == sizes and len(set(one)) == 1 for one in seen)


def test_a_crash_between_journal_and_state_loses_and_repeats_nothing(place: Place) -> None:
    store = Store(place.open(), "main")
    with store.locked(HOLDER):
        stored_state(store)
        store.journal.begin(serial=0, plan="", owner={})
        store.journal.append([unbind("VirtualMachine/a")])
        state = store.read()
        assert state is not None
        lines = store.backend.lines()
        store.commit(state)
    again = Store(place.open(), "main")
    with again.locked(HOLDER):  # as if the run had ended before it could clear the journal
        for line in lines:
            again.backend.append(line, sync=True)
        folded = again.read()
    assert isinstance(folded, State)
    assert (folded.serial, folded.bindings) == (1, {})


def test_stacks_do_not_see_each_other(place: Place) -> None:
    main, other = place.open(), place.open("other")
    with main.lock(HOLDER), other.lock(HOLDER):
        main.write(b"main", 0, None)
        other.append(b"other", sync=True)
        assert (other.read(), main.lines()) == (None, [])


def test_stacks_of_a_backend_are_listed_if_it_can_list_them(place: Place) -> None:
    for stack in ("main", "other"):
        backend = place.open(stack)
        with backend.lock(HOLDER):
            backend.write(b"{}", 0, None)
    assert place.open("third").stacks() in (["main", "other"], None)
    assert (place.open().stacks() is None) is isinstance(place.open(), HttpBackend)
