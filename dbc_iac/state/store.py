"""The local store: a state document written whole and atomically, its last ten versions, and the journal beside it.

<directory>/<stack>.json                 the state
<directory>/<stack>.journal.jsonl        what has happened since
<directory>/history/<stack>.<serial>.json
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state.document import FORMAT_VERSION, State
from dbc_iac.state.files import FILES, Files
from dbc_iac.state.guard import refuse_secrets
from dbc_iac.state.journal import Journal, fold

KEPT = 10
"""Versions that are kept."""


class LocalStore:
    """State of one stack in a directory."""

    def __init__(self, directory: Path, stack: str, files: Files = FILES) -> None:
        self.directory = directory
        self.stack = stack
        self.path = directory / f"{stack}.json"
        self.journal = Journal(directory / f"{stack}.journal.jsonl", files)
        self._files = files

    def read(self) -> State | None:
        """The state with its journal folded in; None where there is none yet. Raises DiagnosticError."""
        records = self.journal.read()  # first: without the lock, an apply may be writing the next state just now
        written = self._written()
        begun = max((int(r["serial"]) for r in records if r["type"] == "begin"), default=-1)
        if written is None:
            self._refuse_if_lost(begun)
            return None
        if begun > written.serial:
            _fail(
                "state-behind",
                f"{self.path} has serial {written.serial}, and its journal goes on from serial {begun}",
                f"Restore {self._version(begun)} as {self.path}: the journal fits that one only.",
            )
        return fold(written, records)

    def _written(self) -> State | None:
        """The document as it is on disk, without the journal."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            self._corrupt()
        except OSError as error:
            reason = f"{self.path} cannot be read ({error.strerror})"
            _fail("state-unreadable", reason, "Check the file and its permissions.")
        return self._parse(text)

    def _refuse_if_lost(self, begun: int) -> None:
        """No state is a new project, unless something is left of an older one: then VMs may run that it knew."""
        kept = self._serials()
        if begun < 0 and max(kept, default=0) == 0:
            return
        last = self._version(begun if begun >= 0 else kept[-1])
        _fail(
            "state-lost",
            f"{self.path} is gone, and there was one: {last.parent} or the journal says so",
            f"Restore {last} as {self.path}. To begin anew, and forget what is rented, remove {self.directory} whole.",
        )

    def _version(self, serial: int) -> Path:
        return self.directory / "history" / f"{self.stack}.{serial}.json"

    def _serials(self) -> list[int]:
        """The serials of the versions that are kept, in order."""
        names = (p.name.removeprefix(f"{self.stack}.").removesuffix(".json") for p in self._version(0).parent.glob("*"))
        return sorted(int(n) for n in names if n.isdecimal())

    def _parse(self, text: str) -> State:
        try:
            value = json.loads(text)
        except ValueError:
            self._corrupt()
        version = value.get("formatVersion") if isinstance(value, dict) else None
        if type(version) is not int:
            self._corrupt()
        if version > FORMAT_VERSION:
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
        """The state of this project; a fresh one, written at once, where there is none. The lock is held.

        Raises DiagnosticError where the state belongs to another project, uid or stack.
        """
        state = self.look(project=project, uid=uid)
        if state is None:
            state = State(lineage=lineage, project=project, uid=uid, stack=self.stack)
            self._write(state)
        return state

    def look(self, *, project: str, uid: str) -> State | None:
        """The state of this project, None where there is none yet. Writes nothing, and needs no lock."""
        state = self.read()
        mine = (("project", project), ("uid", uid), ("stack", self.stack))
        for name, expected in mine if state is not None else ():
            if expected != (theirs := getattr(state, name)):
                _fail(
                    "state-foreign",
                    f"{self.path} belongs to {name} {theirs}, not {expected}",
                    f"The ids of VMs are derived from it: set {name} back to {theirs}, or use another state directory.",
                )
        return state

    def under_way(self) -> str:
        """The digest of the plan of an apply that was ended; empty where none was."""
        begun = [r for r in self.journal.read() if r["type"] == "begin"]
        return str(begun[-1]["plan"]) if begun else ""

    def commit(self, state: State) -> State:
        """Write the next version and empty the journal. A crash between the two is harmless: the serial tells.

        Raises DiagnosticError where the file is not the one that `state` was made from.
        """
        there = self._written()
        if there is None or (there.lineage, there.serial) != (state.lineage, state.serial):
            _fail(
                "state-moved",
                f"{self.path} is not the one that was read: something else has changed it",
                "Nothing was written; what was done is in the journal. Find out what wrote it, and plan again.",
                ExitCode.PARTIAL,
            )
        following = state.model_copy(update={"serial": state.serial + 1})
        self._write(following)
        with suppress(OSError):  # its records are of an older serial now, and are passed over
            self.journal.clear()
        return following

    def _write(self, state: State) -> None:
        value = state.model_dump(mode="json", by_alias=True)
        refuse_secrets(value)
        content = (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        version = self._version(state.serial)
        try:
            version.parent.mkdir(parents=True, exist_ok=True)
            self._files.replace(version, content)
            self._files.replace(self.path, content)
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
        with suppress(OSError):  # one version too many does no harm
            self._version(state.serial - KEPT).unlink(missing_ok=True)


def _fail(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.ERROR) -> NoReturn:
    raise DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code)) from None
