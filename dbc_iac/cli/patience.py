"""Waiting for a lock that another run has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from dbc_iac.cli.runtime import Runtime
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.report.lines import escaped
from dbc_iac.state import owner
from dbc_iac.values import Json

_AGAIN = 5.0
"""Seconds after which a lock is tried again."""


@contextmanager
def patiently(
    runtime: Runtime,
    lock: Callable[[Mapping[str, Json]], AbstractContextManager[None]],
    command: str,
    patience: float,
) -> Iterator[None]:
    """Hold a lock; try again for `patience` seconds while another run has it. Raises what the lock raised last."""
    left = patience
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(owner(runtime.environ, command, runtime.now())))
                break
            except DiagnosticError as error:
                if left <= 0 or error.exit_code is not ExitCode.LOCKED:
                    raise
                if left == patience:
                    who = escaped(error.diagnostics[0].detail)
                    runtime.tell(f"waiting up to {patience:g} s for the lock of the state. {who}")
            pause = min(_AGAIN, left)
            runtime.run(asyncio.sleep(pause))
            left -= pause
        yield
