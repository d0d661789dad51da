"""States that an apply could not write to its backend: kept in a file beside the project file until they are pushed."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.writing import write_new
from dbc_iac.operations.encryption import sealed_copy

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project
    from dbc_iac.state import State
    from dbc_iac.state.journal import StateBackup

_TRIES = 100


def pending_errored_state(project: Project, serial: int) -> Diagnostic | None:
    """An error while an errored state of this stack waits to be pushed: a plan without it could repeat its changes.

    `serial`: of the state; earlier errored states are in it.
    """
    found = {
        file: file.name.split(".")[-3].partition("-")[0]
        for file in project.directory.glob(f"errored.{project.stack}.*.state.json")
    }
    files = sorted(file for file, number in found.items() if number.isdecimal() and int(number) >= serial)
    if not files:
        return None
    named = ", ".join(str(file) for file in files)
    return Diagnostic(
        "errored-state-waits",
        Severity.ERROR,
        "an earlier apply is not in the state",
        f"Its changes are only in {named}. A plan without that file can repeat completed changes.",
        f"Run `{_push(files[0])}`. If the push is refused and its changes are in the state already, remove the file.",
        exit_code=ExitCode.REFUSED,
    )


def state_to_edit(project: Project) -> State:
    """The state, which is locked, for a command that writes it without a plan.

    Raises DiagnosticError while an errored state waits: after the next write it could not be pushed any more.
    """
    state = project.stored_state(project.state)
    refuse_errored_state(project, state.serial)
    return state


def refuse_errored_state(project: Project, serial: int) -> None:
    """Raise DiagnosticError while an errored state waits to be pushed."""
    if (waiting := pending_errored_state(project, serial)) is not None:
        raise DiagnosticError(waiting)


def _push(file: Path) -> str:
    return f"dbc-iac state push {shlex.quote(str(file.absolute()))}"


def keep_errored_state(project: Project, copy: StateBackup) -> Diagnostic:
    """Write the outcome of an apply to a file beside the project file."""
    try:
        file = _write_beside(project, copy)
    except OSError as error:
        return Diagnostic(
            "errored-state",
            Severity.ERROR,
            f"cannot write {error.filename or 'a copy'} either ({error.strerror})",
            "The changes are on the nodes, and in the journal as far as it could be written.",
            "Run the command again: it finds the objects by their markers and ids.",
            exit_code=ExitCode.PARTIAL,
        )
    return Diagnostic(
        "errored-state",
        Severity.ERROR,
        f"the state of this apply is kept in {file}",
        "The backend does not have it. Keep the file: nothing else records these changes.",
        f"When {project.store.backend.place} is writable, run `{_push(file)}` before any other apply. "
        "If the state is locked by this run, run `dbc-iac state unlock` first, or wait until its lease expires.",
        exit_code=ExitCode.PARTIAL,
    )


def _write_beside(project: Project, copy: StateBackup) -> Path:
    """Write a new file. An existing one is the only record of another apply, and is kept. Raises OSError."""
    name = f"errored.{project.stack}.{copy.state.serial}"
    for number in range(1, _TRIES):
        file = project.directory / f"{name}{f'-{number}' if number > 1 else ''}.state.json"
        try:
            write_new(file, backup_content(project, copy))
        except FileExistsError:
            continue
        return file
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def backup_content(project: Project, copy: StateBackup) -> bytes:
    """The bytes of a copy of the state: encrypted if the state is."""
    content, keys = copy.text(), project.keyring
    return content if keys is None else sealed_copy(content, copy.state, keys)
