"""`state rebuild`: rebuild a lost state from the API."""

from __future__ import annotations

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.approval import asking
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.importing.rebuild import Rebuilt
from dbc_iac.operations.state_admin import rebuild_state
from dbc_iac.views.text.importing import rebuilt_text


@click.command("rebuild")
@click.option("--map", "mapped", multiple=True, metavar="ADDRESS=ID", help="Id of an object that is not recognised.")
@click.option("--new", multiple=True, metavar="ADDRESS", help="Resource that has not been created yet.")
@yes_option
@json_option
@click.pass_obj
def command(app: App, mapped: tuple[str, ...], new: tuple[str, ...], yes: bool) -> None:
    """Rebuild a lost state from the markers and ids of the objects.

    Lists the resources that need --map or --new.
    """
    answers = dict(text.partition("=")[::2] for text in mapped)
    if any(not v for v in answers.values()):
        raise click.UsageError("--map: expected ADDRESS=ID")
    if len(answers) < len(mapped) or answers.keys() & set(new):
        raise click.UsageError("give each ADDRESS once, with --map or --new")

    def show(rebuilt: Rebuilt) -> None:
        shown = {"proofs": rebuilt.proofs, "open": rebuilt.open_questions, "new": list(rebuilt.new)}
        app.show(rebuilt_text(rebuilt), shown)

    rebuilt = rebuild_state(app.project(), answers, frozenset(new), show, asking(app, yes))
    if rebuilt.open_questions:
        raise click.exceptions.Exit(ExitCode.CHANGES_PENDING)
