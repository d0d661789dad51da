"""Access to the HTTP server: who may read, and comparison of secrets in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from msgspec import Struct
from starlette.requests import Request

from dbc_iac.api.http import is_loopback
from dbc_iac.controller.fleet import Fleet
from dbc_iac.diagnostics import failure
from dbc_iac.manifest.secrets import SecretResolver
from dbc_iac.secret import SecretText

MIN_TOKEN = 20
"""Characters of the shortest token."""
_PROXIED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


class WebSecrets(Struct, frozen=True):
    """The secrets of the HTTP server; None where the Fleet file has none."""

    token: SecretText | None = None
    github: SecretText | None = None
    gitlab: SecretText | None = None


def web_secrets(fleet: Fleet, environ: Mapping[str, str]) -> WebSecrets:
    """The secrets of `web`. Raises DiagnosticError if one cannot be read, or the token is short."""
    resolver = SecretResolver(environ, fleet.directory)
    web = fleet.spec.web
    token, github, gitlab = (
        None if ref is None else resolver.resolve(ref) for ref in (web.token, web.github, web.gitlab)
    )
    for name, secret in (("token", token), ("github", github), ("gitlab", gitlab)):
        if secret is not None and len(secret.reveal()) < MIN_TOKEN:
            summary = f"web.{name} has fewer than {MIN_TOKEN} characters"
            remedy = "Make one with `openssl rand -hex 32`."
            raise failure("web-token", summary, remedy=remedy)
    return WebSecrets(token, github, gitlab)


def same(given: str, secret: str) -> bool:
    """Whether two texts are equal, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, by its own name and through no proxy."""
    client = request.client
    proxied = any(name in request.headers for name in _PROXIED)
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return client is not None and is_loopback(client.host) and is_loopback(name.strip("[]")) and not proxied


def has_token(request: Request, secrets: WebSecrets) -> bool:
    """Whether a request has the token in its header `Authorization: Bearer`."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return secrets.token is not None and scheme.lower() == "bearer" and same(given, secrets.token.reveal())
