"""Renewal of a lease during a run, also while it waits for an answer at a prompt.

A thread, since plans, prompts and applies block the main one. A failed renewal is ignored: the next write finds that
the lease is lost, and nothing more is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state.backends.backend import Backend


@contextmanager
def keep_lease(backend: Backend, lease: float) -> Iterator[None]:
    """Renew the lock of a backend three times a lease, while it is held. `lease`: seconds."""
    ended, every = threading.Event(), lease / 3

    def beat() -> None:
        while not ended.wait(every):
            with suppress(OSError, DiagnosticError):
                backend.renew()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
