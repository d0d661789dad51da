"""The manifest changes before the next run has learned what became of a creation: nothing is doubled or left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.gpu.spec import GuestSpec
from tests.projects import NODE_ID, Emulated, project, vm

LATE = (
    FaultSpec(op="tasks.create", kind="late", seconds=600.0),
    FaultSpec(op="tasks.create", kind="time-out", nth=2, times=20),
)
"""The first try is carried out ten minutes later, and no try is answered."""
OTHER: dict[str, Any] = {"image": "win10.qcow2", "ports": {"ssh": 20011, "vnc": 20012}}
"""With the ports of the old machine, which runs again, the late creation would be refused."""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(*documents: str, **world: Any) -> Emulated:
        emulated = Emulated(project(tmp_path, *documents), world)
        made.append(emulated)
        return emulated

    yield build
    for emulated in made:
        emulated.close()


def write(emulated: Emulated, *documents: str) -> None:
    project(emulated.project.directory, *documents, environ=emulated.project.environ)


def fails_late(emulated: Emulated) -> None:
    """An apply of which a creation has no certain outcome."""
    for fault in LATE:
        emulated.network.faults.add(fault)
    assert emulated.run("apply", "--yes").code != 0
    emulated.network.faults.clear()


def converged(emulated: Emulated, applies: int = 1) -> dict[str, Any]:
    """The one VM that there is, after so many applies."""
    for _ in range(applies):
        result = emulated.run("apply", "--yes")
        assert result.code == 0, result.out + result.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    [task_id] = emulated.vms
    assert emulated.vms[task_id]["domain"] == "running"
    found: dict[str, Any] = emulated.network.nodes[NODE_ID].truth()["vms"][task_id]
    return {"id": task_id, **found}


@pytest.mark.parametrize("seen", ["before it comes", "after it came"])
def test_a_replacement_that_is_taken_back_leaves_the_old_machine_alone(
    make: Callable[..., Emulated], seen: str
) -> None:
    emulated = make(vm())
    before = (emulated.run("apply", "--yes"), list(emulated.vms))[1]
    write(emulated, vm(**OTHER))
    fails_late(emulated)
    write(emulated, vm())
    if seen == "before it comes":
        assert emulated.run("plan", "--detailed-exitcode").code == 0
        assert emulated.run("apply", "--yes").code == 0
    emulated.settle()
    assert len(emulated.vms) == 2
    plan = emulated.run("plan", "--json").json
    actions = {c["address"]: c["action"] for c in plan["changes"]}
    assert actions == {"VirtualMachine/trainer": "no-op", "VirtualMachine/trainer~2": "delete"}
    assert [converged(emulated)["id"]] == before


def test_a_replacement_that_was_only_not_waited_for_is_taken_back_too(make: Callable[..., Emulated]) -> None:
    emulated = make(vm())
    before = (emulated.run("apply", "--yes"), list(emulated.vms))[1]
    emulated.admin.set_image_guest("win10.qcow2", GuestSpec.model_validate({"bootSeconds": 800}))
    write(emulated, vm(**OTHER))
    result = emulated.run("apply", "--yes", "--wait-timeout", "60", "--json")
    assert result.code == 7
    assert result.json["report"]["poweredOff"]
    write(emulated, vm())
    assert [converged(emulated)["id"]] == before


def test_the_same_wish_is_made_under_the_same_id(make: Callable[..., Emulated]) -> None:
    emulated = make(vm())
    before = (emulated.run("apply", "--yes"), list(emulated.vms))[1]
    write(emulated, vm(**OTHER))
    fails_late(emulated)
    emulated.settle()
    [late] = [i for i in emulated.vms if i not in before]
    assert converged(emulated)["id"] == late


@pytest.mark.parametrize("first", [True, False], ids=["replacement", "creation"])
@pytest.mark.parametrize("settled", [True, False], ids=["after it came", "before it comes"])
@pytest.mark.parametrize("gpus", [1, 3], ids=["room for both", "room for one"])
def test_another_wish_is_made_under_another_id_and_the_first_goes(
    make: Callable[..., Emulated], first: bool, settled: bool, gpus: int
) -> None:
    emulated = make(vm(gpus=gpus))
    if first:
        assert emulated.run("apply", "--yes").code == 0
    write(emulated, vm(**OTHER, gpus=gpus, cpus=2))
    fails_late(emulated)
    write(emulated, vm(dataDisk={"size": "20Gi"}, multicast=["230.0.0.1:5558"], gpus=gpus))
    if settled:
        emulated.settle()
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    emulated.settle()
    found = converged(emulated)
    assert found["multicast"] == ["230.0.0.1:5558"]


def test_what_changed_meanwhile_of_what_the_api_never_shows_is_sent(make: Callable[..., Emulated]) -> None:
    emulated = make(vm())
    fails_late(emulated)
    emulated.settle()
    write(emulated, vm(ports={"ssh": "auto", "vnc": "auto", "forward": ["tcp,8080:80"]}))
    found = converged(emulated, applies=2)
    assert "tcp,8080:80" in str(found)
