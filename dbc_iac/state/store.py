"""State document and journal on a backend, read and written together. Knows no protocol."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import NoReturn, TypeVar

from pydantic import ValidationError

from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import Json, load_json
from dbc_iac.secret import refuse_secrets
from dbc_iac.state.backends.backend import Backend, DeniedError, MovedError
from dbc_iac.state.document import FORMAT_VERSION, MAX_VALUES, State
from dbc_iac.state.journal import Journal, StateBackup, records_after
from dbc_iac.state.migration import migrated_state
from dbc_iac.state.sealed import refuse_sealed

T = TypeVar("T")
_LOG = logging.getLogger("dbc_iac.state")


def owner(environ: Mapping[str, str], command: str, now: datetime) -> dict[str, Json]:
    """Holder of a lock for people: host, pid, user, command, start time (UTC), and the CI run if there is one."""
    run = environ.get("CI_JOB_URL", "")
    if "GITHUB_RUN_ID" in environ:
        parts = (environ.get(k, "") for k in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        run = "/".join((*parts, "actions/runs", environ["GITHUB_RUN_ID"]))
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "user": environ.get("USER", ""),
        "command": command,
        "since": now.isoformat(timespec="seconds"),
        "run": run,
    }


class Store:
    """State of one stack on a backend."""

    def __init__(self, backend: Backend, stack: str) -> None:
        self.backend = backend
        self.stack = stack
        self.journal = Journal(backend)
        self.unfolded: StateBackup | None = None
        """The document as last read or written, and the records that followed it then."""
        self.last_plan = ""
        """Digest of the plan of the last apply in the journal, also if the state that was read has its records."""
        self._version: str | None = None

    @contextmanager
    def locked(self, holder: Mapping[str, Json]) -> Iterator[None]:
        """Hold the stack's lock. Raises DiagnosticError (exit code LOCKED) that names its holder."""
        with ExitStack() as held:
            try:
                held.enter_context(self.backend.lock(holder))
            except OSError as error:
                reason = f"cannot lock {self.backend.place} ({error.strerror})"
                _not_there(
                    "state-not-lockable", reason, error, "Check the permissions and the connection to the backend."
                )
            _LOG.debug("locked %s for %s", self.backend.place, holder.get("command"))
            held.callback(_LOG.debug, "unlocking %s", self.backend.place)
            if (lease := self.backend.lease) is not None:
                held.enter_context(_keep_lease(self.backend, lease))
            yield

    def read(self) -> State | None:
        """The state with its journal folded in; None if there is none yet. Raises DiagnosticError."""
        records = self.journal.read()  # first: without the lock, an apply may be writing the next state just now
        kept = self._from_backend(self.backend.kept)
        written = self._written()
        begins = [r for r in records if r["type"] == "begin"]
        self.last_plan = str(begins[-1]["plan"]) if begins else ""
        last = max((int(r["serial"]) for r in begins), default=-1)
        if written is None:
            self._refuse_if_lost(last, kept)
            _LOG.debug("%s does not exist yet", self.backend.place)
            return None
        if last > written.serial:
            _fail(
                "state-behind",
                f"{self.backend.place} has serial {written.serial}, its journal serial {last}",
                f"Restore {self.backend.version_place(last)} as {self.backend.place}: the journal continues it.",
            )
        if kept and kept[-1] > written.serial:
            _fail(
                "state-older",
                f"{self.backend.place} has serial {written.serial}, older than version {kept[-1]}",
                f"Restore {self.backend.version_place(kept[-1])} as {self.backend.place}; "
                "or remove the newer versions to use the older state.",
            )
        self.unfolded = StateBackup(written, records_after(records, written.serial))
        numbers = (written.serial, len(written.bindings), len(self.unfolded.records))
        _LOG.debug("read %s: serial %d, %d resources, %d journal records", self.backend.place, *numbers)
        return self.unfolded.folded

    def journalled(self) -> StateBackup:
        """The state with the records of this run, which has read it and holds the lock since: nobody else writes one.

        Nothing is read. `commit` finds a document that was changed without the lock.
        """
        assert self.unfolded is not None  # noqa: S101 - it was read, or written
        return StateBackup(self.unfolded.state, (*self.unfolded.records, *self.journal.records))

    def _written(self) -> State | None:
        """The stored document without the journal. Keeps its version for the next write."""
        stored = self._from_backend(self.backend.read)
        self.unfolded, self._version = None, None
        if stored is None:
            return None
        self._version = stored.version
        try:
            value = load_json(stored.content.decode(), most=MAX_VALUES)
        except ValueError:
            self._corrupt()
        version = value.get("formatVersion") if isinstance(value, dict) else None
        if type(version) is not int:
            refuse_sealed(value, self.backend.place)
            self._corrupt()
        if version > FORMAT_VERSION:
            _fail(
                "state-newer",
                f"{self.backend.place} has format {version}; this version reads up to {FORMAT_VERSION}",
                "Install the version of dbc-iac that wrote it, or a newer one. Nothing was changed.",
            )
        try:
            return State.of_json(value if version == FORMAT_VERSION else migrated_state(value))
        except (ValidationError, TypeError, AttributeError):
            self._corrupt()

    def _refuse_if_lost(self, last: int, kept: Sequence[int]) -> None:
        """Refuse a missing state with a journal or older versions: VMs that it managed may run."""
        if last < 0 and max(kept, default=0) == 0:
            return
        version = self.backend.version_place(last if last >= 0 else kept[-1])
        _fail(
            "state-lost",
            f"{self.backend.place} is missing, but {'its journal exists' if last >= 0 else 'older versions exist'}",
            f"Restore {version} as {self.backend.place}. If that is lost too, remove {self.backend.whole_place} "
            "and run `dbc-iac state rebuild`.",
        )

    def _from_backend(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except OSError as error:
            reason = f"cannot read {self.backend.place} ({error.strerror})"
            _not_there("state-unreadable", reason, error, "Check the permissions and the connection to the backend.")

    def _corrupt(self) -> NoReturn:
        older = [self.backend.version_place(serial) for serial in self._from_backend(self.backend.kept)]
        _fail(
            "state-corrupt",
            f"{self.backend.place} is not a state document",
            f"Restore {older[-1] if older else 'an older version'} or a backup as {self.backend.place}.",
        )

    def begin(self, state: State) -> State:
        """Write the first state, where none was read. The lock is held."""
        self._write(state)
        return state

    def look(self, *, project: str, uid: str) -> State | None:
        """The state of this project; None if there is none yet. Writes nothing, and needs no lock.

        Raises DiagnosticError if the state belongs to another project, uid or stack.
        """
        state = self.read()
        mine = (("project", project), ("uid", uid), ("stack", self.stack))
        for name, expected in mine if state is not None else ():
            if expected != (theirs := getattr(state, name)):
                _fail(
                    "state-foreign",
                    f"{self.backend.place} belongs to another {name}",
                    f"Set {name} back to {theirs}, from which the ids of VMs are derived; or use another backend.",
                    detail=f"The state has {name} {theirs}, the project {expected}.",
                )
        return state

    def commit(self, state: State) -> State:
        """Write the next version and empty the journal. A crash between the two is harmless, by the serial.

        Raises DiagnosticError if the stored state is not the version that was read, and that `state` was made from.
        """
        there = None if self.unfolded is None else self.unfolded.state
        if there is None or (there.lineage, there.serial) != (state.lineage, state.serial):
            self._moved()
        following = state.model_copy(update={"serial": state.serial + 1})
        self._write(following)
        with suppress(OSError):  # its records are of an older serial now, and are skipped
            self.backend.clear()
        return following

    def _moved(self) -> NoReturn:
        _fail(
            "state-changed",
            f"{self.backend.place} was changed by another program",
            "Find out what wrote it, then plan again. The state was not written; completed calls are in the journal.",
            ExitCode.PARTIAL,
        )

    def _write(self, state: State) -> None:
        value = state.model_dump(mode="json", by_alias=True)
        refuse_secrets(value)
        content = (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        try:
            self._version = self.backend.write(content, state.serial, self._version)
            self.unfolded = StateBackup(state)
            _LOG.info("wrote %s: serial %d, %d resources", self.backend.place, state.serial, len(state.bindings))
        except MovedError:
            self._moved()
        except OSError as error:
            raise failure(
                "state-not-written",
                f"cannot write {self.backend.place} ({error.strerror})",
                "Completed calls are in the journal as far as it could be written.",
                "Free some space or fix the permissions, then run the command again to continue from the journal.",
                exit_code=ExitCode.PARTIAL,
            ) from error


def _fail(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.ERROR, *, detail: str = "") -> NoReturn:
    raise failure(code, summary, detail, remedy, exit_code=exit_code) from None


def _not_there(code: str, summary: str, error: OSError, remedy: str) -> NoReturn:
    """Fail before anything was sent, with the remedy for a denied or unreachable backend."""
    if isinstance(error, DeniedError):
        _fail(code, summary, "Check the credentials of `state` and their permissions.", ExitCode.AUTHORISATION)
    _fail(code, summary, f"{remedy} Nothing was sent or written.")


@contextmanager
def _keep_lease(backend: Backend, lease: float) -> Iterator[None]:
    """Renew the lock of a backend three times a lease, while it is held. `lease`: seconds.

    In a thread, since plans, prompts and applies block the main one. A failed renewal is ignored: the next write finds
    that the lease is lost, and nothing more is sent.
    """
    ended, every = threading.Event(), lease / 3

    def beat() -> None:
        while not ended.wait(every):
            try:
                backend.renew()
            except (OSError, DiagnosticError) as error:
                _LOG.info("the lock of %s was not renewed: %s", backend.place, error)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
