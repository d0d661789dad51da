"""The comment of a plan on a pull or merge request, updated in place by each run of CI.

The token comes from the environment of the CI job, and is sent only to the API that the job names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from dbc_iac.api.http import HEADER_VALUE, MIB, ExchangeError, Limits, SettingError
from dbc_iac.api.transport import HttpClient
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.files.reading import read_file, read_given, real_path
from dbc_iac.json import load_json
from dbc_iac.manifest.trust import refuse_untrusted
from dbc_iac.secret import SecretText

_LIMITS = Limits(30.0, 32 * MIB)
_PAGES = 50
"""Pages of a hundred comments each that are searched."""


class Forge(Struct, frozen=True):
    """The JSON API of GitHub or GitLab."""

    client: HttpClient

    def ask(self, method: str, url: str, body: Any = None, **params: str) -> Any:
        """Send a request. Raises DiagnosticError, and ValueError for an answer that is not JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        try:
            reply = self.client.wait(method, url, content, params=params, headers={"Content-Type": "application/json"})
        except ExchangeError as error:
            ours = isinstance(error, SettingError)
            code = ExitCode.CONFIGURATION if ours else ExitCode.ERROR
            remedy = "Correct that setting." if ours else "Run the job again."
            raise failure(
                "comment-failed", f"cannot write the comment: the server {error}", remedy=remedy, exit_code=code
            ) from None
        if reply.success:
            return reply.json()
        right = reply.status in {401, 403, 404}
        raise failure(
            "comment-failed",
            f"the comment was refused: HTTP {reply.status}",
            remedy="Let the token write comments (`dbc-iac comment --help`)." if right else "Run the job again.",
            exit_code=ExitCode.AUTHORISATION if right else ExitCode.ERROR,
        )


class Thread(Struct, frozen=True):
    """The comments of a pull or merge request. Both APIs answer a list of objects with `id` and `body`."""

    comments: str
    comment: str
    """URL of a comment; `{}` is the placeholder of its id."""
    change: str
    """The HTTP method that updates one."""
    headers: Mapping[str, SecretText]
    whoami: Callable[[Forge], str]
    """The owner of the token. Only its comments are updated: anybody can copy the marker."""
    author: tuple[str, str]
    """The path of the author in a comment."""
    made_for: str
    """The commit and the CI run, as Markdown: an outdated comment shows its age."""


def put_comment(directory: Path, environment: str, stack: str, environ: Mapping[str, str], file: Path) -> str:
    """Make the content of a file the comment of this project, stack and environment. Returns `created` or `updated`.

    Raises DiagnosticError.
    """
    refuse_untrusted(environ, "write comments")
    thread = _github(environ) if environ.get("GITHUB_ACTIONS") else _gitlab(environ)
    marker = f"<!-- dbc-iac {quote(_path_in_repository(directory, environ))} {stack}/{quote(environment)} -->"
    try:
        text = read_given(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise failure("unreadable-file", f"cannot read {file} ({why})") from None
    return _put(thread, marker, f"{marker}\n{text.rstrip()}\n\n{thread.made_for}\n")


def _path_in_repository(directory: Path, environ: Mapping[str, str]) -> str:
    """The project's directory in the repository, which identifies the project even if its files are invalid."""
    root = environ.get("GITHUB_WORKSPACE") or environ.get("CI_PROJECT_DIR") or "."
    return os.path.relpath(real_path(directory), real_path(Path(root)))


def _github(environ: Mapping[str, str]) -> Thread:
    token = _token(environ, "GITHUB_TOKEN")
    request = _event(Path(_needed(environ, "GITHUB_EVENT_PATH"))).get("pull_request") or {}
    number = request.get("number")
    if not isinstance(number, int):
        raise failure("no-request", "this CI job is not for a pull request", remedy="Run it on pull_request events.")
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
        raise failure("no-ci", "not a job of GitHub Actions or GitLab CI", remedy="Run this command in CI.")
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
    return f"*Commit {commit[:12] or 'unknown'}, [CI run]({run}): its artifacts contain the full plan.*"


def _event(file: Path) -> dict[str, Any]:
    """The event of a GitHub job."""
    try:
        event = load_json(read_file(file))
    except (OSError, ValueError):
        event = None
    if not isinstance(event, dict):
        summary = f"cannot read {file}, named by GITHUB_EVENT_PATH, as JSON"
        raise failure("no-ci", summary, remedy="Mount the runner's files into the container of the job.")
    return event


def _needed(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise failure("no-ci", f"environment variable {name} is not set", remedy=f"Set {name} for the job.")
    return environ[name]


def _token(environ: Mapping[str, str], name: str) -> str:
    token = _needed(environ, name)
    if not re.fullmatch(HEADER_VALUE, token):
        summary = f"environment variable {name} cannot be sent in a header"
        raise failure(
            "unsafe-secret", summary, remedy="Remove line breaks and characters that are not printable ASCII."
        )
    return token


def _put(thread: Thread, marker: str, body: str) -> str:
    """Write the comment: `created` or `updated`."""
    forge = Forge(HttpClient(_LIMITS, thread.headers, proxies=True))
    try:
        ours = _own_comment(forge, thread, marker, thread.whoami(forge))
        if ours is None:
            forge.ask("POST", thread.comments, {"body": body})
            return "created"
        forge.ask(thread.change, thread.comment.format(ours), {"body": body})
        return "updated"
    except (ValueError, LookupError, TypeError, AttributeError):
        summary = "unexpected answer to the comment request"
        raise failure(
            "comment-failed", summary, remedy="Check the API URL of the job.", exit_code=ExitCode.ERROR
        ) from None


def _own_comment(forge: Forge, thread: Thread, marker: str, me: str) -> int | None:
    """Id of the comment that the owner of the token wrote with this marker; None if there is none."""
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
