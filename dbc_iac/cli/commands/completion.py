"""`completion`: the completion script of a shell, written by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def command(context: click.Context, /, shell: str) -> None:
    """Print the completion script for a shell."""
    app: App = context.obj
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows each choice
    script = made(context.find_root().command, {}, "dbc-iac", "_DBC_IAC_COMPLETE").source()
    app.show(script, {"shell": shell, "script": script})
