"""The wheel: what it holds, that a repeat gives the same bytes, and its refusal of Windows; the release workflow."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from dbc_iac import __main__

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/release.yml"


def build(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    [made] = WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    return Path(made)


def test_a_wheel_holds_the_product_alone_and_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel, again = (build(tmp_path / name, monkeypatch) for name in ("one", "two"))
    assert wheel.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read("dbc_iac-0.1.0.dist-info/METADATA").decode())
    assert {name.partition("/")[0] for name in names} == {"dbc_iac", "dbc_iac-0.1.0.dist-info"}
    assert {"dbc_iac/py.typed", "dbc_iac/operations/ci/action.yml"} <= set(names)
    expected = {"License-Expression": "Apache-2.0", "Requires-Python": ">=3.11"}
    assert {key: metadata[key] for key in expected} == expected
    assert all(metadata[key] for key in ("Summary", "Keywords", "Author", "Classifier", "Description-Content-Type"))


def test_windows_is_refused_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "write", lambda file, text: written.append(text))
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 3
    assert b"".join(written) == b"error: dbc-iac does not support Windows. Use Linux, macOS, or WSL on Windows.\n"


def test_the_release_workflow_pins_its_actions_and_publishes_without_a_token() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    actions = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in actions), actions
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in WORKFLOW.read_text()
