"""A PostgreSQL server of a proof, which is restarted, and a proxy before it, which is cut."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.state.servers.postgres import programs_of

_SETTINGS = ("-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "fsync=off")


@dataclass
class Server:
    """A server on a port of its own. Everybody on this machine may log in."""

    home: Path
    user: str | None
    programs: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Server]:
        home = Path(tempfile.mkdtemp(prefix="proof-postgres-"))
        try:
            user, programs = programs_of(home)
            made = cls(home, user, programs, free_port())
            made._run("initdb", "-D", str(home / "data"), "--auth=trust", "-U", "postgres", "-N").wait()
            try:
                made.start()
                yield made
            finally:
                made.stop()
        finally:
            shutil.rmtree(home, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"postgresql://127.0.0.1:{self.port}/postgres?user=postgres"

    def start(self) -> None:
        line = ("-D", str(self.home / "data"), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.home))
        self.process = self._run("postgres", *line, *_SETTINGS)
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, (self.home / "log").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # connections are ended
            self.process.wait()
            self.process = None

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as out:
            line = [str(self.programs / program), *arguments]
            return subprocess.Popen(
                line, cwd="/", user=self.user, stdout=out, stderr=out, env={"PATH": os.environ["PATH"]},
                start_new_session=True,  # Ctrl-C is not for it
            )  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Proxy:
    """A TCP proxy before a port of this machine. A cut one ends its connections and refuses new ones."""

    target: int
    port: int = field(default_factory=free_port)
    is_cut: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            self.cut()
            server.close()

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._open:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        both = {writer, far_writer}
        self._open |= both
        with suppress(OSError):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._open -= both


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
