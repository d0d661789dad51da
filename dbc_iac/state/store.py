"""The local store: a state document written whole and atomically, its last ten versions, and the journal beside it.

<directory>/<stack>.json                 the state
<directory>/<stack>.journal.jsonl        what has happened since
<directory>/history/<stack>.<serial>.json
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state.document import FORMAT_VERSION, State
from dbc_iac.state.guard import refuse_secrets
from dbc_iac.state.journal import Journal, fold

KEPT = 10
"""Versions that are kept."""


class LocalStore:
    """State of one stack in a directory."""

    def __init__(self, directory: Path, stack: str) -> None:
        self.directory = directory
        self.stack = stack
        self.path = directory / f"{stack}.json"
        self.journal = Journal(directory / f"{stack}.journal.jsonl")

    def read(self) -> State | None:
        """The state with its journal folded in; None where there is none yet. Raises DiagnosticError."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            _fail("state-unreadable", f"{self.path} cannot be read ({error})", "Check the file and its permissions.")
        return fold(self._parse(text), self.journal.read())

    def _parse(self, text: str) -> State:
        try:
            value = json.loads(text)
        except ValueError:
            self._corrupt()
        version = value.get("formatVersion") if isinstance(value, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            _fail(
                "state-newer",
                f"{self.path} has format {version}, and this dbc-iac knows up to {FORMAT_VERSION}",
                "Use the newer dbc-iac that wrote it. Nothing was changed.",
            )
        try:
            return State.model_validate(value)
        except ValidationError:
            self._corrupt()

    def _corrupt(self) -> NoReturn:
        _fail(
            "state-corrupt",
            f"{self.path} is not a state document",
            f"Restore it from {self.directory / 'history'} or from a backup.",
        )

    def open(self, *, project: str, uid: str, lineage: str) -> State:
        """The state of this project; a fresh one, written at once, where there is none.

        Raises DiagnosticError where the state belongs to another project, uid or stack.
        """
        state = self.read()
        if state is None:
            state = State(lineage=lineage, project=project, uid=uid, stack=self.stack)
            self._write(state)
            self.journal.clear()
            return state
        for name, mine, theirs in (
            ("project", project, state.project),
            ("uid", uid, state.uid),
            ("stack", self.stack, state.stack),
        ):
            if mine != theirs:
                _fail(
                    "state-foreign",
                    f"{self.path} belongs to {name} {theirs}, not {mine}",
                    f"The ids of VMs are derived from it: set {name} back to {theirs}, or use another state directory.",
                )
        return state

    def commit(self, state: State) -> State:
        """Write the next version and empty the journal. A crash between the two is harmless: the serial tells."""
        following = state.model_copy(update={"serial": state.serial + 1})
        self._write(following)
        self.journal.clear()
        return following

    def _write(self, state: State) -> None:
        value = state.model_dump(mode="json", by_alias=True)
        refuse_secrets(value)
        data = (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            history = self.directory / "history"
            history.mkdir(exist_ok=True)
            _replace(history / f"{self.stack}.{state.serial}.json", data)
            _replace(self.path, data)
            old = history / f"{self.stack}.{state.serial - KEPT}.json"
            old.unlink(missing_ok=True)
        except OSError as error:
            raise DiagnosticError(
                Diagnostic(
                    "state-not-written",
                    Severity.ERROR,
                    f"{self.path} could not be written ({error.strerror})",
                    "What was done is in the journal as far as that could be written.",
                    "Make room or mend the permissions, and apply again: it goes on from the journal.",
                    exit_code=ExitCode.PARTIAL,
                )
            ) from error


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; it survives a power failure once this returns."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _fail(code: str, summary: str, remedy: str) -> NoReturn:
    raise DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.ERROR)) from None
