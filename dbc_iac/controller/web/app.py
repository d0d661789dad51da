"""The application of the HTTP server. It keeps nothing in memory: any worker of a fleet answers any request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.store import Store
from dbc_iac.controller.web.access import WebSecrets, has_token, is_local
from dbc_iac.controller.web.deadlines import PAGE_SECONDS, READY_SECONDS, within
from dbc_iac.controller.web.hooks import pushed, request_syncs
from dbc_iac.controller.web.metrics import CONTENT_TYPE, Metrics
from dbc_iac.controller.web.pages import Pages
from dbc_iac.controller.web.sessions import COOKIE, Session, Sessions
from dbc_iac.diagnostics import DiagnosticError, place_of

_LOG = logging.getLogger("dbc_iac.controller")
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers that have none of their own."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guarded:
    """Adds the security headers to each answer, also to those of errors, and reports bugs in one line."""

    def __init__(self, app: ASGIApp, report: Callable[[str], None]) -> None:
        self._app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except Exception as error:
            self._report(f"{scope['path']}: this is a bug in dbc-iac ({place_of(error)})")
            _LOG.debug("unexpected exception", exc_info=error)


class Web(Struct, frozen=True):
    """A fleet and its database. `store`: None while the database is not available, or the worker ends."""

    fleet: Fleet
    secrets: WebSecrets
    metrics: Metrics
    store: Callable[[], Store | None]
    report: Callable[[str], None]

    def database(self) -> Store:
        """The database. Raises HTTPException if it is not available."""
        store = self.store()
        if store is None:
            raise HTTPException(503, "the database of the controller is not available")
        return store

    @property
    def sessions(self) -> Sessions | None:
        """Sessions of people; None without a token."""
        return None if self.secrets.token is None else Sessions(self.secrets.token)

    async def now(self, request: Request) -> datetime:
        """The time of the database, the same throughout a request. Raises as `database`."""
        if not hasattr(request.state, "now"):
            request.state.now = await self.database().now()
        now: datetime = request.state.now
        return now

    async def session(self, request: Request) -> Session | None:
        """The session of a request."""
        sessions = self.sessions
        found = None if sessions is None else sessions.read(request.cookies.get(COOKIE, ""))
        return found if found is not None and found.lasts(await self.now(request)) else None

    async def require_reader(self, request: Request) -> None:
        """Raise HTTPException unless the request has the token or a session; without a token, it must be local.

        A proxy on this machine may pass requests on as local ones: they are no proof where there is a token.
        """
        if self.secrets.token is None and is_local(request):
            return
        if not has_token(request, self.secrets) and await self.session(request) is None:
            raise HTTPException(401, "a token is required", {"www-authenticate": "Bearer"})


def application(web: Web) -> ASGIApp:
    """The application of a fleet."""
    pages = Pages(web)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        await web.database().sources(web.fleet.name)
        return PlainTextResponse("ok\n")

    async def metrics(request: Request) -> Response:
        await web.require_reader(request)
        store, fleet = web.database(), web.fleet.name
        stacks = [stack for stack in await store.stacks(fleet) if not stack.removed]
        text = web.metrics.text(fleet, stacks, await store.sources(fleet), await store.queue_length())
        return Response(text, media_type=CONTENT_TYPE)

    async def hook(request: Request) -> Response:
        content = await pushed(request, web.secrets)
        return JSONResponse({"sources": await request_syncs(web.database(), web.fleet, content)}, 202)

    async def problem(request: Request, error: HTTPException) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
        if error.status_code == 401 and web.sessions is not None:
            return RedirectResponse("/login", 303)
        return await pages.problem(request, error.status_code, error.detail)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
        return await problem(request, error)

    async def no_database(request: Request, error: Exception) -> Response:
        assert isinstance(error, DiagnosticError)  # noqa: S101 - registered for it
        return await problem(request, HTTPException(503, error.diagnostics[0].summary))

    return Guarded(
        Starlette(
            routes=[
                Route("/healthz", health),
                Route("/readyz", within(READY_SECONDS, ready)),
                Route("/metrics", within(PAGE_SECONDS, metrics)),
                Route("/hooks/github", within(PAGE_SECONDS, hook), methods=["POST"]),
                Route("/hooks/gitlab", within(PAGE_SECONDS, hook), methods=["POST"]),
                *pages.routes,
            ],
            exception_handlers={HTTPException: refused, DiagnosticError: no_database},
        ),
        web.report,
    )
