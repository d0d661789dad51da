"""`orphans`: objects on the nodes that are not in the state."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.operations.imports import find_orphans
from dbc_iac.views.text.importing import findings_text


@click.command("orphans")
@json_option
@click.pass_obj
def command(app: App) -> None:
    """List objects that are not in the state."""
    findings = find_orphans(app.project())
    rows: list[dict[str, Json]] = [
        {"kind": f.kind, "id": f.id, "place": f.place, "whose": f.whose, "marker": f.marker, "status": f.status}
        for f in findings.found
    ]
    unread: list[dict[str, Json]] = [{"place": place, "unreadable": why} for place, why in findings.unread.items()]
    app.show(findings_text(findings), rows + unread)
    if findings.unread:
        raise click.exceptions.Exit(ExitCode.ERROR)
