"""`schema`: write the published JSON Schemas."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.controller.fleet import fleet_schema
from dbc_iac.diagnostics import ExitCode
from dbc_iac.files.outputs import refuse_link_out, writing
from dbc_iac.files.writing import write_whole
from dbc_iac.operations.schemas import contracts


@click.command("schema")
@click.option(
    "--output",
    default="specs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the schemas.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file differs.")
@json_option
@click.pass_obj
def command(app: App, /, output: Path, check: bool) -> None:
    """Write the JSON Schemas of manifests. Editors complete and check manifests with them."""
    stale: list[str] = []
    for name, text in sorted((output / n, t) for n, t in {**contracts(), **fleet_schema()}.items()):
        path = app.directory / name
        with writing():
            if path.exists() and path.read_bytes() == text.encode():
                continue
        stale.append(str(path))
        if not check:
            refuse_link_out(path, app.directory)
            with writing():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text.encode())
    verb = "differs" if check else "wrote"
    app.show("\n".join(f"{verb} {p}" for p in stale) or "All schemas are up to date.", stale)
    if check and stale:
        raise click.exceptions.Exit(ExitCode.ERROR)
