"""Commands and processes of the demo: what it runs, what it shows, and their end."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from dbc_iac.cli import CommandRuntime, run_command
from dbc_iac.cli.commands import dbc_iac
from tests.proof.server import free_port
from tools.fleet_demo.files import ADMIN_TOKEN, COMMITTER, TOKEN

PROGRAM = (sys.executable, "-m", "dbc_iac")
_PATIENCE = 120.0
"""Seconds after which the demo gives up waiting."""
_GRACE = 30.0
"""Seconds that a process gets to end."""


class DemoError(Exception):
    """The demo did not go as expected, or was interrupted."""


@dataclass
class Stage:
    """The demo in the current directory. `program`: starts dbc-iac in the background; `database`: its address."""

    program: Sequence[str]
    database: str = ""
    ports: dict[str, int] = field(default_factory=lambda: {n: free_port() for n in ("node", "admin", "one", "two")})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def environ(self) -> dict[str, str]:
        """The environment of each command: nothing of the user's but the way to programs."""
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        tokens = {"DBC_IAC_WEB_TOKEN": TOKEN, "DBC_IAC_ADMIN_TOKEN": ADMIN_TOKEN}
        return {**passed, **COMMITTER, **tokens, "HOME": str(Path.cwd()), "DBC_IAC_DATABASE": self.database}

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """End the demo before its next command."""
        self.interrupted = True

    @staticmethod
    def say(text: str) -> None:
        print(text, flush=True)

    def act(self, title: str) -> None:
        self.say(f"\n# {title}\n")

    def command(self, *arguments: str) -> None:
        """Run a command of dbc-iac, and show it with its output."""
        self._show("dbc-iac", *arguments)
        self.say(self.output(*arguments))

    def read(self, *arguments: str) -> Any:
        """The JSON value of a command that is not shown."""
        return json.loads(self.output(*arguments, "--json"))

    def output(self, *arguments: str) -> str:
        """The output of a command that is not shown. Raises DemoError if it fails."""
        out, err = io.StringIO(), io.StringIO()
        runtime = CommandRuntime(environ=self.environ, out=out, err=err, terminal=False)
        if code := run_command(dbc_iac, arguments, runtime):
            raise DemoError(f"`dbc-iac {' '.join(arguments)}` exited with code {code}: {err.getvalue().strip()}")
        return out.getvalue().rstrip()

    def git(self, *arguments: str) -> None:
        """Run git, and show it."""
        self._show("git", *arguments)
        done = subprocess.run(["git", *arguments], env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"`git {' '.join(arguments)}` exited with code {done.returncode}: {done.stderr.strip()}")

    def start(self, name: str, *arguments: str) -> None:
        """Start a command of dbc-iac in the background, with its output in a file."""
        self._show("dbc-iac", *arguments, after=" &")
        with Path(f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*self.program, *arguments], env=self.environ, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """End a process at once, and show it."""
        process = self.processes.pop(name)
        self._show("kill", "-KILL", str(process.pid))
        process.kill()
        process.wait()

    def until(self, condition: str, met: Callable[[], Any]) -> Any:
        """The first result of `met` that is true. Raises DemoError if there is none in time."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := met()):
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{condition}: not within {_PATIENCE:.0f} s.")
            time.sleep(0.4)
        return found

    def check(self) -> None:
        """Raise DemoError after an interrupt, or if a process has ended that should run."""
        if self.interrupted:
            raise DemoError("Interrupted.")
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise DemoError(f"The process {name} ended with code {process.returncode}.")

    def logs(self) -> str:
        """The last lines of the processes, for the message of a failure."""
        return "".join(f"{file.name}: {file.read_text()[-1500:]}" for file in sorted(Path().glob("*.log")))

    def end(self) -> None:
        """End all processes: the workers, then the machine that they use. The runs of a killed worker end alone."""
        for name in sorted(self.processes, key=lambda one: one == "emulator"):
            if name == "emulator":
                _end_within(Path.cwd(), but=self.processes[name].pid)
            process = self.processes[name]
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            process.kill()
            process.wait()

    def _show(self, program: str, *arguments: str, after: str = "") -> None:
        self.check()
        self.say(f"$ {shlex.join([program, *arguments])}{after}")


def _end_within(directory: Path, but: int) -> None:
    """Wait until no other process has its directory in this one, for a while; then end it. Linux alone shows it."""
    deadline = time.monotonic() + _GRACE
    while left := [process for process in _within(directory) if process not in {but, os.getpid()}]:
        if time.monotonic() > deadline:
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def _within(directory: Path) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if Path(process, "cwd").readlink().is_relative_to(directory):
                yield int(process.name)
