"""The page of a fleet: rendered here, readable without JavaScript, with every text escaped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from markupsafe import escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dbc_iac.controller.records import ApprovalRecord, EventRecord, Phase, RunRecord, StackStatus
from dbc_iac.controller.rows import needed, phases, row, rows
from dbc_iac.controller.store import Store
from dbc_iac.controller.text import event_text, problem_lines
from dbc_iac.controller.web.access import is_local
from dbc_iac.controller.web.bodies import bounded_body
from dbc_iac.controller.web.deadlines import PAGE_SECONDS, Endpoint, within
from dbc_iac.controller.web.sessions import COOKIE, SECONDS, Session
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.plan.serialization import read_plan
from dbc_iac.views.html.pages import asset, environment, source_hash
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.text.lines import escaped
from dbc_iac.views.text.plan import plan_lines
from dbc_iac.views.wording import count, duration

if TYPE_CHECKING:
    from dbc_iac.controller.web.app import Web

POLICY = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"  # fmt: skip  # noqa: E501
"""Content-Security-Policy of a page."""
_FORM_BYTES = 8192
_LIVE = "<!-- live -->"
"""The place of further events in the page of an open run. Texts are escaped, so that none has it."""
_PAUSE = 0.5
_FOLLOWED = 1800.0
"""Seconds after which the page of an open run ends."""
_NAME = 60
"""Characters of the longest name of a person."""
_PLAN_LINES = 400
"""Lines of a plan in the page of its stack; the page of the plan has all."""


class Pages:
    """The pages of one fleet."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._templates = environment({"count": count, "duration": duration, "event": _event, "utc": _utc})

    @property
    def routes(self) -> list[Route]:
        def route(path: str, endpoint: Endpoint, *methods: str) -> Route:
            return Route(path, within(PAGE_SECONDS, endpoint), methods=methods or None)

        return [
            route("/", self.index),
            route("/stacks/{name}", self.stack),
            route("/stacks/{name}/plans/{digest}", self.plan),
            route("/stacks/{name}/decision", self.decide, "POST"),
            route("/login", self.login, "GET", "POST"),
            route("/logout", self.logout, "POST"),
            route("/style.css", self.style),
        ]

    async def index(self, request: Request) -> Response:
        """All stacks."""
        await self._web.require_reader(request)
        fleet = self._web.fleet.name
        store = self._web.database()
        stacks = await store.stacks(fleet)
        phase = request.query_params.get("phase", "")
        if phase not in {"", *Phase}:
            raise HTTPException(404, "there is no such phase")
        now = await self._web.now(request)
        problems = [(s.name, s.problem) for s in await store.sources(fleet) if s.problem]
        return await self._page(
            request, "stacks", stacks=stacks, phase=phase, phases=phases(stacks), rows=rows(stacks, now, phase),
            waiting=sum(bool(needed(stack)) for stack in stacks), sources=problems,
        )  # fmt: skip

    async def stack(self, request: Request) -> Response:
        """One stack; `?run=` shows another run than the last."""
        await self._web.require_reader(request)
        store = self._web.database()
        return await self._stack(request, store, await self._found(store, request))

    async def _stack(
        self, request: Request, store: Store, stack: StackStatus, problem: str = "", status: int = 200
    ) -> Response:
        runs = await store.runs(stack.name)
        run = await self._run(store, stack, request.query_params.get("run"), runs)
        approvals = await store.approvals(stack.name)
        waiting = next((a for a in approvals if a.status == "pending"), None)
        digest = stack.approval or ("" if run is None else run.digest)
        makers: list[RunRecord | ApprovalRecord] = [*([run] if run else []), *runs, *approvals]
        commit = next((one.commit for one in makers if one.digest == digest), "")
        plan = await store.plan_of(stack.name, digest) if digest else None
        lines = [] if plan is None else await asyncio.to_thread(_plan_text, plan)
        events = [] if run is None else await store.events(run.id)
        page = await self._page(
            request, "stack", status, row=row(stack, await self._web.now(request)), stack=stack, runs=runs, run=run,
            problem=problem, events=events,
            problems=[] if run is None else [*problem_lines(run)],
            source_problem=next((s.problem for s in await store.sources(stack.fleet) if s.name == stack.source), None),
            approvals=approvals, waiting=waiting, digest=digest, commit=commit,
            lines=lines[:_PLAN_LINES], more=max(0, len(lines) - _PLAN_LINES),
        )  # fmt: skip
        if run is None or run.outcome is not None or request.method == "HEAD":
            return page
        parts = bytes(page.body).decode().partition(_LIVE)
        following = _following(self._web.store, run.id, events[-1].number if events else -1, parts)
        return StreamingResponse(following, status, {"content-security-policy": POLICY}, "text/html")

    async def plan(self, request: Request) -> Response:
        """The page of a plan, the same as `plan --html`."""
        await self._web.require_reader(request)
        store = self._web.database()
        stack = await self._found(store, request)
        plan = await store.plan_of(stack.name, request.path_params["digest"])
        if plan is None:
            raise HTTPException(404, "there is no such plan")
        try:
            text = await asyncio.to_thread(lambda: "".join(plan_html(read_plan(json.loads(plan)))))
        except DiagnosticError as error:
            raise HTTPException(409, error.diagnostics[0].summary) from None
        style, script = source_hash(asset("plan.css")), source_hash(asset("plan.js"))
        policy = f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
        return HTMLResponse(text, headers={"content-security-policy": f"{policy}; frame-ancestors 'none'"})

    async def decide(self, request: Request) -> Response:
        """Approve or reject the plan that waits."""
        form = await _form(request)
        session = await self._actor(request, form)
        decision = _decision(form.get("decision", ""))
        store = self._web.database()
        stack = await self._found(store, request)
        try:
            await store.decide(stack.name, form.get("digest", ""), decision, f"{session.name} (page)")
        except DiagnosticError as error:
            [found] = error.diagnostics
            if found.code != "not-waiting":
                raise
            return await self._stack(request, store, stack, f"{found.summary}. {found.detail}", 409)
        return RedirectResponse(f"/stacks/{stack.name}", 303)

    async def login(self, request: Request) -> Response:
        """Start a session with the token."""
        sessions = self._web.sessions
        if sessions is None:
            raise HTTPException(404, "the Fleet file has no web.token")
        if request.method != "POST":
            return await self._page(request, "login", problem="")
        form = await _form(request)
        name = form.get("name", "").strip()
        if not 0 < len(name) <= _NAME or not name.isprintable():
            return await self._page(request, "login", 400, problem=f"A name of 1 to {_NAME} characters is required.")
        if not sessions.has_token(form.get("token", "").strip()):
            return await self._page(request, "login", 401, problem="This is not the token of the fleet.")
        answer = RedirectResponse("/", 303)
        secure = not is_local(request)  # a browser sends it by TLS only, or on this machine
        cookie = sessions.start(name, await self._web.now(request))
        answer.set_cookie(COOKIE, cookie, max_age=SECONDS, secure=secure, httponly=True, samesite="strict")
        return answer

    async def logout(self, request: Request) -> Response:
        """End a session in this browser."""
        await self._actor(request, await _form(request))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def style(self, _: Request) -> Response:
        headers = {"cache-control": "public, max-age=300"}
        return Response(asset("plan.css") + asset("controller.css"), media_type="text/css", headers=headers)

    async def problem(self, request: Request, status: int, text: str) -> Response:
        """A page for a request that has failed. It asks the database for nothing."""
        if hasattr(request.state, "now"):
            return await self._page(request, "problem", status, text=text)
        return self._rendered("problem", status, now=None, text=text)

    async def _actor(self, request: Request, form: Mapping[str, str]) -> Session:
        """The session of a form that was sent by its own page. Raises HTTPException."""
        session = await self._web.session(request)
        if session is None or not session.matches(form.get("csrf", "")):
            raise HTTPException(403, "sign in, and send the form again")
        return session

    async def _found(self, store: Store, request: Request) -> StackStatus:
        stack = await store.stack(self._web.fleet.name, request.path_params["name"])
        if stack is None:
            raise HTTPException(404, "there is no such stack")
        return stack

    @staticmethod
    async def _run(store: Store, stack: StackStatus, wanted: str | None, runs: list[RunRecord]) -> RunRecord | None:
        """The run with a number, or the last one. Raises HTTPException."""
        if wanted is None:
            return runs[0] if runs else None
        number = wanted if wanted.isascii() and wanted.isdigit() and len(wanted) < 18 else "0"
        found = await store.run(int(number))
        if found is None or found.stack != stack.name:
            raise HTTPException(404, "there is no such run")
        return found

    async def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        shared = {
            "session": await self._web.session(request),
            "can_sign_in": self._web.sessions is not None,
            "now": await self._web.now(request),
        }
        return self._rendered(template, status, **shared, **values)

    def _rendered(self, template: str, status: int, **values: Any) -> Response:
        found = self._templates.get_template(f"controller_{template}.html.jinja")
        text = found.render(fleet=self._web.fleet.name, **values)
        return HTMLResponse(text, status, headers={"content-security-policy": POLICY})


