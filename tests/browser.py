"""The browser of tests; they are skipped with the reason where there is no Chromium: `make browser` installs one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import Error, sync_playwright  # takes a quarter of a second, as `axe` does

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium here (make browser): {str(error).splitlines()[0]}")
        yield made
        made.close()


def expect(locator: Locator) -> Any:
    from playwright import sync_api

    return sync_api.expect(locator)


def violations(page: Page, *, colours: bool = True) -> str:
    """Report of axe about a page, empty without violations. Contrasts of large pages take seconds."""
    from axe_playwright_python.sync_playwright import Axe

    rules = {"color-contrast": {"enabled": colours}}
    found = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules})
    return found.generate_report() if found.violations_count else ""
