"""`state`: administration of the state, a module for each command."""

from __future__ import annotations

import click

from dbc_iac.cli.commands import LazyGroup

_COMMANDS = (
    "decrypt", "encrypt", "list", "migrate", "mv", "new-key", "pull", "push", "rebuild", "rm", "rotate-key", "show",
    "unlock",
)  # fmt: skip


@click.group(
    "state",
    cls=LazyGroup,
    path="state",
    modules={name: f"dbc_iac.cli.commands.state.{name.replace('-', '_')}" for name in _COMMANDS},
)
def command() -> None:
    """Show, repair, copy, move and encrypt the state."""
