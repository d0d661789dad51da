"""The process of one run, as its worker sees it: environment, limits, events, result, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.files.reading import MIB, file_problem, read_file

_PASSED = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE_LIMIT = 64 * MIB
GRACE = 900
"""Seconds that a run may take to close its power-off windows after it was asked to stop."""


def secrets_of(directory: Path) -> dict[str, str]:
    """The files of a directory as environment variables, without a final line end. Raises DiagnosticError."""
    found: dict[str, str] = {}
    try:
        for path in sorted(directory.iterdir()):
            if _VARIABLE.fullmatch(path.name) and path.is_file():
                text = read_file(path, MIB).decode("utf-8", "surrogateescape")
                found[path.name] = text.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DiagnosticError(file_problem(directory, error, "secrets")) from None
    if broken := [name for name, text in found.items() if "\0" in text]:
        problem = f"the secret {broken[0]} has a NUL character"
        raise failure("unsafe-secret", problem, remedy="Write it as text.")
    return found


def environment(secrets: Mapping[str, str], home: Path, worker: str) -> dict[str, str]:
    """The environment of a run: nothing of the worker's but the way to programs, time zone and certificates."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**secrets, **passed, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "USER": worker}


class RunProcess(Struct):
    """A started process. `events` yields its events; then `result` is set, or None if it ended without one."""

    process: asyncio.subprocess.Process
    result: Mapping[str, Any] | None = None

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        while True:
            try:
                line = await self.process.stdout.readline()
            except ValueError:  # longer than any result
                self.kill()
                return
            if not line.endswith(b"\n"):  # the process has ended, perhaps within a line
                return
            value = json.loads(line)
            if "result" in value:
                self.result = value["result"]
            else:
                yield value

    def stop(self) -> None:
        """Ask the run to end: calls in flight are finished, windows are closed."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@asynccontextmanager
async def started(request: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> AsyncIterator[RunProcess]:
    """Start the process of a run; at the end of the context nothing of it is left.

    The request, which has the address of the database, is written to its standard input: no other process can read it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",  # the checkout is no place for modules
        "-m",
        "dbc_iac.controller.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=cwd,
        env=dict(environ),
        start_new_session=True,
        limit=_LINE_LIMIT,
    )
    run = RunProcess(process)
    try:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        yield run
    finally:
        if process.returncode is None:
            run.kill()
        await process.wait()
