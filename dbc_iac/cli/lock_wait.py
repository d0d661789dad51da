"""Waiting for a lock that another run has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from dbc_iac.cli.runtime import Runtime
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.json import Json
from dbc_iac.state import owner
from dbc_iac.views.text.lines import escaped

_AGAIN = 5.0
"""Seconds after which a lock is tried again."""


@contextmanager
def wait_for_lock(
    runtime: Runtime,
    lock: Callable[[Mapping[str, Json]], AbstractContextManager[None]],
    command: str,
    timeout_seconds: float,
) -> Iterator[None]:
    """Hold a lock; try again for `patience` seconds while another run has it. Raises what the lock raised last."""
    left = timeout_seconds
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(owner(runtime.environ, command, runtime.now())))
                break
            except DiagnosticError as error:
                if left <= 0 or error.exit_code is not ExitCode.LOCKED:
                    raise
                if left == timeout_seconds:
                    who = escaped(error.diagnostics[0].detail)
                    runtime.tell(f"waiting up to {timeout_seconds:g} s for the lock of the state. {who}")
            pause = min(_AGAIN, left)
            runtime.run(asyncio.sleep(pause))
            left -= pause
        yield
