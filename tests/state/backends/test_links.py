"""Links that somebody planted in the state's directory: nothing outside is read, truncated or overwritten."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dbc_iac.state.backends.local import LocalBackend, replace
from tests.projects import Emulated, project, vm

NAMES = ["main.lock", "main.journal.jsonl", "main.json", "history"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("applied", [False, True])
def test_a_link_in_the_state_directory_is_refused(tmp_path: Path, name: str, applied: bool) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    emulated = Emulated(project(tmp_path / "lab", vm()))
    state = tmp_path / "lab/state"
    if applied:
        assert emulated.run("apply", "--yes").code == 0
        (state / name).rename(tmp_path / "away")
    state.mkdir(exist_ok=True)
    (state / name).symlink_to(outside if name == "history" else outside / "kept")
    result = emulated.run("apply", "--yes")
    assert result.code not in {0, 70}, result.err
    assert {p.name: p.read_text() for p in outside.iterdir()} == {"kept": "kept"}
    assert (state / name).is_symlink()
    assert "kept" not in result.err.replace(str(outside), "")
    emulated.close()


@pytest.mark.parametrize("name", [".main.json.new", ".main.1.json.new"])
def test_a_link_with_the_name_of_an_older_temporary_file_is_not_written_through(tmp_path: Path, name: str) -> None:
    (tmp_path / "kept").write_text("kept")
    emulated = Emulated(project(tmp_path / "lab", vm()))
    (tmp_path / "lab/state/history").mkdir(parents=True)
    (tmp_path / "lab/state" / name).symlink_to(tmp_path / "kept")
    (tmp_path / "lab/state/history" / name).symlink_to(tmp_path / "kept")
    assert emulated.run("apply", "--yes").code == 0
    assert (tmp_path / "kept").read_text() == "kept"
    emulated.close()


@pytest.mark.parametrize("path", ["state", "state/deep"])
def test_a_state_path_that_leads_out_by_a_link_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside/deep").mkdir(parents=True)
    made = project(tmp_path / "lab", vm())
    file = made.directory / "dbc-iac.yaml"
    file.write_text(f"{file.read_text()}  state: {{path: {path}}}\n")
    (tmp_path / "lab/state").symlink_to(tmp_path / "outside")
    emulated = Emulated(made)
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (3, ["outside-project"])
    assert [p.name for p in (tmp_path / "outside").rglob("*")] == ["deep"]
    emulated.close()


def test_a_state_path_that_says_outside_is_the_choice_of_the_project_file(tmp_path: Path) -> None:
    made = project(tmp_path / "lab", vm())
    file = made.directory / "dbc-iac.yaml"
    file.write_text(f"{file.read_text()}  state: {{path: {tmp_path}/elsewhere}}\n")
    emulated = Emulated(made)
    assert emulated.run("apply", "--yes").code == 0
    assert (tmp_path / "elsewhere/main.json").exists()
    emulated.close()


@pytest.mark.parametrize("name", ["main.json", "main.lock", "main.journal.jsonl"])
def test_a_pipe_instead_of_a_state_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    (tmp_path / "state").mkdir()
    os.mkfifo(tmp_path / "state" / name)
    result = emulated.run("plan")
    assert (result.code, "Not a regular file" in result.err) == (1, True), result.err
    emulated.close()


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/.main.json.0123456789abcdef.new").write_text("half")
    assert emulated.run("apply", "--yes").code == 0
    assert not [*(tmp_path / "state").rglob(".*")]
    emulated.close()


def test_state_files_are_private_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        replace(tmp_path / "a", b"x")
        LocalBackend(tmp_path, "b").append(b"x", sync=True)
        LocalBackend(tmp_path, "c").clear()
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a", "b.journal.jsonl", "c.journal.jsonl"), 0o600
    )


@pytest.mark.parametrize("name", ["main.json", "main.journal.jsonl"])
def test_a_state_file_without_end_is_refused(tmp_path: Path, name: str) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / name).touch()
    os.truncate(tmp_path / "state" / name, 10**12)
    result = emulated.run("plan")
    assert (result.code, "Larger than 256 MiB" in result.err) == (1, True), result.err
    emulated.close()
