"""The store: the state document and its journal on a backend, read and written as one. Knows no protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json
from dbc_iac.state.backends.backend import Backend, DeniedError, MovedError
from dbc_iac.state.backends.local import LocalBackend
from dbc_iac.state.document import FORMAT_VERSION, State
from dbc_iac.state.encryption.document import refuse_sealed
from dbc_iac.state.files import FILES, Files
from dbc_iac.state.journal import Journal, Record, fold, going_on
from dbc_iac.state.lease_renewal import keep_lease
from dbc_iac.state.secret_guard import refuse_secrets


class Store:
    """State of one stack on a backend."""

    def __init__(self, backend: Backend, stack: str) -> None:
        self.backend = backend
        self.stack = stack
        self.journal = Journal(backend)
        self._version: str | None = None
        self.unfolded: tuple[State | None, tuple[Record, ...]] = None, ()
        """The document as it was read or written last, and the records that go on from it."""

    @contextmanager
    def locked(self, holder: Mapping[str, Json]) -> Iterator[None]:
        """Hold the stack's lock. Raises DiagnosticError (exit code LOCKED) that says who holds it."""
        with ExitStack() as held:
            try:
                held.enter_context(self.backend.lock(holder))
            except OSError as error:
                reason = f"{self.backend.place} cannot be locked ({error.strerror})"
                _not_there("state-not-lockable", reason, error, "Check that it can be reached.")
            held.enter_context(keep_lease(self.backend))
            yield

    def read(self) -> State | None:
        """The state with its journal folded in; None where there is none yet. Raises DiagnosticError."""
        records = self.journal.read()  # first: without the lock, an apply may be writing the next state just now
        kept = self._kept()
        written = self._written()
        begun = max((int(r["serial"]) for r in records if r["type"] == "begin"), default=-1)
        if written is None:
            self._refuse_if_lost(begun, kept)
            return None
        if begun > written.serial:
            _fail(
                "state-behind",
                f"{self.backend.place} has serial {written.serial}, and its journal goes on from serial {begun}",
                f"Restore {self.backend.version_place(begun)} as {self.backend.place}: the journal fits that one only.",
            )
        if kept and kept[-1] > written.serial:
            _fail(
                "state-older",
                f"{self.backend.place} has serial {written.serial}, and one of serial {kept[-1]} is kept beside it",
                f"Somebody put an older one there: restore {self.backend.version_place(kept[-1])} as it. "
                "Where the older one is meant, remove the newer versions.",
            )
        self.unfolded = written, tuple(going_on(records, written.serial))
        return fold(written, records)

    def _written(self) -> State | None:
        """The document as it is there, without the journal. Keeps its version for the next write."""
        try:
            stored = self.backend.read()
            text = None if stored is None else stored.content.decode()
        except UnicodeDecodeError:
            self._corrupt()
        except OSError as error:
            reason = f"{self.backend.place} cannot be read ({error.strerror})"
            _not_there("state-unreadable", reason, error, "Check that it can be reached, and its permissions.")
        self._version = None if stored is None else stored.version
        return None if text is None else self._parse(text)

    def _refuse_if_lost(self, begun: int, kept: Sequence[int]) -> None:
        """No state is a new project, unless something is left of an older one: then VMs may run that it knew."""
        if begun < 0 and max(kept, default=0) == 0:
            return
        last = self.backend.version_place(begun if begun >= 0 else kept[-1])
        _fail(
            "state-lost",
            f"{self.backend.place} is gone, and there was one: its journal or an older version says so",
            f"Restore {last} as {self.backend.place}. "
            f"Where that is gone, too, remove {self.backend.whole_place}: then `dbc-iac state rebuild` finds again "
            "what the machines prove to be ours.",
        )

    def _kept(self) -> list[int]:
        try:
            return self.backend.kept()
        except OSError as error:
            reason = f"{self.backend.place} cannot be read ({error.strerror})"
            _not_there("state-unreadable", reason, error, "Check that it can be reached, and its permissions.")

    def _parse(self, text: str) -> State:
        try:
            value = load_json(text)
        except ValueError:
            self._corrupt()
        refuse_sealed(value, self.backend.place)
        version = value.get("formatVersion") if isinstance(value, dict) else None
        if type(version) is not int:
            self._corrupt()
        if version > FORMAT_VERSION:
            _fail(
                "state-newer",
                f"{self.backend.place} has format {version}, and this dbc-iac knows up to {FORMAT_VERSION}",
                "Use the newer dbc-iac that wrote it. Nothing was changed.",
            )
        try:
            return State.model_validate(value)
        except ValidationError:
            self._corrupt()

    def _corrupt(self) -> NoReturn:
        older = [self.backend.version_place(serial) for serial in self._kept()]
        _fail(
            "state-corrupt",
            f"{self.backend.place} is not a state document",
            f"Restore it from {older[-1] if older else 'an older version'} or from a backup.",
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

    def begin(self, state: State) -> State:
        """A state where there is none yet. The lock is held."""
        if self._written() is not None:
            self._moved()
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
                    f"{self.backend.place} belongs to {name} {theirs}, not {expected}",
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
            self._moved()
        following = state.model_copy(update={"serial": state.serial + 1})
        self._write(following)
        with suppress(OSError):  # its records are of an older serial now, and are passed over
            self.journal.clear()
        return following

    def _moved(self) -> NoReturn:
        _fail(
            "state-moved",
            f"{self.backend.place} is not the one that was read: something else has changed it",
            "Nothing was written; what was done is in the journal. Find out what wrote it, and plan again.",
            ExitCode.PARTIAL,
        )

    def _write(self, state: State) -> None:
        value = state.model_dump(mode="json", by_alias=True)
        refuse_secrets(value)
        content = (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        try:
            self.backend.write(content, state.serial, self._version)
            self.unfolded = state, ()
        except MovedError:
            self._moved()
        except OSError as error:
            raise DiagnosticError(
                Diagnostic(
                    "state-not-written",
                    Severity.ERROR,
                    f"{self.backend.place} could not be written ({error.strerror})",
                    "What was done is in the journal as far as that could be written.",
                    "Make room or mend the permissions, and apply again: it goes on from the journal.",
                    exit_code=ExitCode.PARTIAL,
                )
            ) from error


class LocalStore(Store):
    """State of one stack in a directory."""

    def __init__(self, directory: Path, stack: str, files: Files = FILES) -> None:
        super().__init__(LocalBackend(directory, stack, files), stack)
        self.directory = directory


def _fail(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.ERROR) -> NoReturn:
    raise DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code)) from None


def _not_there(code: str, summary: str, error: OSError, remedy: str) -> NoReturn:
    """Nothing was done at a place that does not let us, or is not there."""
    if isinstance(error, DeniedError):
        _fail(code, summary, "Check the credentials of `state`, and what they are good for.", ExitCode.AUTHORISATION)
    _fail(code, summary, f"{remedy} Nothing was sent or written.")
