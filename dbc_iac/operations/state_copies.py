"""Copies of a state in files: written, pushed back, and planned from."""

from __future__ import annotations

from pathlib import Path

from dbc_iac.diagnostics import failure
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import read_given
from dbc_iac.files.writing import write_whole
from dbc_iac.operations.encryption import opened, opened_here
from dbc_iac.operations.errored_state import backup_content
from dbc_iac.operations.project import Project
from dbc_iac.state import State, Store
from dbc_iac.state.backends.read_only import ReadOnlyBackend
from dbc_iac.state.backup import push, read_backup
from dbc_iac.state.journal import StateBackup


def pull(project: Project, file: Path) -> None:
    """Write a copy of the state to a file, encrypted if the state is. Raises DiagnosticError."""
    state = project.state
    with writing():
        copy = project.store.unfolded or StateBackup(state)
        write_whole(file, backup_content(project, copy), private=True)


def push_file(project: Project, file: Path) -> State:
    """Replace the state with a copy, if the state has not changed since the copy. Raises DiagnosticError."""
    copy = read_backup(opened_here(_read(file), str(file), lambda: project.keyring), str(file))
    with project.locked("state push"):
        return push(copy, project.store, project=project.loaded.name, uid=project.loaded.project.uid)


def use_copy(project: Project, file: Path) -> None:
    """Read the state from a copy from now on; nothing can be written. Raises DiagnosticError if it is none."""
    copy = read_backup(opened(_read(file), str(file), lambda: project.keyring), str(file))
    project.store = Store(ReadOnlyBackend(copy, str(file)), project.stack)


def _read(file: Path) -> bytes:
    try:
        return read_given(file)
    except OSError as error:
        summary = f"cannot read {file} ({error.strerror})"
        raise failure("not-a-state", summary) from None
