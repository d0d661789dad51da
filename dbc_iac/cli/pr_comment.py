"""`comment`: one comment of ours on a pull or merge request, written anew each time: what CI calls after a plan.

The token comes from the environment, as every forge gives it to its jobs; it goes nowhere but to that forge.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from dbc_iac.api.http import HEADER_VALUE, MIB, ExchangeError, HttpClient, Limits, SettingError
from dbc_iac.api.secret import SecretText
from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.reading import read_file, read_given
from dbc_iac.json import load_json

_LIMITS = Limits(30.0, 32 * MIB)
_PAGES = 50
"""Pages of comments that are searched for ours, of a hundred each."""


@dataclass(frozen=True, slots=True)
class Forge:
    """What answers in JSON to whoever has its token."""

    client: HttpClient

    def ask(self, method: str, url: str, body: Any = None, **params: str) -> Any:
        """Raises DiagnosticError, and ValueError for an answer that is no JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        try:
            reply = self.client.wait(method, url, content, params=params, headers={"Content-Type": "application/json"})
        except ExchangeError as error:
            ours = isinstance(error, SettingError)
            code = ExitCode.CONFIGURATION if ours else ExitCode.ERROR
            remedy = "Correct that setting." if ours else "Try again."
            raise _problem("comment-failed", f"the forge {error}", remedy, code) from None
        if reply.success:
            return reply.json()
        right = reply.status in {401, 403, 404}
        raise _problem(
            "comment-failed",
            f"the forge refused the comment: HTTP {reply.status}",
            "The token may not write comments here: see --help." if right else "Try again.",
            ExitCode.AUTHORISATION if right else ExitCode.ERROR,
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """The comments of one request. Both forges answer a list of objects with `id` and `body`."""

    comments: str
    comment: str
    """URL of one comment, which `{}` is the id of."""
    change: str
    """The method that changes one."""
    headers: Mapping[str, SecretText]
    whoami: Callable[[Forge], str]
    """Whose the token is. Only a comment of that one is ours: anybody can write what ours begins with."""
    author: tuple[str, str]
    """Where a comment names its author."""
    made_for: str
    """The commit and the run, as Markdown: whoever reads an old comment sees that it is old."""


@click.command("comment")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def command(app: App, /, file: Path, as_json: bool) -> None:
    """Make FILE the one comment of dbc-iac on the pull or merge request that this CI job is for.

    Each project directory, stack and environment has one of its own. In GitHub Actions GITHUB_TOKEN must be set
    (pull-requests: write), in GitLab CI GITLAB_TOKEN (scope api).
    """
    app.json = as_json
    environ = app.runtime.environ
    thread = _github(environ) if environ.get("GITHUB_ACTIONS") else _gitlab(environ)
    marker = f"<!-- dbc-iac {quote(_place(app))} {app.stack}/{quote(app.environment)} -->"
    try:
        text = read_given(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _problem("unreadable-file", f"{file} cannot be read ({why})", "") from None
    done = _put(thread, marker, f"{marker}\n{text.rstrip()}\n\n{thread.made_for}\n")
    app.show(f"The comment was {done}.", {"comment": done})


def _place(app: App) -> str:
    """The project's directory in the repository: it tells projects apart, also those whose files are broken."""
    root = app.runtime.environ.get("GITHUB_WORKSPACE") or app.runtime.environ.get("CI_PROJECT_DIR") or "."
    return os.path.relpath(app.directory.resolve(), Path(root).resolve())


def _github(environ: Mapping[str, str]) -> Thread:
    token = _token(environ, "GITHUB_TOKEN")
    request = _event(Path(_needed(environ, "GITHUB_EVENT_PATH"))).get("pull_request") or {}
    number = request.get("number")
    if not isinstance(number, int):
        raise _problem("no-request", "this job is not for a pull request", "Run it on pull_request.")
    repository = _needed(environ, "GITHUB_REPOSITORY")
    issues = f"{environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{repository}/issues"
    run = f"{environ.get('GITHUB_SERVER_URL', '')}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
    commit = (request.get("head") or {}).get("sha") or environ.get("GITHUB_SHA", "")
    graphql = environ.get("GITHUB_GRAPHQL_URL", "https://api.github.com/graphql")

    def whoami(forge: Forge) -> str:
        # `/user` is refused to the token of a job; this is answered to every token.
        return str(forge.ask("POST", graphql, {"query": "{viewer{login}}"})["data"]["viewer"]["login"])

    return Thread(
        f"{issues}/{number}/comments",
        f"{issues}/comments/{{}}",
        "PATCH",
        {"Authorization": SecretText(f"Bearer {token}"), "Accept": SecretText("application/vnd.github+json")},
        whoami,
        ("user", "login"),
        _made_for(commit, run),
    )


def _gitlab(environ: Mapping[str, str]) -> Thread:
    if not environ.get("GITLAB_CI"):
        raise _problem("no-ci", "this is neither a job of GitHub Actions nor of GitLab CI", "Run it in CI.")
    token, api = _token(environ, "GITLAB_TOKEN"), _needed(environ, "CI_API_V4_URL")
    request = _needed(environ, "CI_MERGE_REQUEST_IID")
    notes = f"{api}/projects/{_needed(environ, 'CI_PROJECT_ID')}/merge_requests/{request}/notes"
    return Thread(
        notes,
        f"{notes}/{{}}",
        "PUT",
        {"PRIVATE-TOKEN": SecretText(token)},
        lambda forge: str(forge.ask("GET", f"{api}/user")["username"]),
        ("author", "username"),
        _made_for(environ.get("CI_COMMIT_SHA", ""), environ.get("CI_JOB_URL", "")),
    )


def _made_for(commit: str, run: str) -> str:
    return f"*Of commit {commit[:12] or 'unknown'}, by [this run]({run}): its artifacts have the whole plan.*"


def _event(file: Path) -> dict[str, Any]:
    """What GitHub tells a job about why it runs."""
    try:
        event = load_json(read_file(file))
    except (OSError, ValueError):
        event = None
    if not isinstance(event, dict):
        summary = f"GITHUB_EVENT_PATH names {file}, which cannot be read as JSON"
        raise _problem("no-ci", summary, "In a container, mount the runner's files.")
    return event


def _needed(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise _problem("no-ci", f"environment variable {name} is not set", "Give it to the job; see --help.")
    return environ[name]


def _token(environ: Mapping[str, str], name: str) -> str:
    token = _needed(environ, name)
    if not re.fullmatch(HEADER_VALUE, token):
        summary = f"what environment variable {name} holds cannot be sent in a header"
        raise _problem("unsafe-secret", summary, "Take out line breaks and all but printable ASCII.")
    return token


def _put(thread: Thread, marker: str, body: str) -> str:
    """Write the comment; tells whether it was there."""
    forge = Forge(HttpClient(_LIMITS, thread.headers, proxies=True))
    try:
        ours = _ours(forge, thread, marker, thread.whoami(forge))
        if ours is None:
            forge.ask("POST", thread.comments, {"body": body})
            return "created"
        forge.ask(thread.change, thread.comment.format(ours), {"body": body})
        return "updated"
    except (ValueError, LookupError, TypeError, AttributeError):
        summary = "the forge's answer is not what its API says"
        raise _problem("comment-failed", summary, "Try again.", ExitCode.ERROR) from None


def _ours(forge: Forge, thread: Thread, marker: str, me: str) -> int | None:
    """The comment that begins with our marker and is by the one whose token we have."""
    who, name = thread.author
    for page in range(1, _PAGES + 1):
        found: list[dict[str, Any]] = forge.ask("GET", thread.comments, per_page="100", page=str(page))
        for comment in found:
            by_me = (comment.get(who) or {}).get(name) == me
            if by_me and str(comment.get("body", "")).startswith(marker):
                return int(comment["id"])
        if len(found) < 100:
            break
    return None


def _problem(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.CONFIGURATION) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code))
