"""Emulated projects whose loops are closed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Emulated, project


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    """Builds a project of the given documents on an emulated world."""
    made: list[Emulated] = []

    def build(*documents: str, **more: Any) -> Emulated:
        made.append(Emulated(project(tmp_path / f"project{len(made)}", *documents), more))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()
