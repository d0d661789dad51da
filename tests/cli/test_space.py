"""Disks that fit into a directory of the host each alone, and not together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.projects import NODE_ID, Emulated, document, project, vm

WORLD = {
    "gpuNodes": [
        {"id": NODE_ID, "disk": 4000, "data": [{"path": "/data", "size": 4000}, {"path": "/data2", "size": 6000}]}
    ]
}
VM = vm()


def disk(name: str, size: str, host_dir: str = "/data") -> str:
    return document("Disk", name, {"vm": "trainer", "size": size, "hostDir": host_dir})


@pytest.fixture
def make(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, **WORLD)


def warned(emulated: Emulated, *documents: str) -> list[str]:
    """Warnings of a plan of these documents."""
    project(emulated.project.directory, *documents, environ=emulated.project.environ)
    result = emulated.run("plan", "--json")
    assert result.code == 0, result.err
    return result.codes if result.err else []


@pytest.mark.parametrize(
    ("documents", "codes"),
    [
        ((VM, disk("a", "1500Gi"), disk("b", "1500Gi")), []),
        ((VM, disk("a", "2500Gi"), disk("b", "2500Gi"), disk("c", "2500Gi")), ["thin-space"]),
        ((VM, disk("a", "2500Gi"), disk("b", "2500Gi", "/data2")), []),
        ((VM, disk("a", "2500Gi"), disk("b", "2500Gi", "/data/mine")), ["thin-space"]),
        ((VM, disk("a", "3500Gi", "/data2"), disk("b", "3500Gi", "/data2")), ["thin-space"]),
        ((VM, vm("other", dataDisk={"size": "2000Gi"}), disk("a", "2000Gi")), ["thin-space"]),
        ((vm(dataDisk={"size": "2500Gi"}), vm("other", dataDisk={"size": "2500Gi"})), ["thin-space"]),
        ((vm("pxe", biosMode="pxe", dataDisk=None), VM), []),
    ],
    ids=["fits", "disks", "elsewhere", "below", "second", "both", "vms", "without"],
)
def test_what_comes_is_counted_together(
    make: Callable[..., Emulated], documents: tuple[str, ...], codes: list[str]
) -> None:
    assert warned(make(VM), *documents) == codes


def test_required_and_free_space_are_reported(make: Callable[..., Emulated]) -> None:
    emulated = make(VM, disk("a", "2500Gi"), disk("b", "2500Gi"))
    result = emulated.run("plan")
    assert "5020 GiB requested in total in /data" in result.err
    assert "3 disks are new or grow there" in result.err
    assert "all.yaml" in result.err


def test_only_the_growth_of_existing_disks_is_counted(make: Callable[..., Emulated]) -> None:
    """Its files are in what is not free, as far as they are filled."""
    emulated = make(VM, disk("a", "1500Gi"), disk("b", "1500Gi"))
    assert emulated.run("apply", "--yes").code == 0
    assert warned(emulated, VM, disk("a", "3000Gi"), disk("b", "3000Gi")) == []
    assert warned(emulated, VM, disk("a", "3600Gi"), disk("b", "3600Gi")) == ["thin-space"]
