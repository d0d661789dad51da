"""Options shared by operations commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbc_iac.cli.options import SECONDS

F = TypeVar("F", bound=Callable[..., Any])

reveal_option = click.option("--reveal", is_flag=True, help="Show passwords instead of ***.")


def wait_options(command: F) -> F:
    """--wait and --timeout."""
    command = click.option(
        "--timeout",
        type=SECONDS,
        default=3600.0,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to wait.",
    )(command)
    return click.option("--wait", is_flag=True, help="Wait until the change is done, not only accepted.")(command)


def timeout_of(wait: bool, timeout: float) -> float | None:
    """Seconds to wait; None without --wait."""
    return timeout if wait else None
