"""The site of the documentation: built strictly from docs/, with search and a dark mode, and no request to another server."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[1]
EXTERNAL = re.compile(r'<(?:script|img|link)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')


def test_the_site_is_built_strictly_and_loads_nothing_from_other_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    with caplog.at_level(logging.WARNING, "mkdocs"):
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
        build(config)  # raises for a broken link or anchor, and for a page that is not in `nav`
    assert not [r for r in caplog.records if r.name.startswith("mkdocs")]
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= {page.name for page in tmp_path.iterdir()}
    found = json.loads((tmp_path / "search/search_index.json").read_text())
    assert any("rentalEndsWithin" in entry["text"] for entry in found["docs"])
    page = (tmp_path / "language/index.html").read_text()
    assert 'data-md-color-scheme="slate"' in page
    assert not EXTERNAL.findall(page)
