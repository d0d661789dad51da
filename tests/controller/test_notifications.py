"""Notifications: what is one, its body and signature, and a receiver that fails."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

import httpx
import pytest

from dbc_iac.controller import notifications
from dbc_iac.controller.notifications import SIGNATURE, Notifier, events, notifier
from dbc_iac.controller.records import Outcome, Phase, RunResult, StartedRun
from dbc_iac.controller.store import Store
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.secret import SecretText
from tests.controller.fleets import fleet, on_store

SECRET, URL = "signature-canary", "https://hooks.example.org/path-canary"
A = {"name": "a", "source": "infra"}
SYNCED = RunResult(Outcome.UNCHANGED, Phase.SYNCED, 60)
FAILED = RunResult(Outcome.FAILED, Phase.FAILED, 60, "no dbc-iac.yaml")
PLANNED = RunResult(Outcome.PLANNED, Phase.APPROVAL, 60, digest="d1", plan="{}", approval="data loss")
OTHER = RunResult(Outcome.PLANNED, Phase.APPROVAL, 60, digest="d2", plan="{}", approval="data loss")
DRIFTED = RunResult(Outcome.PLANNED, Phase.DRIFTED, 60, drifted=True)
INTERRUPTED = RunResult(Outcome.INTERRUPTED, None, 60)


async def next_run(store: Store) -> StartedRun:
    started = await store.begin_run("a", "one", 60)
    assert started is not None
    return started


def test_each_change_is_notified_once(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await store.register(fleet(tmp_path, A))
        await store.synced("research", "infra", "c1", {"a": "t1"}, 60)
        found = []
        for result in (
            SYNCED, FAILED, FAILED, INTERRUPTED, SYNCED, DRIFTED, DRIFTED, SYNCED, PLANNED, PLANNED, OTHER, DRIFTED,
        ):  # fmt: skip
            started = await next_run(store)
            found.append([*events(started, result)])
            await store.end_run(started.id, result)
        assert found == [
            [], ["failed"], [], [], ["recovered"], ["drift-found"], [], [], ["approval-needed"], [],
            ["approval-needed"], ["drift-found"],
        ]  # fmt: skip

    on_store(task)


def test_bad_commits_in_a_row_are_notified_once_and_each_restarts_the_pace(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        await store.register(fleet(tmp_path, A))
        found = []
        for tree, result in (
            ("t1", SYNCED), ("t2", FAILED), ("t2", FAILED), ("t3", FAILED), ("t4", FAILED), ("t5", SYNCED), ("t6", FAILED),
        ):  # fmt: skip
            await store.synced("research", "infra", tree, {"a": tree}, 60)
            started = await next_run(store)
            found.append(([*events(started, result)], started.failures, started.retries))
            await store.end_run(started.id, result)
        assert found == [
            ([], 0, 0), (["failed"], 0, 0), ([], 1, 1), ([], 2, 0), ([], 3, 0), (["recovered"], 4, 0), (["failed"], 0, 0),
        ]  # fmt: skip

    on_store(task)


async def delivered(tmp_path: Path, *codes: int) -> tuple[list[httpx.Request], list[str]]:
    """Requests and reports of one failed run; each answer has the next code."""
    requests: list[httpx.Request] = []
    reports: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        code = codes[len(requests) - 1]
        if not code:
            raise httpx.ConnectError(f"cannot connect to {URL}")
        return httpx.Response(code)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        made = Notifier("research", SecretText(URL), SecretText(SECRET), client, reports.append)
        spec = fleet(tmp_path, A).spec
        started = StartedRun(
            17, "a", spec.stacks[0], "infra", spec.sources["infra"], "c1", "t1", False, 0, 0, False, None, None, None  # type: ignore[arg-type]
        )  # fmt: skip
        await made.ended(started, FAILED, 1)
        await made.finish()
    return requests, reports


def test_a_notification_is_signed_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_PAUSES", (0.0, 0.0))
    requests, reports = asyncio.run(delivered(tmp_path, 500, 0, 204))
    assert (len(requests), reports) == (3, [])
    request = requests[-1]
    assert request.headers[SIGNATURE] == (
        "sha256=" + hmac.new(SECRET.encode(), request.content, hashlib.sha256).hexdigest()
    )
    content = json.loads(request.content)
    assert (content["version"], content["id"]) == (1, "research/17/failed")
    assert (content["stack"], content["commit"], content["message"]) == ("a", "c1", "no dbc-iac.yaml")


def test_a_receiver_that_fails_is_reported_without_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_PAUSES", (0.0,))
    assert asyncio.run(delivered(tmp_path, 302, 500))[1] == ["notification failed of a was not delivered: HTTP 500"]
    assert asyncio.run(delivered(tmp_path, 0, 0))[1] == ["notification failed of a was not delivered: ConnectError"]


@pytest.mark.parametrize("url", ["http://hooks.example.org/canary", "canary", "https://[canary"])
def test_a_url_that_is_not_https_is_refused_without_quoting_it(tmp_path: Path, url: str) -> None:
    made = fleet(tmp_path, A, notifications={"url": {"env": "URL"}, "secret": {"env": "SECRET"}})

    async def task() -> None:
        async with notifier(made, {"URL": url, "SECRET": SECRET}, print):
            pass

    with pytest.raises(DiagnosticError) as raised:
        asyncio.run(task())
    assert "canary" not in str(raised.value.diagnostics)
