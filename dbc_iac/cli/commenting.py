"""`comment`: one comment of ours on a pull or merge request, written anew each time: what CI calls after a plan.

The token comes from the environment, as every forge gives it to its jobs; it goes nowhere but to that forge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

if TYPE_CHECKING:
    import httpx

_PAGES = 50
"""Pages of comments that are searched for ours, of a hundred each."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The comments of one request. Both forges answer a list of objects with `id` and `body`."""

    comments: str
    comment: str
    """URL of one comment, which `{}` is the id of."""
    change: str
    """The method that changes one."""
    headers: Mapping[str, str]


@click.command("comment")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def command(app: App, /, file: Path, as_json: bool) -> None:
    """Make FILE the one comment of dbc-iac on the pull or merge request that this CI job is for.

    In GitHub Actions GITHUB_TOKEN must be set (pull-requests: write), in GitLab CI GITLAB_TOKEN (scope api).
    """
    app.json = as_json
    thread = _thread(app.runtime.environ)
    marker = f"<!-- dbc-iac {app.stack}/{app.environment} -->"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise _problem("unreadable-file", f"{file} cannot be read ({error.strerror})", "") from None
    done = _put(thread, marker, f"{marker}\n{text}")
    app.show(f"The comment was {done}.", {"comment": done})


def _thread(environ: Mapping[str, str]) -> Thread:
    if environ.get("GITHUB_ACTIONS"):
        token = _needed(environ, "GITHUB_TOKEN")
        event = json.loads(Path(_needed(environ, "GITHUB_EVENT_PATH")).read_text(encoding="utf-8"))
        number = (event.get("pull_request") or {}).get("number")
        if not isinstance(number, int):
            raise _problem("no-request", "this job is not for a pull request", "Run it on pull_request.")
        api = environ.get("GITHUB_API_URL", "https://api.github.com")
        issues = f"{api}/repos/{_needed(environ, 'GITHUB_REPOSITORY')}/issues"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        return Thread(f"{issues}/{number}/comments", f"{issues}/comments/{{}}", "PATCH", headers)
    if environ.get("GITLAB_CI"):
        token = _needed(environ, "GITLAB_TOKEN")
        request = _needed(environ, "CI_MERGE_REQUEST_IID")
        project = f"{_needed(environ, 'CI_API_V4_URL')}/projects/{_needed(environ, 'CI_PROJECT_ID')}"
        notes = f"{project}/merge_requests/{request}/notes"
        return Thread(notes, f"{notes}/{{}}", "PUT", {"PRIVATE-TOKEN": token})
    raise _problem("no-ci", "this is neither a job of GitHub Actions nor of GitLab CI", "Run it in CI.")


def _needed(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise _problem("no-ci", f"environment variable {name} is not set", "Give it to the job; see --help.")
    return environ[name]


def _put(thread: Thread, marker: str, body: str) -> str:
    """Write the comment; tells whether it was there."""
    import httpx

    try:
        with httpx.Client(headers=thread.headers, timeout=30.0) as client:
            ours = _ours(client, thread, marker)
            if ours is None:
                _checked(client.post(thread.comments, json={"body": body}))
                return "created"
            _checked(client.request(thread.change, thread.comment.format(ours), json={"body": body}))
            return "updated"
    except httpx.HTTPError as error:
        raise _problem(
            "comment-failed", f"the forge cannot be reached ({type(error).__name__})", "Try again."
        ) from None


def _ours(client: httpx.Client, thread: Thread, marker: str) -> int | None:
    for page in range(1, _PAGES + 1):
        found: list[dict[str, Any]] = _checked(
            client.get(thread.comments, params={"per_page": 100, "page": page})
        ).json()
        for comment in found:
            if str(comment.get("body", "")).startswith(marker):
                return int(comment["id"])
        if len(found) < 100:
            break
    return None


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    right = response.status_code in {401, 403, 404}
    raise _problem(
        "comment-failed",
        f"the forge refused the comment: HTTP {response.status_code}",
        "The token may not write comments here: see --help." if right else "Try again.",
        ExitCode.AUTHORISATION if right else ExitCode.ERROR,
    )


def _problem(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.CONFIGURATION) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code))
