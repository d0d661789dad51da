"""`emulator` and `demo`: the emulated network, which comes with an extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import Number, json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity

TIME_SCALE = Number(min=0, min_open=True, max=1_000_000)


@click.command()
@json_option
@click.pass_context
def demo(context: click.Context, /, as_json: bool) -> None:
    """Run the main job on the embedded emulator, and tell what happens."""
    from dbc_iac.cli.demo import run_demo

    app = context.find_object(App)
    assert app is not None  # noqa: S101 - every command has one
    app.json = as_json
    _need_emulator()
    run_demo(app, context.find_root().command)


@click.command()
@click.option("--world", required=True, type=click.Path(path_type=Path, dir_okay=False), help="World file.")
@click.option(
    "--listen",
    multiple=True,
    default=("127.0.0.1:5050",),
    show_default=True,
    metavar="[NODE=]HOST:PORT",
    help="A port of a client node, GPU node or manager (default: the first client); repeatable, loopback only.",
)
@click.option("--admin", default="", metavar="HOST:PORT", help="Port of the admin API.")
@click.option("--admin-token", default="", envvar="DBC_IAC_ADMIN_TOKEN", help="Its token; better in the environment.")
@click.option(
    "--time-scale", type=TIME_SCALE, metavar="NUMBER", help="Emulated seconds in one real second; default: the world's."
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Folder that the world is kept in.")
@json_option
@click.pass_obj
def emulator(
    app: App,
    /,
    world: Path,
    listen: tuple[str, ...],
    admin: str,
    admin_token: str,
    time_scale: float | None,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Serve an emulated DBC network on a loopback port."""
    app.json = as_json
    _need_emulator()
    from dbc_iac.cli.emulator_server import serve_world

    serve_world(app, world, listen, admin, admin_token, time_scale, keep)


def _need_emulator() -> None:
    """The emulator comes with an extra."""
    if find_spec("looptime") is None:
        raise DiagnosticError(
            Diagnostic(
                "extra-missing",
                Severity.ERROR,
                "the emulator is not installed",
                remedy="Install it with: pip install 'dbc-iac[emulator]'",
            )
        )
