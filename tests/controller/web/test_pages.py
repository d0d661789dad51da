"""The page of a fleet: what it shows, who may act, and nothing that others put into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.controller.web import pages
from dbc_iac.controller.web.access import WebSecrets
from dbc_iac.controller.web.pages import _following
from tests.controller.fleets import on_store
from tests.controller.web.site import BEARER, ELSEWHERE, GITHUB, PLAN, SECRETS, TOKEN, browsing, csrf_of, filled
from tests.views.plans import HOSTILE

FORM = {"accept": "text/html"}
AWAY = "https://fleet.example.org"
DECISION = "/stacks/vision-0/decision"


def test_the_page_shows_every_stack_and_its_plan(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 12)
        async with browsing(made, store) as web:
            web.headers.update(BEARER)
            text = (await web.get("/")).text
            assert "<h1>12 stacks</h1>" in text
            assert text.count('<th scope="row">') == 12
            assert text.index("vision-0") < text.index("vision-3<")  # those that need somebody come first
            assert "approve or reject the plan" in text
            assert text.index("?phase=failed") < text.index("?phase=approval") < text.index("?phase=synced")
            failed = (await web.get("/?phase=failed")).text
            assert "vision-1<" in failed
            assert "vision-0<" not in failed
            assert (await web.get("/?phase=odd")).status_code == 404
            stack = (await web.get("/stacks/vision-0")).text
            assert PLAN.digest in stack
            assert "Plan as text" in stack
            assert "Approve this plan" not in stack
            plan = await web.get(f"/stacks/vision-0/plans/{PLAN.digest}")
            assert "script-src 'sha256-" in plan.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in plan.headers["content-security-policy"]
            assert (await web.get("/style.css")).headers["content-type"].startswith("text/css")
            for path in (
                "/stacks/nope",
                "/stacks/vision-0?run=x",
                "/stacks/vision-0?run=1",
                "/stacks/vision-0/plans/x",
            ):
                assert (await web.get(path, headers=FORM)).status_code == 404, path
            hostile = (await web.get("/stacks/vision-1")).text
            assert "error[no-project]" in hostile
            for found in (text, stack, hostile, plan.text):
                assert "<img src=x" not in found
                assert "\x1b" not in found
                assert TOKEN not in found
                assert GITHUB not in found

    on_store(task)


def test_a_person_signs_in_and_approves_exactly_the_plan_that_waits(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 3)
        async with browsing(made, store, client=ELSEWHERE, url=AWAY) as web:
            assert (await web.get("/", headers=FORM)).headers["location"] == "/login"
            assert (await web.get("/")).status_code == 401
            wrong = await web.post("/login", data={"name": "Ada", "token": "x" * 24})
            assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
            assert (await web.post("/login", data={"name": "", "token": TOKEN})).status_code == 400
            entered = await web.post("/login", data={"name": "Ada", "token": TOKEN})
            cookie = entered.headers["set-cookie"].lower()
            assert all(part in cookie for part in ("httponly", "secure", "samesite=strict"))
            assert TOKEN not in cookie
            shown = (await web.get("/stacks/vision-0")).text
            form = {"csrf": csrf_of(shown), "digest": PLAN.digest, "decision": "approved"}
            assert "Approve this plan" in shown
            for lacking, status in (
                ({**form, "csrf": ""}, 403),
                ({**form, "csrf": form["csrf"] + "x"}, 403),
                ({**form, "decision": "applied"}, 400),
                ({**form, "digest": "0" * 64}, 409),
                ({**form, "more": "x" * 9000}, 413),
            ):
                assert (await web.post(DECISION, data=lacking)).status_code == status, lacking
            foreign = await web.post(DECISION, data=form, headers={"sec-fetch-site": "cross-site"})
            assert foreign.status_code == 403
            assert [a.status for a in await store.approvals("vision-0")] == ["pending"]
            assert (await web.post(DECISION, data=form)).headers["location"] == "/stacks/vision-0"
            [approval] = await store.approvals("vision-0")
            assert (approval.status, approval.decided_by, approval.digest) == ("approved", "Ada (page)", PLAN.digest)
            again = await web.post(DECISION, data=form)
            assert (again.status_code, "approved by Ada" in again.text) == (409, True)
            await web.post("/logout", data={"csrf": form["csrf"]})
            assert (await web.get("/")).status_code == 401

    on_store(task)


def test_times_and_sessions_are_those_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 2)
        real, ahead = time.time, datetime(2126, 11, 30, 1, 5, 37, tzinfo=UTC)
        async with browsing(made, store) as web:
            with monkeypatch.context() as fast:  # the clock of this worker
                fast.setattr(time, "time", lambda: real() + 13 * 3600)
                await web.post("/login", data={"name": "Ada", "token": TOKEN})
            assert (await web.get("/")).status_code == 200
            monkeypatch.setattr(Store, "now", lambda _: _as_result(ahead))
            assert (await web.get("/")).status_code == 401
            await web.post("/login", data={"name": "Ada", "token": TOKEN})
            for path in ("/", "/stacks/vision-0"):
                assert "As of 2126-11-30 01:05:37 UTC" in (await web.get(path)).text
            run = (await store.runs("vision-0"))[0]
            later = run.started + timedelta(minutes=7)
            monkeypatch.setattr(Store, "now", lambda _: _as_result(later))
            assert "7 min ago" in (await web.get("/", headers=BEARER)).text

    on_store(task)


async def _as_result(value: datetime) -> datetime:
    return value


def test_a_synced_stack_with_a_new_commit_is_not_shown_as_done(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 10)
        async with browsing(made, store) as web:
            web.headers.update(BEARER)
            assert "new commit" not in (await web.get("/stacks/vision-7")).text
            await store.synced("research", "infra", "d" * 40, {"vision-7": "t-new"}, 60)
            assert "(new commit)" in (await web.get("/stacks/vision-7")).text

    on_store(task)


def test_an_approved_plan_needs_nobody_and_its_plan_stays_on_the_page(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 3)
        await store.decide("vision-0", PLAN.digest, "approved", "Ada")
        async with browsing(made, store) as web:
            web.headers.update(BEARER)
            assert "approve or reject the plan" not in (await web.get("/")).text
            text = (await web.get("/stacks/vision-0")).text
            assert "(approved)" in text
            assert "Plan as text" in text

    on_store(task)


def test_the_commit_of_a_plan_is_shown_also_during_a_run_after_a_newer_commit(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 3)
        async with browsing(made, store) as web:
            web.headers.update(BEARER)
            assert "<p>Commit <code>3f786850e387</code>. <a" in (await web.get("/stacks/vision-0")).text
            await store.begin_run("vision-0", "host:1", 60)
            await store.synced("research", "infra", "d" * 40, {"vision-0": "t-new"}, 60)
            text = (await web.get("/stacks/vision-0?run=3")).text  # that of the open run would go on
            shown = "<p>Commit <code>3f786850e387</code>; the desired commit is <code>dddddddddddd</code>. <a"
            assert shown in text

    on_store(task)


def test_the_page_of_an_open_run_grows_until_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = asyncio.Event()

    def beginning(*arguments: Any) -> AsyncIterator[str]:
        opened.set()
        return _following(*arguments)

    monkeypatch.setattr(pages, "_following", beginning)

    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 3)
        run = await store.begin_run("vision-2", "host:1", 60)
        assert run is not None
        await store.add_events(run.id, [(0, {"event": "note", "address": "Disk/x", "text": "was read"})])
        async with browsing(made, store) as web:
            web.headers.update(BEARER)
            page = asyncio.create_task(web.get("/stacks/vision-2"))
            await asyncio.wait_for(opened.wait(), 30)
            parts = _following(lambda: store, run.id, 0, ("before", "", "after"))
            assert await anext(parts) == "before"
            ending = _following(lambda: None, run.id, 0, ("before", "", "after"))  # the worker ends
            assert [part async for part in ending] == ["before", "after"]
            await store.add_events(run.id, [(1, {"event": "note", "address": "Disk/x", "text": f"then {HOSTILE}"})])
            assert "note Disk/x then" in await anext(parts)
            assert not page.done()
            await store.end_run(run.id, RunResult(Outcome.APPLIED, Phase.SYNCED, 60))
            assert await anext(parts) == "after"
            text = (await page).text
            assert text.index("Disk/x was read") < text.index("Disk/x then") < text.index("Load the page again")
            assert "Follow its events" in text
            assert "<img src=x" not in text
            assert "\x1b" not in text
            assert text.rstrip().endswith("</html>")
            assert "Follow its events" not in (await web.get("/stacks/vision-2")).text

    on_store(task)


@pytest.mark.parametrize("secrets", [WebSecrets(), SECRETS], ids=["without a token", "without a session"])
def test_nobody_decides_without_a_session_also_on_this_machine(tmp_path: Path, secrets: WebSecrets) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 2)
        async with browsing(made, store, secrets=secrets) as web:
            form = {"csrf": "", "digest": PLAN.digest, "decision": "approved"}
            assert (await web.post(DECISION, data=form)).status_code == 403
            assert (await web.post(DECISION, data=form, headers=BEARER)).status_code == 403
            web.cookies.set("dbc_iac_session", "WyJhIiwiYiJd.aaaaaa.bbbbbb")
            assert (await web.post(DECISION, data=form)).status_code == 403
            assert [a.status for a in await store.approvals("vision-0")] == ["pending"]

    on_store(task)


def test_a_lost_database_is_a_page_with_one_sentence(tmp_path: Path) -> None:
    async def task(store: Store) -> None:
        made = await filled(store, tmp_path, 2)
        async with browsing(made, None) as web:
            answer = await web.get("/", headers=FORM | BEARER)
            assert (answer.status_code, "The database of the controller is not available." in answer.text) == (
                503,
                True,
            )
        await store.pool.close()
        async with browsing(made, store) as web:
            answer = await web.get("/", headers=FORM | BEARER)
            assert (answer.status_code, "Traceback" in answer.text) == (503, False)

    on_store(task)
