"""The page of a fleet in a real browser: accessible, readable with 300 stacks, worked by keyboard, and self-contained."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from tests.browser import browser, violations
from tests.controller.fleets import on_store
from tests.controller.web.site import TOKEN, browsing, filled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

__all__ = ["browser"]
SITE = "http://127.0.0.1:8080"
LIVE = "/stacks/vision-3"
PATHS = ("/", "/stacks/vision-0", "/stacks/vision-1", "/login", "/?phase=approval", "/style.css")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, httpx.Response]:
    """The answers of the server to a person who has signed in."""

    async def task(store: Store) -> dict[str, httpx.Response]:
        made = await filled(store, tmp_path_factory.mktemp("fleet"), 300)
        async with browsing(made, store) as web:
            await web.post("/login", data={"name": "Ada", "token": TOKEN})
            run = await store.begin_run("vision-3", "host:1", 60)
            assert run is not None
            live = asyncio.create_task(web.get(LIVE))
            found = {path: await web.get(path) for path in PATHS}
            await store.end_run(run.id, RunResult(Outcome.APPLIED, Phase.SYNCED, 60))
            return {**found, LIVE: await live}

    with ThreadPoolExecutor(1) as thread:  # that of the browser has a running loop
        return thread.submit(on_store, task).result()


@pytest.fixture
def page(browser: Browser, answers: Mapping[str, httpx.Response]) -> Iterator[Page]:
    """A page that fails the test on a console message, and on a request for anything else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    wrong: list[str] = []

    def answer(route: Route) -> None:
        found = answers.get(route.request.url.removeprefix(SITE))
        if found is None:
            wrong.append(route.request.url)
            route.abort()
        else:
            route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    made.route("**/*", answer)
    made.on("console", lambda message: wrong.append(message.text))
    yield made
    assert wrong == []
    context.close()


def test_three_hundred_stacks_are_accessible_in_light_and_in_dark(page: Page) -> None:
    page.goto(SITE)
    assert not violations(page, colours=False)  # those of the other pages are the same
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in (LIVE, *PATHS[1:5]) if scheme == "light" else PATHS[1:2]:
            page.goto(SITE + path)
            assert not violations(page), path


def test_three_hundred_stacks_fit_narrow_and_wide_screens(page: Page) -> None:
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for path in PATHS[:3]:
            page.goto(SITE + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_keyboard_reaches_approve(page: Page) -> None:
    page.goto(SITE + "/stacks/vision-0")
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
    assert reached[:2] == ["Skip to the content", "Fleet research"]
    assert "Approve this plan" in reached
