"""The command of `lifecycle.beforeOffline`, run before a VM is powered off. Its output is not shown."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from dbc_iac.apply.waiting import Stop


class Hook(Struct, frozen=True):
    """A command and its working directory. `timeout` in seconds; `force`: power off even if it fails."""

    __repr__ = object.__repr__  # environment variables hold secrets

    command: tuple[str, ...]
    timeout: float
    force: bool
    directory: Path
    environ: Mapping[str, str]


GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL of a hook whose apply is interrupted."""


async def keeps_on(hook: Hook, note: Callable[[str], None], stop: Stop) -> str:
    """Run a hook. Returns the reason not to power off the VM; empty if it may be powered off.

    A signal ends the hook. Nothing is started after it, so the VM stays on.
    """
    problem = await stop.unless(run_hook(hook))
    if problem is None:
        return ""
    note(f"beforeOffline: {problem}")
    return "" if hook.force else f"beforeOffline: {problem}"


async def run_hook(hook: Hook) -> str | None:
    """Run a command. Returns the problem, or None. Its output is not shown: it may contain secrets."""
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts; the waiting is done in a thread
            hook.command,
            cwd=hook.directory,
            env=dict(hook.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its children end with it
        )
    except (OSError, ValueError) as error:
        return f"could not be started ({getattr(error, 'strerror', None) or error})"
    try:
        # Real time, also if the event loop has a virtual clock.
        code = await asyncio.to_thread(process.wait, hook.timeout)
    except subprocess.TimeoutExpired:
        _send(process, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        return f"timed out after {hook.timeout:g} s"
    except asyncio.CancelledError:
        # Not a task, which the end of the loop would cancel before it begins.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, _end, process))
        raise
    return None if code == 0 else f"exited with {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process within seconds."""
    _send(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _send(process, signal.SIGKILL)
    process.wait()


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the whole process group, children of a shell included."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
