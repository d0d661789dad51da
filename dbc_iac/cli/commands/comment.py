"""`comment`: a plan as the comment on a pull or merge request."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.manifest.header import DEFAULT_STACK
from dbc_iac.operations.pr_comment import put_comment


@click.command("comment")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def command(app: App, /, file: Path) -> None:
    """Post a plan as a comment on a pull request.

    Or on a merge request of GitLab. Creates or updates one comment for each project directory, stack and environment,
    with the content of FILE. Runs in CI: GitHub Actions needs GITHUB_TOKEN (pull-requests: write), GitLab CI needs
    GITLAB_TOKEN (scope api).
    """
    done = put_comment(app.directory, app.environment, app.stack or DEFAULT_STACK, app.runtime.environ, file)
    app.show(f"Comment {done}.", {"comment": done})
