"""Fixtures that several tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.apply import waiting
from tests.cli.forge import POLL
from tests.projects import Emulated, project


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    """Makes emulated worlds with a project of the given documents; further arguments are parts of the world.

    A test file that needs the same parts in all its worlds overrides it with a `partial` of it.
    """
    made: list[Emulated] = []

    def build(*documents: str, directory: str = ".", environ: Mapping[str, str] | None = None, **more: Any) -> Emulated:
        (tmp_path / directory).mkdir(exist_ok=True)
        made.append(Emulated(project(tmp_path / directory, *documents, environ=environ), more))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applies in this process poll as often as suits an emulated network that is many times as fast as time."""
    monkeypatch.setattr(waiting, "FLOOR", POLL)
    monkeypatch.setattr(waiting, "SOON", POLL)
