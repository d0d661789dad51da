"""Webhooks of GitHub and GitLab: a push makes the sources of its repository due, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.notifications import signature
from dbc_iac.controller.store import Store
from dbc_iac.controller.web.access import WebSecrets, same
from dbc_iac.controller.web.bodies import bounded_body

MAX_BODY = 4 * 1024 * 1024
"""Bytes of the largest body. GitHub sends more only for pushes that the next fetch finds anyway."""
_URLS = ("clone_url", "ssh_url", "html_url", "git_http_url", "git_ssh_url", "web_url", "http_url")


async def pushed(request: Request, secrets: WebSecrets) -> Mapping[str, Any]:
    """The content of a hook that has its secret. Raises HTTPException."""
    body = await bounded_body(request, MAX_BODY)
    if request.url.path.endswith("/github"):
        given = request.headers.get("x-hub-signature-256", "")
        _check(secrets.github is not None and same(given, signature(secrets.github, body)), "X-Hub-Signature-256")
    else:
        given = request.headers.get("x-gitlab-token", "")
        _check(secrets.gitlab is not None and same(given, secrets.gitlab.reveal()), "X-Gitlab-Token")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise HTTPException(400, "expected a JSON object: set the content type of the webhook to application/json")
    return content


def _check(passed: bool, header: str) -> None:
    if not passed:
        raise HTTPException(401, f"{header} does not fit the secret in the Fleet file")


async def request_syncs(store: Store, fleet: Fleet, content: Mapping[str, Any]) -> list[str]:
    """Fetch the sources of the repository as soon as possible. Returns their names."""
    wanted = set(_repositories(content))
    names = [name for name, source in fleet.spec.sources.items() if _repository(source.git) in wanted]
    return [name for name in names if await store.request_sync(fleet.name, name)]


def _repositories(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in (content.get("repository"), content.get("project")):
        if isinstance(part, dict):
            for key in _URLS:
                if isinstance(url := part.get(key), str):
                    yield _repository(url)


def _repository(url: str) -> tuple[str, str]:
    """Host and path of a repository, the same for https, ssh and `git@HOST:PATH`."""
    if "://" not in url:
        url = "ssh://" + url.replace(":", "/", 1)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ("", url)
    return (host, parts.path.strip("/").removesuffix(".git").lower())
