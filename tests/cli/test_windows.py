"""Offline windows through the command line: what is left when one does not go to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Emulated, document, project, vm

DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def applied(*documents: str, **world: Any) -> Emulated:
        emulated = Emulated(project(tmp_path, *documents), world)
        made.append(emulated)
        assert emulated.run("apply", "--yes").code == 0
        return emulated

    yield applied
    for emulated in made:
        emulated.close()


def converges(emulated: Emulated) -> None:
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_disk_whose_removal_was_not_waited_for_stays_in_the_state(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = make(vm(), DISK)
    project(tmp_path, vm(), environ=emulated.project.environ)
    assert emulated.run("apply", "--yes", "--wait-timeout", "1").code == 7
    assert "Disk/scratch" in emulated.run("state", "list", "--json").json
    emulated.settle()
    converges(emulated)
    [machine] = emulated.vms.values()
    assert (len(machine["disks"]), machine["domain"]) == (2, "running")
