"""Options that several commands share."""

from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result and all problems as JSON.")
target_option = click.option(
    "--target", "targets", multiple=True, metavar="ADDRESS", help="Only this, and what it needs."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
