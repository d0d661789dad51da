"""Kept sessions: private files, nothing followed, nothing believed that does not verify."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from dbc_iac.api.auth.credentials import SessionCredentials, WalletCredentials
from dbc_iac.api.auth.sessions import SessionStore, cache_directory
from dbc_iac.secret import SecretText
from tests.api.support import TARGET, key, raw_signature, session_id

RENTER = WalletCredentials(key("renter"))
SESSION = RENTER.session(session_id(0))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "sessions"


def saved(directory: Path) -> Path:
    SessionStore(directory).save(TARGET, RENTER, SESSION)
    (file,) = directory.iterdir()
    return file


def test_a_session_outlives_the_process(directory: Path) -> None:
    saved(directory)
    assert SessionStore(directory).load(TARGET, RENTER) == SESSION
    assert SessionStore(directory).load(TARGET.replace("5", "6"), RENTER) is None
    assert SessionStore(directory).load(TARGET, WalletCredentials(key("other"))) is None


def test_files_are_readable_by_their_owner_only(directory: Path) -> None:
    usual = os.umask(0)
    try:
        file = saved(directory)
    finally:
        os.umask(usual)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o755)
    SessionStore(directory).load(TARGET, RENTER)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_neither_target_nor_wallet_is_in_a_file_name(directory: Path) -> None:
    file = saved(directory)
    assert TARGET[:8] not in file.name
    assert RENTER.account[:8] not in file.name


def test_a_file_that_others_can_read_is_not_used(directory: Path) -> None:
    saved(directory).chmod(0o644)
    assert SessionStore(directory).load(TARGET, RENTER) is None


def test_a_symbolic_link_is_neither_read_nor_written_through(directory: Path, tmp_path: Path) -> None:
    file = saved(directory)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    before = elsewhere.read_text()
    assert SessionStore(directory).load(TARGET, RENTER) is None
    other = RENTER.session(session_id(1))
    SessionStore(directory).save(TARGET, RENTER, other)
    assert elsewhere.read_text() == before
    assert not file.is_symlink()
    assert SessionStore(directory).load(TARGET, RENTER) == other


def test_a_directory_that_is_a_link_is_not_used(directory: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    directory.parent.mkdir()
    directory.symlink_to(real)
    SessionStore(directory).save(TARGET, RENTER, SESSION)
    assert list(real.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"sign": "00" * 64},
        {"sign": 5},
        {"id": "another"},
        {"target": "6" * 64},
        {"account": "5x"},
        {"formatVersion": 2},
    ],
)
def test_what_does_not_verify_is_not_used(directory: Path, change: dict[str, object]) -> None:
    file = saved(directory)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert SessionStore(directory).load(TARGET, RENTER) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\xff"])
def test_a_damaged_file_is_as_none(directory: Path, content: str) -> None:
    saved(directory).write_bytes(content.encode("latin-1"))
    store = SessionStore(directory)
    assert store.load(TARGET, RENTER) is None
    store.save(TARGET, RENTER, SESSION)
    assert SessionStore(directory).load(TARGET, RENTER) == SESSION


def test_dropping_takes_the_session_out_of_memory_and_file(directory: Path) -> None:
    file = saved(directory)
    store = SessionStore(directory)
    assert store.load(TARGET, RENTER)
    store.drop(TARGET, RENTER, SESSION)
    assert store.load(TARGET, RENTER) is None
    assert not file.exists()


@pytest.mark.parametrize("kept_in", ["files", "memory"])
def test_dropping_an_old_session_leaves_a_newer_one(directory: Path, kept_in: str) -> None:
    saved(directory)
    store = SessionStore(directory if kept_in == "files" else None)
    newer = RENTER.session(session_id(1))
    store.save(TARGET, RENTER, newer)
    store.drop(TARGET, RENTER, SESSION)
    assert store.load(TARGET, RENTER) == newer
    assert kept_in == "memory" or SessionStore(directory).load(TARGET, RENTER) == newer


def test_a_cache_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = SessionStore(blocked / "sessions")
    store.save(TARGET, RENTER, SESSION)
    assert store.load(TARGET, RENTER) == SESSION


def test_a_session_that_this_process_obtained_is_dropped_from_the_file_only(directory: Path) -> None:
    for store in (SessionStore(), SessionStore(directory)):
        store.save(TARGET, RENTER, SESSION)
        store.drop(TARGET, RENTER, SESSION)
        assert store.load(TARGET, RENTER) == SESSION
    assert SessionStore(directory).load(TARGET, RENTER) is None


def test_a_kept_text_that_is_no_session_id_is_not_used_though_its_signature_verifies(directory: Path) -> None:
    file = saved(directory)
    text = "an extrinsic that an earlier version signed"
    kept = {**json.loads(file.read_text()), "id": text, "sign": raw_signature("renter", text)}
    file.write_text(json.dumps(kept))
    assert SessionStore(directory).load(TARGET, RENTER) is None


def test_an_unfinished_file_of_a_killed_process_is_in_nobody_s_way(directory: Path) -> None:
    file = saved(directory)
    (directory / f".{file.name}.{os.getpid()}").write_text("half")
    SessionStore(directory).save(TARGET, RENTER, RENTER.session(session_id(1)))
    assert [one.name for one in directory.iterdir()] == [file.name]


def test_the_cache_directory_follows_xdg() -> None:
    assert cache_directory({"XDG_CACHE_HOME": "/x"}) == Path("/x/dbc-iac/sessions")
    assert cache_directory({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/dbc-iac/sessions")
    assert cache_directory({"HOME": "/h"}) == Path("/h/.cache/dbc-iac/sessions")


def test_a_session_in_a_store_shows_nothing() -> None:
    session = SessionCredentials(SecretText("Canary"), SecretText("Canary"))
    store = SessionStore()
    store.save(TARGET, RENTER, session)
    assert "Canary" not in repr(store) + repr(vars(store))
