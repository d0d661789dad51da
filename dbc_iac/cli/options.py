"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result and all problems as JSON.")
target_option = click.option(
    "--target", "targets", multiple=True, metavar="ADDRESS", help="Only this, and what it needs."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How far an apply goes: the same for apply and destroy."""
    waiting = click.option(
        "--wait-timeout", type=float, metavar="SECONDS", help="Wait no longer than this for one effect."
    )
    proving = click.option(
        "--settle", is_flag=True, help="Boot a VM that is to stay off, where only that proves what became of a call."
    )
    return waiting(proving(command))
