"""The page of a plan in a real browser, as a person uses it: filter, search, keyboard, dark, without JavaScript, print.

Skipped with its reason where there is no Chromium: `make browser` installs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.model import Action, FieldChange
from tests.browser import browser, expect, violations
from tests.views.plans import change, everything, fleet, plan, plan_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    for name, made in (("everything", everything()), ("fleet", fleet(5_000)), ("some", fleet(300))):
        (folder / f"{name}.html").write_text(plan_page(made), encoding="utf-8")
    return {path.stem: path.as_uri() for path in folder.iterdir()}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on a network request or a console message."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    wrong: list[str] = []
    made.on("console", lambda message: wrong.append(message.text))
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
    yield made
    assert wrong == []
    context.close()


def visible(page: Page) -> list[str]:
    return page.eval_on_selector_all("details.change", "found => found.filter(n => !n.hidden).map(n => n.id)")  # type: ignore[no-any-return]


def test_the_graph_is_drawn_and_leads_to_the_changes(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    box = page.locator("svg.graph").bounding_box()
    assert box is not None
    assert box["width"] > 400
    assert page.locator("svg.graph g.box").count() == 11
    page.locator('svg.graph a[aria-label="VirtualMachine/bigger update"]').click()
    assert page.url.endswith("#r-VirtualMachine-bigger")
    assert page.locator("#r-VirtualMachine-bigger").get_attribute("open") is not None
    assert page.get_by_text("32Gi").first.is_visible()


def test_filters_and_search_hide_other_changes(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    page.get_by_role("button", name="delete 1").click()
    assert visible(page) == ["r-VirtualMachine-old"]
    page.get_by_role("button", name="replace 1").click()
    assert visible(page) == ["r-VirtualMachine-old", "r-VirtualMachine-other"]
    assert page.locator("#found").inner_text() == "2 of 11 changes"
    page.get_by_role("button", name="delete 1").click()
    page.get_by_role("button", name="replace 1").click()
    page.get_by_label("Search").fill("disk scratch")
    expect(page.locator("#found")).to_have_text("1 of 11 changes")
    assert visible(page) == ["r-Disk-scratch"]


def test_the_keyboard_reaches_and_works_everything(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.id || e.getAttribute('aria-label') || e.dataset.filter || e.textContent)(document.activeElement)"
            )
        )
    wanted = {"delete", "update", "search", "open", "theme", "VirtualMachine/new create", "Dependency graph"}
    assert wanted <= set(reached)
    summaries = page.locator("summary").count()
    focused = page.eval_on_selector_all("summary", "found => found.filter(s => s.tabIndex >= 0).length")
    assert summaries == focused
    page.keyboard.press("/")
    page.keyboard.type("stopped")
    expect(page.locator("#found")).to_have_text("1 of 11 changes")
    page.keyboard.press("Escape")
    assert len(visible(page)) == 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["everything", "some"])
def test_it_is_accessible_in_light_and_in_dark(page: Page, files: dict[str, str], scheme: str, name: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(files[name])
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    if name == "everything":
        page.get_by_role("button", name="Open all").click()
    assert not violations(page)


def test_the_theme_is_changed_by_a_button(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(colour) != light


def test_five_thousand_resources_answer_at_once(page: Page, files: dict[str, str]) -> None:
    page.goto(files["fleet"])
    page.get_by_role("button", name="Open all").click()
    spent = page.evaluate("""() => new Promise(done => {
        const search = document.getElementById('search'), began = performance.now();
        search.value = 'gpu-7'; search.dispatchEvent(new Event('input'));
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
    })""")
    assert page.locator("#found").inner_text() == "250 of 5000 changes"
    assert spent < 1_000
    page.locator('svg.graph a[data-search="gpu-3"]').click()
    assert page.locator("#found").inner_text() == "250 of 5000 changes"
    assert page.locator("#r-VirtualMachine-w-3").is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows_the_page(page: Page, files: dict[str, str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(files["everything"])
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_is_read_without_javascript_and_printed_whole(
    browser: Browser, files: dict[str, str], tmp_path: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(files["everything"])
    assert plain.get_by_role("heading", name="Data loss").is_visible()
    assert not plain.get_by_label("Search").is_visible()
    plain.locator("#r-VirtualMachine-bigger > summary").click()
    assert plain.get_by_text("secret, differs").is_visible()
    context.close()
    whole = browser.new_page()
    whole.goto(files["everything"])
    whole.emulate_media(media="print")
    whole.pdf(path=str(tmp_path / "plan.pdf"))
    assert whole.locator("details:not([open])").count() == 0
    assert not whole.get_by_label("Search").is_visible()
    whole.close()


def test_a_fleet_is_short_and_unfolds(page: Page, files: dict[str, str]) -> None:
    page.goto(files["fleet"])
    assert page.evaluate("document.documentElement.scrollHeight") < 2_000
    page.locator("details.change.create > summary").click()
    assert page.evaluate("document.documentElement.scrollHeight") < 4_000
    assert page.get_by_text("4,480 more").is_visible()
    page.get_by_label("Search").fill("w-4999")
    expect(page.locator("#found")).to_have_text("1 of 5000 changes")
    assert page.locator("#r-VirtualMachine-w-4999").is_visible()
    expect(page.locator("details.rest:visible")).to_have_count(1)


def test_a_search_without_a_match_says_so_and_can_be_cleared(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    page.get_by_label("Search").fill("no such thing")
    expect(page.get_by_text("No match.")).to_be_visible()
    for heading in ("Changes", "Data loss", "Disruption"):
        assert not page.get_by_role("heading", name=heading).is_visible()
    page.get_by_role("button", name="Show all", exact=True).click()
    expect(page.get_by_text("No match.")).not_to_be_visible()
    assert len(visible(page)) == 11
    assert page.get_by_role("heading", name="Disruption").is_visible()


def test_a_filter_is_about_timeline_losses_and_graph_too(page: Page, files: dict[str, str]) -> None:
    page.goto(files["everything"])
    page.get_by_role("button", name="delete 1").click()
    expect(page.locator(".timeline tbody tr:visible")).to_have_count(1)
    expect(page.locator(".loss li:visible")).to_have_count(1)
    expect(page.locator(".graph a:not(.faint)")).to_have_count(1)


def test_a_link_to_what_a_filter_hides_takes_the_filter_back(page: Page, files: dict[str, str]) -> None:
    page.goto(f"{files['everything']}#r-VirtualMachine-bigger")
    page.get_by_role("button", name="delete 1").click()
    page.locator('svg.graph a[aria-label="VirtualMachine/bigger update"]').click()
    assert page.locator("#r-VirtualMachine-bigger").is_visible()
    assert page.locator("#found").inner_text() == ""
    page.get_by_role("link", name="Show the change of VirtualMachine/old").click()
    assert page.url.endswith("#r-VirtualMachine-old")


def test_a_narrow_page_breaks_no_word_and_hides_nothing(page: Page, files: dict[str, str]) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(files["everything"])
    page.get_by_role("button", name="Open all").click()
    cut = "found => found.filter(n => n.checkVisibility() && n.scrollWidth > n.clientWidth + 1).length"
    assert page.eval_on_selector_all(".scroll:not(.figure)", cut) == 0
    lines = "found => found.map(n => n.getClientRects().length)"
    assert set(page.eval_on_selector_all(".fields td[data-label=Effect]", lines)) == {1}
    effect = page.locator(".fields td[data-label=Effect]").first
    assert effect.evaluate("n => getComputedStyle(n, '::before').content") == '"Effect: "'


@pytest.mark.parametrize("width", [400, 1400])
def test_endless_words_are_broken(page: Page, tmp_path: Path, width: int) -> None:
    long = "x" * 3_000
    field = FieldChange("desc", long, long, "online")
    made = plan(
        change("a", Action.UPDATE, field, reasons=(long,), notes=(long,), losses=(long,)),
        recovery=(long,), moves=(long,), diagnostics=(Diagnostic("x", Severity.WARNING, long),),
    )  # fmt: skip
    (tmp_path / "long.html").write_text(plan_page(made), encoding="utf-8")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((tmp_path / "long.html").as_uri())
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_printed_table_stays_on_its_sheet(page: Page, files: dict[str, str]) -> None:
    page.set_viewport_size({"width": 700, "height": 1_000})  # A4 between its margins
    page.goto(files["everything"])
    page.emulate_media(media="print")
    right = "getBoundingClientRect().right"
    over = f"found => found.filter(n => n.{right} > n.closest('section').{right} + 1).length"
    assert page.eval_on_selector_all("table", over) == 0
