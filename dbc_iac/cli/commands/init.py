"""`init`: write a new project."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.project import FILE
from dbc_iac.manifest.scaffold import SEED, WORLD
from dbc_iac.operations.checks import ephemeral_state
from dbc_iac.operations.pipelines import to_do
from dbc_iac.operations.scaffold import write_project


@click.command("init")
@click.option("--name", default="", help="Name of the project; default: the directory's.")
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab"]),
    help="Also write a CI pipeline; in a project, only add or update it.",
)
@json_option
@click.pass_obj
def command(app: App, name: str, ci: str | None) -> None:
    """Create a new project: project file, first VM, emulated machine to try it on, git-ignore rules."""
    new, updated = write_project(app.directory, name, ci)
    written = new | updated
    lines = [f"{'updated' if p in updated else 'wrote'} {p}" for p in sorted(written)] or [
        "The pipeline is up to date."
    ]
    if WORLD in written:
        lines += _next_steps(app, in_environment=ci is not None)
    if ci is not None and written:
        lines += to_do(written, app.directory, shared=not _is_ephemeral(app))
    app.show("\n".join(lines), sorted(written))


def _next_steps(app: App, *, in_environment: bool) -> Iterator[str]:
    yield "Next, on an emulated machine:"
    yield f"  {app.command_line('emulator')} &"
    if in_environment:
        yield f"  export DBC_WALLET_SEED=$(cat {app.directory / SEED})"
    yield f"  {app.command_line('apply')}"
    yield f"For a rented machine, write the seed of its wallet into {SEED}, its id and rent order into"
    yield f"manifests/example.yaml, and the URL of a client node into {FILE}."


def _is_ephemeral(app: App) -> bool:
    """Whether a CI job would lose the project's state; True if the project cannot be loaded."""
    try:
        return any(ephemeral_state(app.project().loaded.project.state, {"CI": "true"}))
    except DiagnosticError:
        return True
