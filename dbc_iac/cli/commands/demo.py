"""`demo`: the main workflow on the embedded emulator."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.extras import require_emulator
from dbc_iac.cli.options import json_option


@click.command("demo")
@json_option
@click.pass_context
def command(context: click.Context, /) -> None:
    """Run the main workflow on an emulator.

    Plans, applies, repairs and destroys a training cluster, in this process and on a virtual clock.
    """
    app: App = context.obj
    require_emulator()
    from dbc_iac.cli.demo_story import run_demo

    run_demo(app, context.find_root().command)
