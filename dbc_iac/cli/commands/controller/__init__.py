"""`controller`: many stacks on many machines, a module for each command."""

from __future__ import annotations

import click

from dbc_iac.cli.commands import LazyGroup

_COMMANDS = (
    "approve", "history", "logs", "reconcile", "reject", "resume", "run", "status", "suspend", "validate",
)  # fmt: skip


@click.group(
    "controller",
    cls=LazyGroup,
    path="controller",
    modules={name: f"dbc_iac.cli.commands.controller.{name}" for name in _COMMANDS},
)
def command() -> None:
    """Reconcile many stacks from git repositories."""
