"""`comment`: a plan as the comment on a pull or merge request."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.operations.pr_comment import put_comment


@click.command("comment")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def command(app: App, /, file: Path, as_json: bool) -> None:
    """Create or update the comment of dbc-iac on the pull or merge request of this CI job, with the content of FILE.

    Each project directory, stack and environment has its own comment. In GitHub Actions GITHUB_TOKEN must be set
    (pull-requests: write), in GitLab CI GITLAB_TOKEN (scope api).
    """
    app.json = as_json
    done = put_comment(app.directory, app.environment, app.stack, app.runtime.environ, file)
    app.show(f"Comment {done}.", {"comment": done})
