"""Order of steps on a node: releases of GPUs and ports first, then starts of VMs that are off, then new VMs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.trials import act, converges, write
from tests.projects import Emulated, vm
from tests.proof.ends import Interposed, Point

A, B = {"ssh": 20100, "vnc": 20101}, {"ssh": 20200, "vnc": 20201}


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    """A machine of four GPUs."""
    return world()


def gpus_of_vms(emulated: Emulated) -> list[tuple[str, int]]:
    return sorted((machine["domain"], len(machine["gpus"])) for machine in emulated.vms.values())


@pytest.mark.parametrize(
    ("before", "after", "there"),
    [
        ((vm("a", gpus=1), vm("b", gpus=3)), (vm("a", gpus=3), vm("b", gpus=1)), [1, 3]),
        ((vm("a", gpus=3), vm("b", gpus=1)), (vm("a", gpus=1), vm("b", gpus=3)), [1, 3]),
        ((vm("b", gpus=4),), (vm("a", gpus=4),), [4]),
        ((vm("b", gpus=4),), (vm("a", gpus=2), vm("b", gpus=2)), [2, 2]),
        ((vm("b", gpus=0, ports=A),), (vm("a", gpus=0, ports=A),), [0]),
    ],
    ids=["b gives to a", "a gives to b", "a goes, b comes", "half of it", "ports"],
)
def test_what_gives_comes_before_what_takes(
    emulated: Emulated, before: tuple[str, ...], after: tuple[str, ...], there: list[int]
) -> None:
    write(emulated, before)
    converges(emulated)
    write(emulated, after)
    converges(emulated)
    assert gpus_of_vms(emulated) == [("running", gpus) for gpus in there]


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_vm_powered_off_by_an_interrupted_apply_starts_before_new_vms_take_its_gpus(
    emulated: Emulated, name: str
) -> None:
    one = vm("b", ports=B)
    write(emulated, (one,))
    converges(emulated)
    write(emulated, (vm("b", ports=B, cpus=8),))
    assert Interposed(emulated, Point("call", 2, "before")).run("apply", "--yes") is None
    write(emulated, (one, vm(name, gpus=2, ports=A)))
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    assert gpus_of_vms(emulated) == [("running", 1), ("running", 2)]


def test_a_vm_whose_gpus_are_taken_gets_other_gpus(emulated: Emulated) -> None:
    write(emulated, (vm("b", ports=B, power="off"),))
    converges(emulated)
    write(emulated, (vm("b", ports=B, power="off"), vm("a", gpus=2, ports=A)))
    converges(emulated)
    write(emulated, (vm("b", ports=B), vm("a", gpus=2, ports=A)))
    converges(emulated)
    assert gpus_of_vms(emulated) == [("running", 1), ("running", 2)]


def test_the_holder_of_missing_resources_is_reported(emulated: Emulated) -> None:
    write(emulated, (vm("a", ports=A), vm("b", gpus=3, ports=B)))
    converges(emulated)
    refused = {"op": "tasks.start", "kind": "refuse", "text": "allocate gpu failed", "times": 999}
    emulated.loop.run_until_complete(act(emulated, ("/faults", refused)))
    write(emulated, (vm("a", ports=A, cpus=8), vm("b", gpus=3, ports=B)))
    result = emulated.run("apply", "--yes")
    [other] = [i for i, machine in emulated.vms.items() if len(machine["gpus"]) == 3]
    assert result.code == 7, result.err
    assert f"allocate gpu failed; 3 of 4 GPUs are in use (VM {other} holds 3)" in result.err


def test_a_vm_that_could_not_be_started_is_tried_again_when_something_else_has_ended(emulated: Emulated) -> None:
    """The resources may become free: here the node refuses for the first five tries."""
    write(emulated, (vm("a", ports=A), vm("b", gpus=0, ports=B)))
    converges(emulated)
    refused = {"op": "tasks.start", "kind": "refuse", "text": "allocate gpu failed", "times": 6}
    emulated.loop.run_until_complete(act(emulated, ("/faults", refused)))
    write(emulated, (vm("a", ports=A, cpus=8), vm("b", gpus=0, ports=B), vm("c", gpus=0)))
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    assert "VirtualMachine/a: runs again" in result.err