async def _following(
    store_now: Callable[[], Store | None], run: int, seen: int, parts: tuple[str, str, str]
) -> AsyncIterator[str]:
    """The page of an open run: the part before its events, each event when it is stored, and the rest at its end.

    It also ends with the worker, and without the database: it says to load the page again.
    """
    before, _, after = parts
    yield before
    with suppress(DiagnosticError, TimeoutError):
        async with asyncio.timeout(_FOLLOWED):
            ended = False
            while not ended and (store := store_now()) is not None:
                found = await store.run(run)
                ended = found is None or found.outcome is not None
                while events := await store.events(run, seen):
                    seen = events[-1].number
                    yield "".join(f"{escape(escaped(_event(event)))}\n" for event in events)
                if not ended:
                    await asyncio.sleep(_PAUSE)
    yield after


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises HTTPException for one that another site has sent."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise HTTPException(403, "forms of other sites are refused")
    body = await bounded_body(request, _FORM_BYTES)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}


def _decision(text: str) -> Literal["approved", "rejected"]:
    match text:
        case "approved" | "rejected":
            return text
    raise HTTPException(400, "expected approved or rejected")


def _plan_text(plan: str) -> list[str]:
    try:
        return [line.text for line in plan_lines(read_plan(json.loads(plan)))]
    except DiagnosticError as error:  # of another version of dbc-iac
        return [error.diagnostics[0].summary]


def _event(event: EventRecord) -> str:
    return event_text(event, UTC)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
