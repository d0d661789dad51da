"""Commands that are imported when they are used, so that the others start fast."""

from __future__ import annotations

from importlib import import_module

import click

DAY2 = ("api", "deeplink", "disk", "image", "network", "node", "server", "snapshot", "vm", "wallet")
"""Each is `command` in the module of that name in `dbc_iac.cli.day2`."""


class LazyGroup(click.Group):
    """A group that has the day-2 commands, too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *DAY2})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in DAY2:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f"dbc_iac.cli.day2.{cmd_name}").command
        return command
