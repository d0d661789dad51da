"""The HTTP server of tests: the real application on a real store, without a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from dbc_iac.api.secret import SecretText
from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.store import Store
from dbc_iac.controller.web.access import WebSecrets
from dbc_iac.controller.web.app import Web, application
from dbc_iac.controller.web.metrics import Metrics

TOKEN, GITHUB, GITLAB = "token-of-the-page-canary", "secret-of-github-canary", "secret-of-gitlab-canary"
SECRETS = WebSecrets(SecretText(TOKEN), SecretText(GITHUB), SecretText(GITLAB))
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


@asynccontextmanager
async def browsing(
    fleet: Fleet,
    store: Store | None,
    *,
    client: str = HERE,
    url: str = "http://127.0.0.1:8080",
    secrets: WebSecrets = SECRETS,
    metrics: Metrics | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client at an address, of a server that it knows by a URL."""
    app = application(Web(fleet, secrets, metrics or Metrics(), lambda: store))
    transport = httpx.ASGITransport(app, client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=url) as made:
        yield made
