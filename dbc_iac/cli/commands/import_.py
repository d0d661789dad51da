"""`import`: manage existing objects."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.completions import addresses
from dbc_iac.cli.options import json_option
from dbc_iac.operations.imports import import_all, import_object


@click.command("import")
@click.argument("address", required=False, shell_complete=addresses)
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Import all objects that no other project manages.")
@click.option(
    "--generate", type=click.Path(path_type=Path, file_okay=False), help="With --all: write manifests to this folder."
)
@click.option("--foreign", is_flag=True, help="Import an object that another project or stack no longer manages.")
@json_option
@click.pass_obj
def command(
    app: App,
    address: str | None,
    identity: str | None,
    everything: bool,
    generate: Path | None,
    foreign: bool,
) -> None:
    """Import existing objects into the state.

    ADDRESS is a resource of the manifests. ID is the task id of a VM, the file of a Disk, or the node id of a server.
    With --all --generate DIR, imports all objects: those that manifests describe under their addresses, the others
    with new manifests. The next plan is empty. Image files that no manifest names are not imported: they have no owner.
    """
    if everything:
        if generate is None or address is not None or foreign:
            raise click.UsageError("--all needs --generate DIR, and neither ADDRESS nor --foreign")
        ids, warnings = import_all(app.project(), generate, app.project)
        app.report(warnings)
        app.show("".join(f"Imported {i} as {a}.\n" for a, i in ids.items()) or "There is nothing to import.\n", ids)
        return
    if address is None or identity is None or generate is not None:
        raise click.UsageError("give ADDRESS and ID (of `dbc-iac orphans`), or --all --generate DIR")
    app.report(import_object(app.project(), address, identity, foreign=foreign))
    app.show(f"Imported {identity} as {address}. Run `dbc-iac plan` to compare it.\n", {address: identity})
