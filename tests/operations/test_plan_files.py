"""Plan files: their text, and that a large one is written in pieces."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dbc_iac.files import writing
from dbc_iac.operations.plan_files import write_plan_file
from dbc_iac.plan.signature import new_key, sign
from tests.views.plans import everything, fleet


def test_a_plan_file_is_the_json_of_the_plan_signed_as_a_whole(tmp_path: Path) -> None:
    made, key = everything(), new_key()
    text = json.dumps(made.to_json(), indent=1).encode() + b"\n"
    write_plan_file(made, tmp_path / "a", None, None)
    assert (tmp_path / "a").read_bytes() == text
    write_plan_file(made, tmp_path / "b", key, None)
    assert (tmp_path / "b").read_bytes() == sign(text, key)


def test_a_large_plan_is_written_without_all_of_its_text_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def measured(descriptor: int, content: bytes) -> None:
        sizes.append(len(content))
        os.write(descriptor, content)

    monkeypatch.setattr(writing, "write_all", measured)
    write_plan_file(fleet(900), tmp_path / "a", None, None)
    assert sum(sizes) == (tmp_path / "a").stat().st_size > 4 * max(sizes)
