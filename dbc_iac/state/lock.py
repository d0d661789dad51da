"""The lock of a stack: one apply at a time. The kernel frees it when its holder ends, however that happens."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json, load_json
from dbc_iac.state.files import open_own


def owner(environ: Mapping[str, str], command: str, now: datetime) -> dict[str, Json]:
    """Who holds a lock, for people: host, pid, user, command, since when (UTC), and the CI run where there is one."""
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


@contextmanager
def lock(directory: Path, stack: str, holder: Mapping[str, Json]) -> Iterator[None]:
    """Hold the stack's lock. Raises DiagnosticError (exit code LOCKED) that says who holds it."""
    path = directory / f"{stack}.lock"
    try:
        descriptor = _taken(path, holder)
    except OSError as error:  # a disk that is read-only or full, a file system without locks
        raise DiagnosticError(_impossible(path, error)) from error
    try:
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder_of(directory: Path, stack: str) -> Mapping[str, Json] | None:
    """Who holds the stack's lock; None where nobody does. Raises OSError."""
    path = directory / f"{stack}.lock"
    if not path.exists():
        return None
    descriptor = open_own(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(_text(descriptor))
    finally:
        os.close(descriptor)
    return None


def _text(descriptor: int) -> bytes:
    """What is in a lock file that is held. Its holder writes its name right after it got the lock."""
    for _ in range(10_000):
        if found := os.pread(descriptor, 65536, 0):
            return found
        os.sched_yield()
    return b""


def _read_holder(text: bytes) -> Mapping[str, Json]:
    try:
        who = load_json(text)
    except ValueError:
        who = None
    return who if isinstance(who, dict) else {}


def _taken(path: Path, holder: Mapping[str, Json]) -> int:
    """The descriptor that holds the lock while it is open. Raises OSError; DiagnosticError where another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DiagnosticError(_held(path, _text(descriptor))) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(dict(holder)).encode())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def held(who: Mapping[str, object], where: str, remedy: str) -> Diagnostic:
    """That a lock is held, by whom, since when, and where that is written."""
    said = ", ".join(f"{k} {who[k]}" for k in ("command", "host", "pid", "user", "since", "run") if who.get(k))
    return Diagnostic(
        "state-locked",
        Severity.ERROR,
        "the state is locked by another run",
        f"Held by: {said or 'unknown'}. {where}",
        remedy,
        exit_code=ExitCode.LOCKED,
    )


def _held(path: Path, text: bytes) -> Diagnostic:
    return held(_read_holder(text), f"Lock file: {path}.", "Wait for it to end. The lock goes with its process.")


def _impossible(path: Path, error: OSError) -> Diagnostic:
    return Diagnostic(
        "state-not-lockable",
        Severity.ERROR,
        f"{path} cannot be locked ({error.strerror})",
        "Without a lock two runs could create everything twice.",
        "Make room, mend the permissions, or keep the state on a local disk.",
        exit_code=ExitCode.ERROR,
    )
