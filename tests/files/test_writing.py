"""Atomic writes that follow no planted link; private files from their creation."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.files import writing
from dbc_iac.files.writing import (
    check_creatable,
    check_writable,
    open_temporary,
    remove_temporaries,
    write_new,
    write_whole,
)
from dbc_iac.state.backends.local import LocalBackend, replace


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "write_all", half)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("before")
    fill_disk(monkeypatch)
    for name in ("a", "b"):
        with pytest.raises(OSError, match="No space") as caught:
            write_whole(tmp_path / name, b"after")
        assert caught.value.filename is None or "new" not in Path(caught.value.filename).suffix
    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "c", b"after")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "before"}


def test_pieces_are_written_as_they_are_made_and_a_failed_one_leaves_the_old_file(tmp_path: Path) -> None:
    target, written = tmp_path / "a", []

    def pieces(failed: bool) -> Iterator[bytes]:
        for number in range(9):
            yield b"%d" % number * 100_000
            written.append(max(path.stat().st_size for path in tmp_path.iterdir() if path != target))
        if failed:
            raise ValueError("no more")

    write_whole(target, pieces(failed=False))
    whole = b"".join(b"%d" % number * 100_000 for number in range(9))
    assert target.read_bytes() == whole
    assert len(set(written)) == 4
    with pytest.raises(ValueError, match="no more"):
        write_whole(target, pieces(failed=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": whole}


def test_a_private_file_is_private_from_its_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    def looked(descriptor: int, content: bytes) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))

    monkeypatch.setattr(writing, "write_all", looked)
    (tmp_path / "a").write_text("open to all")
    (tmp_path / "a").chmod(0o644)
    before = os.umask(0)
    try:
        write_whole(tmp_path / "a", b"x", private=True)
        write_new(tmp_path / "b", b"x")
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    (tmp_path / "a").chmod(0o640)
    write_whole(tmp_path / "a", b"after")
    assert ((tmp_path / "a").read_text(), stat.S_IMODE((tmp_path / "a").stat().st_mode)) == ("after", 0o640)


def test_writing_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "plan-1").write_text("before")
    (tmp_path / "latest").symlink_to("plan-1")
    write_whole(tmp_path / "latest", b"after")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "plan-1").read_text() == "after"


def test_a_device_is_written_directly() -> None:
    write_whole(Path("/dev/null"), b"x")
    check_writable(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("target", ["elsewhere", "nothing"])
def test_a_new_file_is_not_written_through_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "a").symlink_to(target)
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"x")
    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert not (tmp_path / "nothing").exists()


def test_temporary_names_differ_and_stale_files_are_removed(tmp_path: Path) -> None:
    for _ in range(3):
        os.close(open_temporary(tmp_path / "main.json")[0])
    (tmp_path / ".main.json.notes.new").write_text("somebody's")
    assert len([*tmp_path.iterdir()]) == 4
    remove_temporaries(tmp_path / "main.json")
    assert [p.name for p in tmp_path.iterdir()] == [".main.json.notes.new"]


@pytest.mark.parametrize("name", ["none/a", "file/a", "folder", "/proc/none"])
def test_an_unwritable_path_is_detected_before_writing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r".") as caught:
        check_writable(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["file", "file/a/b", "/proc/none/a", "dangling"])
def test_a_directory_that_cannot_be_created_is_detected(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("none")
    with pytest.raises(OSError, match=r"."):
        check_creatable(tmp_path / name)


def test_the_check_creates_no_directory(tmp_path: Path) -> None:
    check_creatable(tmp_path / "a/b")
    assert [*tmp_path.iterdir()] == []


def test_content_is_on_disk_before_its_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of users as well as those of the state; `tests/conftest.py` replaces `os.fsync` for all other tests."""
    synced: list[tuple[int, bool]] = []
    backend = LocalBackend(tmp_path, "main")
    target = Path(backend.journal_place)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, target.exists())))

    def made() -> list[tuple[int, bool]]:
        found, synced[:] = [*synced], []
        return found

    directory = tmp_path.stat().st_ino
    write_whole(target, b"x")
    assert made() == [(target.stat().st_ino, False)]
    target.unlink()
    write_new(target, b"x")
    assert made() == [(target.stat().st_ino, True)]
    target.unlink()
    replace(target, b"x")
    assert made() == [(target.stat().st_ino, False), (directory, True)]
    target.unlink()
    backend.append(b"x", sync=True)
    assert made() == [(target.stat().st_ino, True), (directory, True)]
    backend.append(b"x", sync=False)
    assert made() == []
    backend.clear()
    assert made() == [(target.stat().st_ino, True)]
