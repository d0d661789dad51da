"""`make test` says before it starts how long it takes and what it will skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.announce import ROOT, announcement


def test_missing_parts_are_named_with_their_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    environ = {"PLAYWRIGHT_BROWSERS_PATH": str(tmp_path), "JOBS": "4", "RECORDINGS": str(tmp_path / "none")}
    lines = announcement(environ, tmp_path / "clone", cores=4).splitlines()
    assert lines[0] == "Lint, types, import layers and tests: about 2 minutes with 4 processes."
    assert [line.partition(":")[0] for line in lines[1:]] == ["Skipped"] * 4
    assert "Skipped: pages in a browser: no Chromium (make browser)." in lines


def test_nothing_is_skipped_where_everything_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    (tmp_path / "shared/api").mkdir(parents=True)
    (tmp_path / "shared/recordings").mkdir()
    assert announcement({}, tmp_path / "clone").splitlines()[1:] == ["Nothing is skipped."]


def test_make_test_announces_first() -> None:
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("test:")]
    assert line.partition("##")[0].split()[1] == "announce"
