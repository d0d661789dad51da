"""`explain`: documentation of kinds and fields."""

from __future__ import annotations

import click
from msgspec import to_builtins

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.kinds import MODELS
from dbc_iac.kinds.explain import explain
from dbc_iac.views.text.explain import explanation_lines


def _kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in sorted((*MODELS, "Project")) if kind.startswith(incomplete)]


@click.command("explain")
@click.argument("name", metavar="KIND[.FIELD]", shell_complete=_kinds)
@json_option
@click.pass_obj
def command(app: App, /, name: str) -> None:
    """Show the fields of a kind. Or of one field, with types, defaults and the effect of a change.

    KIND may be Project.
    """
    found = explain(name)
    app.show_lines(explanation_lines(found), to_builtins(found))
