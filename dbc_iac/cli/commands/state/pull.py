"""`state pull`: print or copy the state."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.cli.output_files import check_outputs, loaded_quietly
from dbc_iac.operations.state_copies import pull


@click.command("pull")
@click.option("-o", "file", type=FILE, help="Write a copy to this file, encrypted if the state is.")
@json_option
@click.pass_obj
def command(app: App, /, file: Path | None) -> None:
    """Print the decrypted state, with the entries of its journal. Changes nothing."""
    project = app.project_of_state()
    if file is not None:
        check_outputs(app, {"-o": file}, loaded_quietly(app))
    if file is not None:
        pull(project, file)
        app.show(f"wrote {file}\n", {"file": str(file)})
        return
    state = project.state
    app.show(
        state.model_dump_json(by_alias=True, indent=1) + "\n",
        state.model_dump(mode="json", by_alias=True),
        redact=False,
    )
