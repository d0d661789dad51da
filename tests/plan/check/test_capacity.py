"""Capacity and ports of all changes on one machine together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dbc_iac.json import Json
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.plan.check.capacity import by_machine, check_capacity, check_ports, required_capacity, started
from dbc_iac.plan.model import Action, Change, FieldChange, Placement
from tests.plan.case import Case

ROUTE: dict[str, Json] = {
    "name": "Node/gpu-a",
    "target": "a" * 64,
    "identity": "tenant",
    "clients": [],
    "rentOrder": "112",
}
SIZE: dict[str, Json] = {"gpus": 1, "cpus": 4, "memory": "8Gi", "power": "on"}
MACHINE = {"gpu-a": {"gpus": 4, "cpus": 16, "memory": 32, "disks": {"/data": 100}}}


def change(name: str, action: Action = Action.CREATE, **fields: Any) -> Change:
    address = f"VirtualMachine/{name}"
    return Change(address, "VirtualMachine", action, placement=Placement(route=ROUTE), **fields)


def created(name: str, **fields: Json) -> Change:
    return change(name, desired={**SIZE, **fields})


def refusals(*changes: Change, **machine: Any) -> list[tuple[str, str]]:
    case = Case({
        "manifests": {"Node/gpu-a": {}, **{c.address: {} for c in changes}},
        "machines": {"gpu-a": {**MACHINE["gpu-a"], **machine}},
    })  # fmt: skip
    [found] = case.facts.machines.values()
    here = {c.address: c for c in changes}
    return [(d.address or "", d.summary) for d in check_capacity(case.context, found, here)]


def test_vms_that_fit_together_are_accepted() -> None:
    assert refusals(created("a"), created("b")) == []


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        ({"cpus": 10}, "20 CPU cores requested in total, but the machine has 16"),
        ({"memory": "20Gi"}, "40 GiB of memory requested in total, but the machine has 32"),
        ({"gpus": 3}, "6 GPUs requested in total, but 4 of 4 are free"),
        ({"dataDisk.size": "60Gi"}, "120 GiB requested in total in /data, but 100 are free"),
    ],
)
def test_vms_that_fit_only_alone_are_refused(fields: dict[str, Json], summary: str) -> None:
    assert refusals(created("a", **fields), created("b", **fields)) == [("VirtualMachine/b", summary)]


def test_a_vm_that_is_off_takes_no_cores() -> None:
    assert refusals(created("a", cpus=10), created("b", cpus=10, power="off")) == []


def test_gpus_that_a_deleted_vm_releases_are_free() -> None:
    goes = change("a", Action.DELETE, applied=SIZE | {"gpus": 3}, observed={"power": "on"})
    assert refusals(created("b", gpus=4), goes, gpusUsed=3) == []
    assert refusals(created("b", gpus=4), gpusUsed=3) == [
        ("VirtualMachine/b", "4 GPUs requested in total, but 1 of 4 are free")
    ]


def test_an_object_that_is_removed_from_the_state_keeps_its_capacity() -> None:
    had: Mapping[str, Json] = {"gpus": 2}
    assert required_capacity(change("a", Action.FORGET, applied=had, observed=had)).gpus == 2
    assert required_capacity(change("a", Action.FORGET, applied=had)) == Capacity()
    assert required_capacity(change("a", Action.DELETE, applied=had, observed=had)) == Capacity()


def test_changes_are_grouped_by_the_machine_that_they_are_on() -> None:
    moved = Change("VirtualMachine/b", "VirtualMachine", Action.DELETE, old_placement=Placement(route={"target": "b"}))
    found = by_machine({"a": created("a"), "b": moved})
    assert {target: [*here] for target, here in found.items()} == {"a" * 64: ["a"], "b": ["b"]}


def ports(one: Change, other: Change, unmanaged: Mapping[str, Capacity] | None = None) -> list[tuple[str, str]]:
    case = Case({"manifests": {"Node/gpu-a": {}, "VirtualMachine/a": {}, "VirtualMachine/b": {}}})
    found = check_ports(case.context, {c.address: c for c in (one, other)}, unmanaged or {})
    return [(str(d.severity), d.summary) for d in found]


def test_a_port_of_a_vm_that_is_created_conflicts_with_one_of_another() -> None:
    clash = ports(created("a", **{"ports.ssh": 20000}), created("b", **{"ports.vnc": 20000}))
    assert clash == [("error", "tcp port 20000 of VirtualMachine/b is already in use")]
    assert ports(created("a", **{"ports.ssh": 20000}), created("b", **{"ports.vnc": 20001})) == []


def test_a_port_of_two_vms_that_rest_is_a_warning_of_the_next_start() -> None:
    one, other = (change(n, Action.NO_OP, desired={**SIZE, "ports.ssh": 20000}) for n in "ab")
    assert ports(one, other) == [("warning", "tcp port 20000 of VirtualMachine/b is already in use")]


def test_a_port_conflicts_with_an_unmanaged_vm() -> None:
    others = {"x": Capacity(ports=frozenset({("tcp", 20000)}))}
    clash = ports(created("a", **{"ports.ssh": 20000}), created("b"), others)
    assert clash == [("error", "tcp port 20000 of VirtualMachine/a is already in use")]


@pytest.mark.parametrize(
    ("behaviour", "power", "starts"),
    [("online", "on", False), ("offline", "on", True), ("cold-boot", "on", True), ("offline", "off", False)],
)
def test_a_vm_is_started_by_a_change_that_powers_it_off(behaviour: str, power: str, starts: bool) -> None:
    fields = (FieldChange("x", 1, 2, behaviour),)
    one = change("a", Action.UPDATE, fields=fields, desired={"power": power}, observed={"power": power})
    assert started({one.address: one}) == ({one.address} if starts else set())


@pytest.mark.parametrize("action", [Action.NO_OP, Action.UPDATE])
def test_a_vm_is_started_by_a_change_of_its_disk(action: Action) -> None:
    rests = change("a", action, desired=SIZE, applied=SIZE, observed={"power": "on"})
    grows = Change("Disk/d", "Disk", Action.UPDATE, placement=Placement(parent=rests.address))
    assert started({rests.address: rests, grows.address: grows}) == {rests.address}
