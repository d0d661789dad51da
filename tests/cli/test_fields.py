"""For each field of a VirtualMachine, Disk, Network and BareMetalServer: what a change of it leads to.

Changed in place, refused with its remedy, noted, or replaced; and then an empty plan. On an order for the whole machine
and on one for a part of it. And the drift of each field that the API reports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.rules import Behaviour, Rule
from tests.cli.runs import assert_empty, write
from tests.projects import NODE_ID, SEED, Emulated, document, project, vm

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
LAN_TWO = document("Network", "second", {"via": "gpu-a", "cidr": "192.168.67.0/24"})
PARTIAL = {"orders": {"112": {"renter": "tenant", "machine": NODE_ID, "gpus": [0]}}}
BASE: dict[str, Any] = {
    "gpus": 1,
    "description": "first",
    "ports": {"ssh": 20001, "vnc": 20002, "rdp": 20003, "forward": ["tcp,8080:80"]},
    "firewall": ["in,tcp,22,0.0.0.0/0,accept"],
    "login": {"username": "dbc", "password": {"env": "PW"}},
    "restartOn": "one",
}


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, environ={"PW": "canary-login-one", "PW2": "canary-login-two"})


def applied(emulated: Emulated, *arguments: str) -> None:
    result = emulated.run("apply", "--yes", "--allow-data-loss", *arguments)
    assert result.code == 0, result.out + result.err


def the_change(emulated: Emulated, *options: str, address: str = "VirtualMachine/trainer") -> dict[str, Any]:
    result = emulated.run("plan", "--json", *options)
    assert result.code == 0, result.err
    change: dict[str, Any] = next(c for c in result.json["changes"] if c["address"] == address)
    return change


def windows(emulated: Emulated) -> int:
    return sum(1 for s in emulated.run("plan", "--json").json["steps"] if s["kind"] == "window")


def ports(**changed: Any) -> dict[str, Any]:
    return {"ports": {**BASE["ports"], **changed}}


IN_PLACE: list[tuple[str, dict[str, Any], int]] = [
    ("ports.ssh", ports(ssh=20011), 0),
    ("ports.rdp", ports(rdp=20013), 0),
    ("ports.forward", ports(forward=["udp,53:53", "tcp,100-102"]), 0),
    ("ports.vnc", ports(vnc=20012), 1),
    ("publicIp", {"publicIp": "198.51.100.9"}, 0),
    ("firewall", {"firewall": ["in,udp,53,0.0.0.0/0,accept"]}, 0),
    ("firewall", {"firewall": []}, 0),
    ("gpus", {"gpus": 2}, 1),
    ("gpus", {"gpus": 0}, 1),
    ("cpus", {"cpus": 8}, 1),
    ("memory", {"memory": "16Gi"}, 1),
    ("dataDisk.size", {"dataDisk": {"size": "30Gi"}}, 1),
    ("login.password", {"login": {"username": "dbc", "password": {"env": "PW2"}}}, 0),
    ("login.username", {"login": {"username": "root", "password": {"env": "PW"}}}, 0),
    ("power", {"power": "off"}, 0),
    ("restartOn", {"restartOn": "two"}, 1),
]

NO_LOGIN: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({"username": "dbc", "password": {"env": "PW"}}, {"username": "dbc"}),
    ({"username": "root", "password": {"env": "PW"}}, {}),
    ({"username": "root", "password": {"env": "PW"}}, None),
    ({"username": "root", "password": {"env": "PW"}}, {"password": {"env": "PW2"}}),
]


@pytest.mark.parametrize(("before", "after"), NO_LOGIN, ids=repr)
def test_a_login_that_is_taken_out_is_left_as_it_is(
    world: Callable[..., Emulated], before: dict[str, Any], after: dict[str, Any] | None
) -> None:
    """No call is made without a password: what is not written is not managed."""
    emulated = world(vm(**{**BASE, "login": before}))
    applied(emulated)
    write(emulated, vm(**{**BASE, "login": after}))
    changed = [f["path"] for f in the_change(emulated)["fields"]]
    assert changed == (["login.username", "login.password"] if after and "password" in after else [])
    applied(emulated)
    assert_empty(emulated)


SIZED = {"gpus", "cpus", "memory"}


def fields(kind: str) -> dict[str, Rule]:
    """The fields of a kind that change in place, with their rules."""
    never = {Behaviour.ACCESS, Behaviour.CREATE_ONLY, Behaviour.REPLACE}
    return {f.path: f.rule for f in kind_of(kind).fields if f.rule.behaviour not in never}


def test_each_field_of_a_vm_that_changes_in_place_has_a_case() -> None:
    own_test = {"rentOrder"}
    assert {path for path, _, _ in IN_PLACE} | own_test == fields("VirtualMachine").keys()


def test_each_field_of_a_vm_that_is_shown_has_a_case_of_drift() -> None:
    own_tests = {"ports.rdp", "rentOrder", "dataDisk.size"}
    shown = {path for path, rule in fields("VirtualMachine").items() if not rule.not_reported}
    assert {path for path, _ in DRIFTS} | own_tests == shown


@pytest.mark.parametrize(("path", "changed", "cycles"), IN_PLACE, ids=[f"{i}-{c[0]}" for i, c in enumerate(IN_PLACE)])
def test_a_change_in_place_converges(
    world: Callable[..., Emulated], path: str, changed: dict[str, Any], cycles: int
) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    assert_empty(emulated)
    [before] = emulated.vms
    write(emulated, vm(**{**BASE, **changed}))
    change = the_change(emulated)
    assert change["action"] == "update"
    assert path in [f["path"] for f in change["fields"]]
    assert windows(emulated) == cycles
    applied(emulated)
    assert_empty(emulated)
    assert list(emulated.vms) == [before]


@pytest.mark.parametrize("path", sorted({p for p, _, _ in IN_PLACE} - SIZED))
def test_on_a_partial_order_the_rest_changes_in_place_too(world: Callable[..., Emulated], path: str) -> None:
    changed = next(c for p, c, _ in IN_PLACE if p == path)
    emulated = world(vm(**BASE), **PARTIAL)
    applied(emulated)
    write(emulated, vm(**{**BASE, **changed}))
    applied(emulated)
    assert_empty(emulated)


@pytest.mark.parametrize("changed", [{"gpus": 2}, {"cpus": 8}, {"memory": "16Gi"}], ids=lambda c: next(iter(c)))
def test_on_a_partial_order_sizes_are_refused_with_a_remedy(
    world: Callable[..., Emulated], changed: dict[str, Any]
) -> None:
    emulated = world(vm(**BASE), **PARTIAL)
    applied(emulated)
    write(emulated, vm(**{**BASE, **changed}))
    result = emulated.run("plan", "--json")
    assert result.code == 5
    assert "cannot-change" in result.codes
    assert "--replace VirtualMachine/trainer" in result.err


@pytest.mark.parametrize(("changed", "of_a_part"), [({"cpus": 8}, PARTIAL), ({"dataDisk": {"size": "10Gi"}}, {})])
def test_the_remedy_of_a_refused_change_helps(
    world: Callable[..., Emulated], changed: dict[str, Any], of_a_part: dict[str, Any]
) -> None:
    emulated = world(vm(**BASE), **of_a_part)
    applied(emulated)
    write(emulated, vm(**{**BASE, **changed, "description": "second"}))
    assert emulated.run("plan", "--json").code == 5
    change = the_change(emulated, "--replace", "VirtualMachine/trainer")
    assert {"description", "cpus" if of_a_part else "dataDisk.size"} <= {f["path"] for f in change["fields"]}
    assert change["notes"] == []
    applied(emulated, "--replace", "VirtualMachine/trainer")
    assert_empty(emulated)


def test_a_smaller_data_disk_comes_with_a_new_image(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    write(emulated, vm(**{**BASE, "image": "win10.qcow2", "dataDisk": {"size": "10Gi"}}))
    applied(emulated)
    assert_empty(emulated)


REPLACED: list[tuple[str, dict[str, Any]]] = [
    ("image", {"image": "win10.qcow2"}),
    ("os", {"os": "windows", "biosMode": "legacy", "login": {}}),
    (
        "biosMode",
        {
            "os": "linux",
            "biosMode": "pxe",
            "dataDisk": None,
            "firewall": [],
            "login": {},
            "ports": {"ssh": 20001, "vnc": 20002},
        },
    ),
    ("network", {"network": "training"}),
    ("multicast", {"multicast": ["230.0.0.1:5558"]}),
    ("dataDisk.file", {"dataDisk": {"size": "20Gi", "file": "old.qcow2"}}),
]


@pytest.mark.parametrize(("path", "changed"), REPLACED, ids=[r[0] for r in REPLACED])
def test_a_replacement_parks_creates_deletes_and_converges(
    world: Callable[..., Emulated], path: str, changed: dict[str, Any]
) -> None:
    spec = {"id": NODE_ID, "files": ["old.qcow2"]}
    emulated = world(LAN, vm(**BASE), gpuNodes=[spec])
    applied(emulated)
    [before] = emulated.vms
    merged = {k: v for k, v in {**BASE, **changed}.items() if k != "login" or v}
    write(emulated, LAN, vm(**merged))
    change = the_change(emulated)
    assert change["action"] == "replace"
    assert path in [f["path"] for f in change["fields"]]
    applied(emulated)
    assert_empty(emulated)
    [after] = emulated.vms
    assert after != before


PXE: dict[str, Any] = {"biosMode": "pxe", "dataDisk": None}


def test_another_nic_model_makes_a_new_vm(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**PXE))
    applied(emulated)
    assert_empty(emulated)
    [before] = emulated.vms
    write(emulated, vm(**PXE, nicModel="e1000"))
    change = the_change(emulated)
    assert (change["action"], [f["path"] for f in change["fields"]]) == ("replace", ["nicModel"])
    applied(emulated)
    assert_empty(emulated)
    truth = emulated.network.nodes[NODE_ID].truth()["vms"]
    assert before not in truth
    assert [m["interface_model_type"] for m in truth.values()] == ["e1000"]


def test_a_nic_model_without_pxe_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    write(emulated, vm(**BASE, nicModel="e1000"))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (3, ["ignored-by-node"])
    assert "Remove nicModel." in result.err


OTHER_ID = "9b1d" * 16
OTHER_NODE = document(
    "Node", "gpu-b", {"id": OTHER_ID, "identity": "tenant", "rentOrder": "113", "portRange": "20000-29999"}
)
TWO_NODES: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID}, {"id": OTHER_ID}],
    "orders": {k: {"renter": "tenant", "machine": m} for k, m in (("112", NODE_ID), ("113", OTHER_ID))},
}


def test_a_vm_moves_to_another_node_as_a_new_one_with_new_disks(world: Callable[..., Emulated]) -> None:
    disk = document("Disk", "scratch", DISK)
    emulated = world(OTHER_NODE, vm(**BASE), disk, **TWO_NODES)
    applied(emulated)
    assert_empty(emulated)
    [before] = emulated.vms
    write(emulated, OTHER_NODE, vm(**BASE, node="gpu-b"), disk)
    change = the_change(emulated)
    assert (change["action"], change["fields"][0]["path"]) == ("replace", "node")
    disk_change = the_change(emulated, address="Disk/scratch")
    assert disk_change["action"] == "replace"
    assert disk_change["losses"] == ["Disk/scratch: all data on the disk is lost (50Gi)"]
    applied(emulated)
    assert_empty(emulated)
    assert emulated.vms == {}
    there = emulated.network.nodes[OTHER_ID].truth()["vms"]
    assert before not in there
    assert [len(m["disks"]) for m in there.values()] == [3]


def test_another_id_of_a_node_moves_nothing_and_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE), **TWO_NODES)
    applied(emulated)
    manifests = emulated.project.directory / "manifests/all.yaml"
    manifests.write_text(manifests.read_text().replace(NODE_ID, OTHER_ID).replace('"112"', '"113"'))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["node-id-changed"])
    assert "add a second Node" in result.err


def test_a_description_is_noted_only(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    write(emulated, vm(**{**BASE, "description": "second"}))
    change = the_change(emulated)
    assert change["action"] == "no-op"
    assert "--replace VirtualMachine/trainer" in change["notes"][0]
    applied(emulated, "--replace", "VirtualMachine/trainer")
    assert_empty(emulated)


def test_a_disk_cannot_shrink(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    write(emulated, vm(**{**BASE, "dataDisk": {"size": "10Gi"}}))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["cannot-shrink"])


def test_the_rent_order_changes_by_one_power_cycle(world: Callable[..., Emulated]) -> None:
    orders = {k: {"renter": "tenant", "machine": NODE_ID} for k in ("112", "113")}
    emulated = world(vm(**BASE), orders=orders)
    applied(emulated)
    emulated.network.chain.orders["112"].status = "rentExpired"
    write(emulated, vm(**{**BASE, "rentOrder": "113"}))
    too_early = emulated.run("plan", "--json")
    assert (too_early.code, too_early.codes) == (5, ["node-would-refuse"])
    assert "keeps the VM under order 112 (renting)" in too_early.err
    emulated.settle(1000)  # the node looks at its old orders every 15 minutes
    assert windows(emulated) == 1
    applied(emulated)
    assert_empty(emulated)


def test_a_rent_order_of_another_size_is_refused(world: Callable[..., Emulated]) -> None:
    order = {"renter": "tenant", "machine": NODE_ID}
    emulated = world(vm(**BASE), orders={"112": {**order, "gpus": [0]}, "113": {**order, "gpus": [1, 2]}})
    applied(emulated)
    emulated.network.chain.orders["112"].status = "rentExpired"
    emulated.settle(1000)
    write(emulated, vm(**{**BASE, "rentOrder": "113"}))
    result = emulated.run("plan", "--json")
    assert result.code == 5, result.err
    assert "do not match the 2 of order 113" in result.err


def change_truth(emulated: Emulated, **values: Any) -> None:
    [task_id] = emulated.vms
    state = values.pop("domain", None)
    if state is not None:
        emulated.admin.set_domain(task_id, state)
    if "gpus" in values:
        gpus_of_vms = emulated.network.nodes[NODE_ID].truth()["gpus"]
        values["gpus"] = [gpus_of_vms[index] for index in values["gpus"]]
    emulated.admin.change_vm(task_id, **values)


DRIFTS: list[tuple[str, dict[str, Any]]] = [
    ("power", {"domain": DomainState.SHUTOFF}),
    ("power", {"domain": DomainState.PMSUSPENDED}),
    ("gpus", {"gpus": [0, 1]}),
    ("cpus", {"sockets": 1, "cores": 1, "threads": 2}),
    ("memory", {"memory": 4 * 1024 * 1024}),
    ("ports.ssh", {"ssh_port": 30000}),
    ("ports.vnc", {"vnc_port": 30001}),
    ("firewall", {"network_filters": []}),
    ("publicIp", {"public_ip": "198.51.100.20"}),
    ("login.password", {"login_password": "somebody-elses"}),
]


@pytest.mark.parametrize(("path", "values"), DRIFTS, ids=[f"{i}-{d[0]}" for i, d in enumerate(DRIFTS)])
def test_drift_is_shown_and_repaired(world: Callable[..., Emulated], path: str, values: dict[str, Any]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    change_truth(emulated, **values)
    change = the_change(emulated)
    assert change["action"] == "update"
    [field] = [f for f in change["fields"] if f["path"] == path]
    assert field["drift"] or field["secret"]
    applied(emulated)
    assert_empty(emulated)


def test_drift_of_the_rdp_port_of_a_windows_vm_is_shown_and_repaired(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(os="windows", image="win10.qcow2", ports={"rdp": 20003, "vnc": 20002}))
    applied(emulated)
    assert_empty(emulated)
    change_truth(emulated, rdp_port=30003)
    change = the_change(emulated)
    assert change["action"] == "update"
    assert [(f["path"], f["before"], f["after"], f["drift"]) for f in change["fields"]] == [
        ("ports.rdp", 30003, 20003, True)
    ]
    assert windows(emulated) == 0
    applied(emulated)
    assert_empty(emulated)
    [truth] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    assert truth["rdp_port"] == 20003


def test_a_vanished_vm_is_created_again_with_a_new_id(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE))
    applied(emulated)
    [before] = emulated.vms
    emulated.admin.remove_vm(before)
    applied(emulated)
    assert_empty(emulated)
    assert before not in emulated.vms


DISK = {"vm": "trainer", "size": "50Gi"}
NODE_WITH_SCRATCH = {"gpuNodes": [{"id": NODE_ID, "data": [{"path": "/data"}, {"path": "/data1"}]}]}


@pytest.mark.parametrize(
    ("changed", "action", "new_file"),
    [({"size": "70Gi"}, "update", False), ({"hostDir": "/data1"}, "replace", True)],
    ids=["size", "hostDir"],
)
def test_disk_fields(world: Callable[..., Emulated], changed: dict[str, Any], action: str, new_file: bool) -> None:
    emulated = world(vm(**BASE), document("Disk", "scratch", DISK), **NODE_WITH_SCRATCH)
    applied(emulated)
    assert_empty(emulated)
    [before] = emulated.vms.values()
    write(emulated, vm(**BASE), document("Disk", "scratch", {**DISK, **changed}))
    assert the_change(emulated, address="Disk/scratch")["action"] == action
    assert windows(emulated) == 1
    applied(emulated)
    assert_empty(emulated)
    [after] = emulated.vms.values()
    assert (set(before["disks"]) != set(after["disks"])) is new_file
    assert len(after["disks"]) == 3


def test_a_disk_of_another_vm_is_a_new_one(world: Callable[..., Emulated]) -> None:
    documents = (vm(**BASE), vm("second"))
    emulated = world(*documents, document("Disk", "scratch", DISK))
    applied(emulated)
    assert_empty(emulated)
    before = {task_id: set(machine["disks"]) for task_id, machine in emulated.vms.items()}
    write(emulated, *documents, document("Disk", "scratch", {**DISK, "vm": "second"}))
    change = the_change(emulated, address="Disk/scratch")
    assert (change["action"], [f["path"] for f in change["fields"]]) == ("replace", ["vm"])
    assert change["losses"] == ["Disk/scratch: all data on the disk is lost (50Gi)"]
    assert windows(emulated) == 2
    applied(emulated)
    assert_empty(emulated)
    after = {task_id: set(machine["disks"]) for task_id, machine in emulated.vms.items()}
    assert set(after) == set(before)
    assert {len(files) - len(before[i]) for i, files in after.items()} == {-1, 1}
    assert {m["domain"] for m in emulated.vms.values()} == {"running"}


def test_two_disks_change_places(world: Callable[..., Emulated]) -> None:
    documents = (vm(**BASE), vm("second"))
    emulated = world(*documents, document("Disk", "one", DISK), document("Disk", "two", {**DISK, "vm": "second"}))
    applied(emulated)
    write(emulated, *documents, document("Disk", "one", {**DISK, "vm": "second"}), document("Disk", "two", DISK))
    assert windows(emulated) == 2
    applied(emulated)
    assert_empty(emulated)
    assert [len(m["disks"]) for m in emulated.vms.values()] == [3, 3]


def test_a_disk_leaves_a_vm_that_goes(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE), vm("second"), document("Disk", "scratch", DISK))
    applied(emulated)
    write(emulated, vm("second"), document("Disk", "scratch", {**DISK, "vm": "second"}))
    applied(emulated, "--target", "Disk/scratch")
    applied(emulated)
    assert_empty(emulated)
    assert [len(m["disks"]) for m in emulated.vms.values()] == [3]


def test_a_disk_goes_when_its_document_goes(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE), document("Disk", "scratch", DISK))
    applied(emulated)
    write(emulated, vm(**BASE))
    applied(emulated)
    assert_empty(emulated)
    [after] = emulated.vms.values()
    assert len(after["disks"]) == 2


def test_one_power_cycle_for_everything_at_once(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**BASE), document("Disk", "scratch", DISK))
    applied(emulated)
    changed = {**BASE, "gpus": 2, "cpus": 8, "memory": "16Gi", "dataDisk": {"size": "40Gi"}}
    write(
        emulated, vm(**changed), document("Disk", "scratch", {**DISK, "size": "80Gi"}), document("Disk", "more", DISK)
    )
    assert windows(emulated) == 1
    applied(emulated)
    assert_empty(emulated)
    [after] = emulated.vms.values()
    assert sorted(after["disks"].values()) == [20, 40, 50, 80]
    assert (after["gpus"], after["cores"], after["domain"]) == ([0, 1], 8, "running")


def test_a_network_with_another_range_takes_its_members_along(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN, vm(**BASE, network="training"))
    applied(emulated)
    other = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.99.0/24"})
    write(emulated, other, vm(**BASE, network="training"))
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["members-stay"])
    applied(emulated, "--replace", "VirtualMachine/trainer")
    assert_empty(emulated)


def test_a_network_with_another_name_is_made_first_and_the_old_one_deleted_last(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN, vm(**BASE, network="training"))
    applied(emulated)
    other = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24", "name": "renamed"})
    write(emulated, other, vm(**BASE, network="training"))
    applied(emulated)
    assert_empty(emulated)
    assert list(emulated.network.nodes[NODE_ID].truth()["lans"]) == ["renamed"]


MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
MANAGER_ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
SERVER: dict[str, Any] = {
    "manager": "rack",
    "uuid": "3156995b",
    "ip": "198.51.100.1",
    "os": "Debian 12",
    "description": "rack 1",
    "ipmi": {"host": "192.168.0.1", "port": 623, "username": "admin", "password": {"env": "IPMI"}},
}
MANAGER = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})


def bare_metal(tmp_path: Path, server: dict[str, Any]) -> Emulated:
    environ = {"KEY": MANAGER_SEED, "IPMI": "canaryipmi", "IPMI2": "canaryipmi2"}
    made = project(tmp_path, MANAGER, document("BareMetalServer", "one", server), environ=environ)
    text = (tmp_path / "dbc-iac.yaml").read_text()
    (tmp_path / "dbc-iac.yaml").write_text(text.replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    return Emulated(made, {"managers": [{"seed": MANAGER_SEED}]})


SERVER_CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("uuid", {"uuid": "4156995b"}),
    ("ip", {"ip": "198.51.100.2"}),
    ("os", {"os": "Debian 13"}),
    ("description", {"description": "rack 2"}),
    ("ipmi.host", {"ipmi": {**SERVER["ipmi"], "host": "192.168.0.2"}}),
    ("ipmi.port", {"ipmi": {**SERVER["ipmi"], "port": 624}}),
    ("ipmi.username", {"ipmi": {**SERVER["ipmi"], "username": "root"}}),
    ("ipmi.password", {"ipmi": {**SERVER["ipmi"], "password": {"env": "IPMI2"}}}),
]


@pytest.mark.parametrize(("path", "changed"), SERVER_CHANGES, ids=[c[0] for c in SERVER_CHANGES])
def test_server_fields_change_in_place_and_keep_the_identity(
    tmp_path: Path, path: str, changed: dict[str, Any]
) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    assert_empty(emulated)
    [manager] = emulated.network.managers.values()
    [before] = manager.servers.by_id
    made = document("BareMetalServer", "one", {**SERVER, **changed})
    (tmp_path / "manifests/all.yaml").write_text(MANAGER + "---\n" + made)
    assert [f["path"] for f in the_change(emulated, address="BareMetalServer/one")["fields"]] == [path]
    applied(emulated)
    assert_empty(emulated)
    assert list(manager.servers.by_id) == [before]
    emulated.close()


def test_a_server_is_deleted_only_when_its_identity_is_named(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    result = emulated.run("destroy", "--yes", "--json")
    assert (result.code, result.codes) == (5, ["protected"])
    result = emulated.run("destroy", "--yes", "--destroy-identity", "BareMetalServer/one")
    assert result.code == 0, result.err
    assert emulated.network.truth()[MANAGER_ID] == {}
    emulated.close()


def test_a_wrong_owner_key_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    applied(emulated)
    emulated.project.environ["KEY"] = SEED
    result = emulated.run("plan", "--json")
    assert result.code == 4
    assert result.json["changes"][0]["action"] == "unknown"
    emulated.close()


def test_no_owner_secret_is_in_any_sink(tmp_path: Path) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    said: list[str] = []
    for arguments in (["plan"], ["apply", "--yes", "--json"], ["show"], ["state", "show", "BareMetalServer/one"]):
        result = emulated.run(*arguments)
        said += [result.out, result.err]
    changed = {**SERVER, "ipmi": {**SERVER["ipmi"], "password": {"env": "IPMI2"}}}
    (tmp_path / "manifests/all.yaml").write_text(MANAGER + "---\n" + document("BareMetalServer", "one", changed))
    for arguments in (["plan"], ["plan", "--json"], ["apply", "--yes"]):
        result = emulated.run(*arguments)
        said += [result.out, result.err]
    assert "ipmi.password: (secret, differs)" in said[-6]
    assert "BareMetalServer/one: setting the IPMI password…" in said[-1]
    assert "setting the IPMI password\n" in said[-6]
    [server] = emulated.network.truth()[MANAGER_ID].values()
    assert server["ipmi_password"] == "canaryipmi2"
    written = [p.read_text() for p in tmp_path.rglob("*") if p.is_file()]
    for text in (*said, *written):
        assert not any(s in text for s in ("canaryipmi", MANAGER_SEED, server["node_private_key"]))
    emulated.close()
