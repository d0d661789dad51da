"""The HTTP server: health, metrics, webhooks, and who may read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import procrastinate
import pytest

from dbc_iac.controller.fleet import Fleet
from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.controller.web import app, pages
from dbc_iac.controller.web.access import WebSecrets, web_secrets
from dbc_iac.controller.web.hooks import MAX_BODY
from dbc_iac.controller.web.metrics import Metrics
from dbc_iac.controller.web.server import serving
from dbc_iac.controller.worker import Worker, WorkerOptions
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, on_store
from tests.controller.web.site import BEARER, ELSEWHERE, GITHUB, GITLAB, HERE, TOKEN, browsing

A, B = {"name": "a", "source": "infra"}, {"name": "b", "source": "infra", "path": "b"}
SOURCES = {
    "infra": {"git": "https://git.example.org/team/infra.git"},
    "same": {"git": "ssh://git@git.example.org/team/infra"},
    "other": {"git": "https://git.example.org/team/other.git"},
}
PUSH = {
    "repository": {"clone_url": "https://git.example.org/Team/infra.git", "ssh_url": "git@git.example.org:team/x.git"}
}
PROJECT = {"project": {"git_ssh_url": "git@git.example.org:team/infra.git"}}


def signed(body: bytes, secret: str = GITHUB) -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def waiting(store: Store, made: Fleet) -> None:
    """Put the sources of a fleet off, so that only a request makes one due."""
    await store.register(made)
    for name in made.spec.sources:
        await store.synced(made.name, name, "c" * 40, {}, 3600)


def test_a_push_makes_the_sources_of_its_repository_due_and_no_other(tmp_path: Path) -> None:
    made = fleet(tmp_path, A, sources=SOURCES)

    async def task(store: Store) -> None:
        for path, content, headers in (
            ("/hooks/github", PUSH, signed(json.dumps(PUSH).encode())),
            ("/hooks/gitlab", PROJECT, {"x-gitlab-token": GITLAB}),
        ):
            await waiting(store, made)
            async with browsing(made, store, client=ELSEWHERE, url="https://fleet.example.org") as web:
                answer = await web.post(path, content=json.dumps(content).encode(), headers=headers)
            assert (answer.status_code, answer.json()) == (202, {"sources": ["infra", "same"]})
            assert sorted(await store.due_sources(made.name)) == ["infra", "same"]

    on_store(task)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/hooks/github", b"{}", {}, 401),
        ("/hooks/github", b"{}", signed(b"{} "), 401),
        ("/hooks/github", b"{}", signed(b"{}", GITLAB), 401),
        ("/hooks/github", b"{}", {"x-hub-signature-256": "sha256=\xe9"}, 401),
        ("/hooks/gitlab", b"{}", {"x-gitlab-token": GITHUB}, 401),
        ("/hooks/gitlab", b"{}", {"x-gitlab-token": ""}, 401),
        ("/hooks/gitlab", b"[]", {"x-gitlab-token": GITLAB}, 400),
        ("/hooks/gitlab", b"[" * 100_000, {"x-gitlab-token": GITLAB}, 400),
        ("/hooks/gitlab", b"\xff", {"x-gitlab-token": GITLAB}, 400),
        ("/hooks/gitlab", b" " * (MAX_BODY + 1), {"x-gitlab-token": GITLAB}, 413),
        ("/hooks/gitlab", b'{"project": {"web_url": "http://["}, "repository": 7}', {"x-gitlab-token": GITLAB}, 503),
    ],
)
def test_a_hook_without_its_secret_or_its_form_is_refused(
    tmp_path: Path, path: str, body: bytes, headers: Mapping[str, str], status: int
) -> None:
    async def task() -> None:
        async with browsing(fleet(tmp_path, A), None) as web:
            sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            answer = await web.post(path, content=body, headers=sent)
            assert answer.status_code == status
            assert not {GITHUB, GITLAB} & set(answer.text.split())
            assert (await web.get(path)).status_code == 405

    asyncio.run(task())


def test_hooks_without_a_secret_in_the_fleet_file_are_refused(tmp_path: Path) -> None:
    async def task() -> None:
        async with browsing(fleet(tmp_path, A), None, secrets=WebSecrets()) as web:
            assert (await web.post("/hooks/github", content=b"{}", headers=signed(b"{}", ""))).status_code == 401
            assert (await web.post("/hooks/gitlab", content=b"{}", headers={"x-gitlab-token": ""})).status_code == 401

    asyncio.run(task())


def test_metrics_show_the_fleet(tmp_path: Path) -> None:
    made = fleet(tmp_path, A, B)
    metrics = Metrics()

    async def task(store: Store) -> None:
        await store.register(made)
        await store.synced("research", "infra", "c" * 40, {"a": "t", "b": "t"}, 60)
        for outcome, phase in ((Outcome.FAILED, Phase.FAILED), (Outcome.APPLIED, Phase.SYNCED)):
            started = await store.begin_run("a", "one", 60)
            assert started is not None
            result = RunResult(outcome, phase, 60, drifted=True, calls=[("read", "done", 2), ("blind", "unknown", 1)])
            await store.end_run(started.id, result)
            await metrics.ended(started, result, 7)
        app = procrastinate.App(connector=procrastinate.PsycopgConnector())
        async with app.open_async(store.pool):
            await app.configure_task("run", queue="q").defer_async()
        async with browsing(made, store, metrics=metrics) as web:
            assert (await web.get("/readyz")).status_code == 200
            found = await web.get("/metrics", headers=BEARER)
        assert found.headers["content-type"].startswith("text/plain")
        lines = dict(line.rsplit(" ", 1) for line in found.text.splitlines() if not line.startswith("#"))
        assert lines['dbc_iac_stacks{fleet="research",phase="synced"}'] == "1.0"
        assert lines['dbc_iac_stacks{fleet="research",phase="pending"}'] == "1.0"
        assert lines['dbc_iac_stacks{fleet="research",phase="failed"}'] == "0.0"
        assert lines['dbc_iac_stacks_drifted{fleet="research"}'] == "1.0"
        assert lines['dbc_iac_source_failures{fleet="research",source="infra"}'] == "0.0"
        assert lines["dbc_iac_queue_jobs"] == "1.0"
        assert float(lines["dbc_iac_queue_oldest_seconds"]) > 0
        assert lines['dbc_iac_reconcile_seconds_bucket{le="10.0",outcome="failed"}'] == "1.0"
        assert lines['dbc_iac_reconcile_seconds_sum{outcome="applied"}'] == "7.0"
        assert lines['dbc_iac_calls_total{class="read",outcome="done"}'] == "4.0"
        assert lines['dbc_iac_calls_total{class="blind",outcome="unknown"}'] == "2.0"
        assert float(lines['dbc_iac_stack_last_success_timestamp_seconds{fleet="research",stack="a"}']) > 1e9
        assert 'dbc_iac_stack_last_success_timestamp_seconds{fleet="research",stack="b"}' not in lines

    on_store(task)


@pytest.mark.parametrize(
    ("client", "url", "headers", "status"),
    [
        (HERE, "http://127.0.0.1:8080", {}, 401),  # as a proxy on this machine passes it on
        (HERE, "http://127.0.0.1:8080", BEARER, 503),
        (ELSEWHERE, "http://127.0.0.1:8080", {}, 401),
        (ELSEWHERE, "https://fleet.example.org", BEARER, 503),
        (ELSEWHERE, "https://fleet.example.org", {"authorization": f"Bearer {TOKEN}x"}, 401),
        (ELSEWHERE, "https://fleet.example.org", {"authorization": "Bearer"}, 401),
    ],
)
def test_reading_needs_the_token_also_on_this_machine(
    tmp_path: Path, client: str, url: str, headers: dict[str, str], status: int
) -> None:
    """503: allowed, and the database is not available."""

    async def task() -> None:
        async with browsing(fleet(tmp_path, A), None, client=client, url=url) as web:
            answer = await web.get("/metrics", headers=headers)
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert (await web.get("/healthz")).status_code == 200
            assert (await web.get("/readyz")).status_code == 503

    asyncio.run(task())


@pytest.mark.parametrize(
    ("client", "url", "headers", "status"),
    [
        (HERE, "http://localhost:8080", {}, 503),
        ("::1", "http://[::1]:8080", {}, 503),
        (HERE, "http://rebound.example.org:8080", {}, 401),
        (HERE, "http://127.0.0.1:8080", {"x-forwarded-for": "192.0.2.1"}, 401),
        (HERE, "http://127.0.0.1:8080", {"forwarded": "for=192.0.2.1"}, 401),
        (HERE, "http://127.0.0.1:8080", {"x-real-ip": "192.0.2.1"}, 401),
        (HERE, "http://127.0.0.1:8080", {"authorization": "Bearer "}, 503),
        (ELSEWHERE, "http://127.0.0.1:8080", {}, 401),
    ],
)
def test_a_fleet_without_a_token_is_read_on_this_machine_only(
    tmp_path: Path, client: str, url: str, headers: dict[str, str], status: int
) -> None:
    """503: allowed, and the database is not available."""

    async def task() -> None:
        async with browsing(fleet(tmp_path, A), None, client=client, url=url, secrets=WebSecrets()) as web:
            assert (await web.get("/metrics", headers=headers)).status_code == status

    asyncio.run(task())


def test_a_database_that_does_not_answer_is_503_within_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fleet(tmp_path, A)
    for module, name in ((app, "READY_SECONDS"), (app, "PAGE_SECONDS"), (pages, "PAGE_SECONDS")):
        monkeypatch.setattr(module, name, 0.01)

    async def task(store: Store) -> None:
        answers = asyncio.Event()

        async def silent(*_: Any) -> None:
            with suppress(asyncio.CancelledError):
                await answers.wait()
            await answers.wait()  # as psycopg, which asks the server to cancel

        for name in ("now", "sources", "stacks", "request_sync"):
            monkeypatch.setattr(Store, name, silent)
        async with browsing(made, store) as web, asyncio.timeout(30):
            for path in ("/readyz", "/metrics"):
                answer = await web.get(path, headers=BEARER)
                assert (answer.status_code, answer.text) == (
                    503,
                    "the database of the controller did not answer within 0.01 s\n",
                )
            page = await web.get("/", headers={**BEARER, "accept": "text/html"})
            assert (page.status_code, "did not answer within" in page.text) == (503, True)
        answers.set()

    on_store(task)


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    made = fleet(tmp_path, A, web={"token": {"env": "TOKEN"}})
    assert web_secrets(made, {"TOKEN": TOKEN}).token == SecretText(TOKEN)
    with pytest.raises(DiagnosticError, match="fewer than 20") as raised:
        web_secrets(made, {"TOKEN": "short-canary"})
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "8080", "127.0.0.1:x", "127.0.0.1:99999", "no.such.invalid:80"])
def test_an_address_that_cannot_be_used_is_refused(tmp_path: Path, listen: str) -> None:
    environ = {"TOKEN": TOKEN} if listen.startswith("no") else {}
    web: dict[str, Any] = {"token": {"env": "TOKEN"}} if environ else {}
    options = WorkerOptions(1, tmp_path / "data", listen=listen)

    async def task() -> None:
        worker = Worker(fleet(tmp_path, A, web=web), SecretText("postgresql:///x"), options)
        async with serving(worker, options, environ):
            pass

    with pytest.raises(DiagnosticError) as raised:
        asyncio.run(task())
    [problem] = raised.value.diagnostics
    assert problem.remedy


def test_a_worker_serves_on_its_port_and_ends(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    notes: list[str] = []
    options = WorkerOptions(1, tmp_path / "data", listen=listen, notify=notes.append)

    async def task() -> None:
        worker = Worker(fleet(tmp_path, A), SecretText("postgresql:///x"), options)
        async with serving(worker, options, {}), httpx.AsyncClient() as client:
            answer = await client.get(f"http://{listen}/healthz")
            assert (answer.status_code, answer.headers.get("server")) == (200, None)
            assert (await client.get(f"http://{listen}/readyz")).status_code == 503

    asyncio.run(task())
    assert notes == [f"listening on http://{listen}"]


def test_a_bug_is_one_line_for_the_operator_and_none_for_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(Metrics, "text", broken)
    reports: list[str] = []

    async def task(store: Store) -> None:
        async with browsing(fleet(tmp_path, A), store, reports=reports) as web:
            answer = await web.get("/metrics", headers=BEARER)
            assert (answer.status_code, answer.text) == (500, "Internal Server Error")
            assert answer.headers["x-frame-options"] == "DENY"

    on_store(task)
    [report] = reports
    assert report.startswith("/metrics: this is a bug in dbc-iac (")
