"""The lock of a stack: one apply at a time. The kernel frees it when its holder ends, however that happens."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.files.reading import open_regular
from dbc_iac.json import Json, load_json


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


@contextmanager
def lock(directory: Path, stack: str, holder: Mapping[str, Json]) -> Iterator[None]:
    """Hold the stack's lock. Raises DiagnosticError (exit code LOCKED) that names its holder."""
    path = directory / f"{stack}.lock"
    with ExitStack() as closing:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
            closing.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DiagnosticError(_held(path, _text(descriptor))) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(dict(holder)).encode())
        except OSError as error:  # a disk that is read-only or full, a file system without locks
            raise _impossible(path, error) from error
        yield
        os.ftruncate(descriptor, 0)


def holder_of(directory: Path, stack: str) -> Mapping[str, Json] | None:
    """Holder of the stack's lock; None if it is free. Raises OSError."""
    path = directory / f"{stack}.lock"
    if not path.exists():
        return None
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(_text(descriptor))
    finally:
        os.close(descriptor)
    return None


def _text(descriptor: int) -> bytes:
    """Content of a held lock file. Its holder writes its name right after taking the lock."""
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


def held(who: Mapping[str, object], where: str, remedy: str) -> Diagnostic:
    """The problem of a held lock, with its holder."""
    named = ", ".join(f"{k} {who[k]}" for k in ("command", "host", "pid", "user", "since", "run") if who.get(k))
    return Diagnostic(
        "state-locked",
        Severity.ERROR,
        "the state is locked by another run",
        f"Held by: {named or 'unknown'}. {where}",
        remedy,
        exit_code=ExitCode.LOCKED,
    )


def _held(path: Path, text: bytes) -> Diagnostic:
    return held(
        _read_holder(text),
        f"Lock file: {path}.",
        "Use --lock-timeout 60s to wait for it. The lock is freed when its process ends.",
    )


def _impossible(path: Path, error: OSError) -> DiagnosticError:
    return failure(
        "state-not-lockable",
        f"cannot lock {path} ({error.strerror})",
        "Without a lock two runs could create every object twice.",
        "Free some space, fix the permissions, or keep the state on a local disk.",
        exit_code=ExitCode.ERROR,
    )
