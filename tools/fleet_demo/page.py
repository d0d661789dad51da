"""The page of the controller as a browser without JavaScript and styles shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = {"h1", "h2", "p", "tr", "pre", "dt", "button"}
_ASIDE = {"nav", "details"}


class _Reader(HTMLParser):
    """Collects the lines of the main part, but those of `_ASIDE`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._main = self._preformatted = False
        self._aside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._main |= tag == "main"
        self._preformatted |= tag == "pre"
        self._aside += tag in _ASIDE
        if tag in _BLOCKS:
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        self._preformatted &= tag != "pre"
        self._aside -= tag in _ASIDE
        if tag in {"td", "th", "dt"} and self.lines:
            self.lines[-1] += "  "

    def handle_data(self, data: str) -> None:
        if self._main and not self._aside and self.lines:
            self.lines[-1] += data if self._preformatted else re.sub(r"\s+", " ", data)


def page_lines(html: str) -> list[str]:
    """The lines of a page that have text."""
    reader = _Reader()
    reader.feed(html)
    return [line.rstrip() for line in "\n".join(reader.lines).splitlines() if line.strip()]


def csrf_of(html: str) -> str:
    """The CSRF value of the forms of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    return found[1] if found else ""
