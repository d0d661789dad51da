"""`emulator`: serve an emulated network."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.extras import require_emulator
from dbc_iac.cli.options import FILE, Number, json_option
from dbc_iac.manifest.scaffold import WORLD

TIME_SCALE = Number(min=0, min_open=True, max=1_000_000)


@click.command("emulator")
@click.option(
    "--world", type=FILE,
    help="World file: the nodes, wallets and rent orders to emulate; default: world.yaml of the project.",
)  # fmt: skip
@click.option(
    "--listen",
    multiple=True,
    default=("127.0.0.1:5050",),
    show_default=True,
    metavar="[NODE=]HOST:PORT",
    help="Loopback address of NODE (client node, GPU node, manager, or `chain`; default: the first client node); "
    "repeatable.",
)
@click.option("--admin", default="", metavar="HOST:PORT", help="Address of the admin API.")
@click.option(
    "--admin-token",
    default="",
    envvar="DBC_IAC_ADMIN_TOKEN",
    help="Token of the admin API; prefer the environment variable DBC_IAC_ADMIN_TOKEN.",
)
@click.option(
    "--time-scale", type=TIME_SCALE, metavar="NUMBER", help="Emulated seconds per real second; default: the world's."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to save the emulated world to, and to load it from.",
)
@json_option
@click.pass_obj
def command(
    app: App,
    /,
    world: Path | None,
    listen: tuple[str, ...],
    admin: str,
    admin_token: str,
    time_scale: float | None,
    keep: Path | None,
) -> None:
    """Serve an emulated DBC network on a loopback port."""
    require_emulator()
    from dbc_iac.cli.emulator_server import serve_world

    serve_world(app, world or app.directory / WORLD, listen, admin, admin_token, time_scale, keep)
