"""Cache of sessions: in memory, and in one private file each below a cache directory.

A session never expires and opens every VM of its wallet on the target. So the files are readable by their owner only,
symbolic links and files of other users are not opened, and a session whose signature does not verify is not used. A
cache that cannot be written costs one signature per run and never fails a call.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dbc_iac.api.auth.credentials import SessionCredentials, SessionOwner
from dbc_iac.api.auth.keys import SessionId
from dbc_iac.json import load_json
from dbc_iac.secret import SecretText

_FORMAT = 1
_MAX = 64 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # exclusive: follows no symbolic link either


def cache_directory(environment: Mapping[str, str]) -> Path:
    """The user's cache directory for sessions: below `XDG_CACHE_HOME`, else `~/.cache`. Never in a project."""
    base = environment.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):  # by the XDG rules a relative path is ignored
        base = f"{environment.get('HOME') or Path.home()}/.cache"
    return Path(base) / "dbc-iac" / "sessions"


class SessionStore:
    """Sessions by target process and account. `directory` None keeps them in memory only."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._sessions: dict[tuple[str, str], SessionCredentials] = {}
        self._obtained: set[tuple[str, str]] = set()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def lock(self, target: str, owner: SessionOwner) -> asyncio.Lock:
        """Held while a session is obtained, so that it is obtained once."""
        return self._locks.setdefault((target, owner.account), asyncio.Lock())

    def load(self, target: str, owner: SessionOwner) -> SessionCredentials | None:
        key = (target, owner.account)
        if key not in self._sessions:
            session = self._read(*key)
            if session is None or not owner.accepts(session):
                return None
            self._sessions[key] = session
        return self._sessions[key]

    def save(self, target: str, owner: SessionOwner, session: SessionCredentials) -> None:
        self._sessions[target, owner.account] = session
        self._obtained.add((target, owner.account))
        self._write(target, owner.account, session)

    def drop(self, target: str, owner: SessionOwner, session: SessionCredentials) -> None:
        """Forget a session that the target calls invalid, unless it was replaced meanwhile.

        A session obtained by this process stays in memory: else a target could request signatures without end.
        """
        key = (target, owner.account)
        if self._sessions.get(key) == session and key not in self._obtained:
            del self._sessions[key]
        if self._read(*key) == session:
            with suppress(OSError), self._opened() as directory:
                os.unlink(_name(*key), dir_fd=directory)

    def _read(self, target: str, account: str) -> SessionCredentials | None:
        try:
            with self._opened() as directory:
                handle = os.open(_name(target, account), _READ, dir_fd=directory)
            with os.fdopen(handle, encoding="utf-8") as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    return None
                kept = load_json(file.read(_MAX))
            if (kept["formatVersion"], kept["target"], kept["account"]) != (_FORMAT, target, account):
                return None
            return SessionCredentials(SessionId(SecretText(kept["id"])).secret, SecretText(kept["sign"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, target: str, account: str, session: SessionCredentials) -> None:
        kept = {
            "formatVersion": _FORMAT,
            "target": target,
            "account": account,
            "id": session.id.reveal(),
            "sign": session.sign.reveal(),
        }
        name = _name(target, account)
        new = f".{name}.{os.getpid()}"
        with suppress(OSError), self._opened() as directory:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=directory)  # left behind by a process with the same id
            with os.fdopen(os.open(new, _CREATE, 0o600, dir_fd=directory), "w", encoding="utf-8") as file:
                json.dump(kept, file)
            os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Descriptor of the directory, created if missing; all names are relative to it. Raises OSError."""
        if self._directory is None:
            raise FileNotFoundError("sessions are kept in memory only")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.fstat(directory)
            if status.st_uid != os.geteuid():
                raise PermissionError("the session cache belongs to somebody else")
            if stat.S_IMODE(status.st_mode) & 0o077:
                os.fchmod(directory, 0o700)
            yield directory
        finally:
            os.close(directory)


def _name(target: str, account: str) -> str:
    return hashlib.blake2b(f"{target}\0{account}".encode(), digest_size=16).hexdigest() + ".json"
