"""Commands that are imported when they are used, so that the others start fast."""

from __future__ import annotations

from importlib import import_module

import click

PLACES = {
    "node": "node",
    "vm": "vm",
    "disk": "storage",
    "snapshot": "storage",
    "image": "storage",
    "network": "rooms",
    "server": "rooms",
    "deeplink": "rooms",
    "wallet": "wallet",
    "api": "raw",
}
"""Command -> module of `dbc_iac.cli.day2` that has it under that name."""


class LazyGroup(click.Group):
    """A group that has the day-2 commands, too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *PLACES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in PLACES:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"dbc_iac.cli.day2.{PLACES[cmd_name]}"), cmd_name)
        return command
