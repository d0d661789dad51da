"""The time until a stack or a source is next due, with jitter."""

from __future__ import annotations

import random

from dbc_iac.controller.records import Outcome

_FIRST_RETRY = 30
_SLOWEST_FETCH = 3600


def next_run(outcome: Outcome, interval: int, failures: int, *, stopped: bool) -> float:
    """Seconds until the next run. `failures`: those of this commit before; `stopped`: by its worker, which ends."""
    if outcome is Outcome.INTERRUPTED:
        return 0.0 if stopped else _jittered(_FIRST_RETRY)
    if outcome is Outcome.FAILED:
        return _jittered(min(_FIRST_RETRY * 2 ** min(failures, 20), max(4 * interval, _FIRST_RETRY)))
    return _jittered(interval)


def next_fetch(interval: int, failures: int) -> float:
    """Seconds until the next fetch. `failures`: those in a row, this one included."""
    return _jittered(min(interval * 2 ** min(failures, 20), max(_SLOWEST_FETCH, interval)))


def _jittered(seconds: float) -> float:
    """Up to a tenth earlier or later: stacks that began together do not stay together."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
