"""The options that only day-2 commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbc_iac.cli.options import SECONDS

F = TypeVar("F", bound=Callable[..., Any])

reveal_option = click.option("--reveal", is_flag=True, help="Show passwords. Without it they are ***.")


def wait_options(command: F) -> F:
    """--wait and --timeout."""
    command = click.option(
        "--timeout",
        type=SECONDS,
        default=3600.0,
        show_default=True,
        metavar="SECONDS",
        help="Wait no longer than this.",
    )(command)
    return click.option("--wait", is_flag=True, help="Wait until it is done, not only accepted.")(command)


def timeout_of(wait: bool, timeout: float) -> float | None:
    """Seconds to wait; None where the user does not."""
    return timeout if wait else None
