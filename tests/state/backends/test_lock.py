"""The lock between processes."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.state.backends.local import LocalBackend

SPAWN = multiprocessing.get_context("spawn")


def take(directory: Path, said: Connection) -> None:
    """Try to take the lock, say what came of it, and keep it until told otherwise."""
    said.recv()
    try:
        with LocalBackend(directory, "main").lock({"command": "apply", "host": "ci-7"}):
            said.send("held")
            said.recv()
    except DiagnosticError as error:
        said.send(error.diagnostics[0].code)


def test_of_two_processes_one_holds_it_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=take, args=(tmp_path, there))
        process.start()
        runs.append((process, here))
    try:
        for _, connection in runs:
            connection.send("go")
        answers = [connection.recv() for _, connection in runs]
        assert sorted(answers) == ["held", "state-locked"]
        with pytest.raises(DiagnosticError) as caught, LocalBackend(tmp_path, "main").lock({}):
            pass
        assert caught.value.exit_code is ExitCode.LOCKED
        assert "command apply, host ci-7" in caught.value.diagnostics[0].detail
        holder = runs[answers.index("held")][0]
        holder.kill()
        holder.join()
        with LocalBackend(tmp_path, "main").lock({}):
            pass
    finally:
        for process, _ in runs:
            process.kill()
            process.join()


def test_a_directory_that_cannot_be_locked_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiagnosticError) as caught, LocalBackend(tmp_path / "file", "main").lock({}):
        pass
    assert caught.value.diagnostics[0].code == "state-not-lockable"
