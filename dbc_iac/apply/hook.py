"""The command of `lifecycle.beforeOffline`, run before a VM is powered off. Its output is not shown."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Hook:
    """A command and its working directory. `timeout` in seconds; `force`: power off even if it fails."""

    command: tuple[str, ...]
    timeout: float
    force: bool
    directory: Path
    environ: Mapping[str, str]


async def keeps_on(hook: Hook, note: Callable[[str], None]) -> str:
    """Run a hook. Returns the reason not to power off the VM; empty if it may be powered off."""
    problem = await run_hook(hook)
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
            start_new_session=True,  # Ctrl-C does not reach it: a started shutdown completes
        )
    except (OSError, ValueError) as error:
        return f"could not be started ({getattr(error, 'strerror', None) or error})"
    try:
        # Real time, also if the event loop has a virtual clock.
        code = await asyncio.to_thread(process.wait, hook.timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        await asyncio.to_thread(process.wait)
        return f"timed out after {hook.timeout:g} s"
    except asyncio.CancelledError:
        _end(process)
        raise
    return None if code == 0 else f"exited with {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole process group, children of a shell included."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
