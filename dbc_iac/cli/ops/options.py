"""Options shared by operations commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from dbc_iac.cli.options import SECONDS

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_WAIT = 3600.0
"""Seconds of --wait without --timeout."""

reveal_option = click.option("--reveal", is_flag=True, help="Show passwords instead of ***.")


def wait_options(command: F) -> F:
    """--wait and --timeout, passed as one `wait`: seconds to wait, or None without --wait."""

    @wraps(command)
    def waiting(*arguments: Any, wait: bool, timeout: float | None, **options: Any) -> Any:
        if timeout is not None and not wait:
            raise click.UsageError("--timeout needs --wait")
        seconds = LONGEST_WAIT if timeout is None else timeout
        return command(*arguments, wait=seconds if wait else None, **options)

    waiting = click.option(
        "--timeout", type=SECONDS, metavar="SECONDS", help=f"Maximum time to wait; default: {LONGEST_WAIT:g}."
    )(waiting)
    return click.option("--wait", is_flag=True, help="Wait until the change is done, not only accepted.")(waiting)  # type: ignore[return-value]
