"""`ignoreChanges`: what it names stays as it is while the object stays, and is shown where a new one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import applied, write
from tests.cli.test_signals import SignalAt
from tests.projects import NODE_ID, Emulated, document, project, vm
from tests.proof.ends import Interposed, Point

ADDRESS = "VirtualMachine/trainer"
FIREWALL = ["in,tcp,22,0.0.0.0/0,accept"]
SPEC: dict[str, Any] = {
    "gpus": 1,
    "firewall": FIREWALL,
    "ports": {"ssh": 20001, "vnc": 20002, "rdp": 20003, "forward": ["tcp,8080:80"]},
    "login": {"username": "dbc", "password": {"env": "PW"}},
}
OTHER: dict[str, Any] = {
    "gpus": 3,
    "cpus": 8,
    "memory": "16Gi",
    "description": "another",
    "firewall": [],
    "ports": {"ssh": 21001, "vnc": 21002, "rdp": 21003, "forward": ["tcp,8081:80"]},
    "dataDisk": {"size": "30Gi"},
    "login": {"username": "alice", "password": {"env": "PW2"}},
    "restartOn": "two",
    "power": "off",
    "image": "win10.qcow2",
    "multicast": ["239.1.2.3:5000"],
    "network": "training",
    "publicIp": "203.0.113.77",
}
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
WORLD = {
    "gpuNodes": [{"id": NODE_ID, "gpus": 8, "images": [{"name": n} for n in ("ubuntu.qcow2", "win10.qcow2")]}],
    "imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "torch.qcow2"}]}, {"id": "ID_2"}],
}


@pytest.fixture
def world(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    def build(*documents: str) -> Emulated:
        made: Emulated = world(
            *documents, directory="one", environ={"PW": "canary-login-one", "PW2": "canary-login-two"}, **WORLD
        )
        applied(made)
        return made

    return build


def ignoring(*paths: str, **changed: Any) -> str:
    return vm(**{**SPEC, **changed, "lifecycle": {"ignoreChanges": [*paths]}})


def paths_of(changed: Mapping[str, Any]) -> list[str]:
    """Dotted paths of the fields in a part of a spec."""
    found: list[str] = []
    for key, value in changed.items():
        nested = key in {"ports", "login", "dataDisk"}
        found += [f"{key}.{inner}" for inner in value] if nested else [key]
    return found


def planned(emulated: Emulated, *options: str) -> str:
    file = str(emulated.project.directory.parent / "the.plan")
    result = emulated.run("plan", "-o", file, *options)
    assert result.code == 0, result.err
    return file


@pytest.mark.parametrize("field", OTHER)
def test_a_replacement_shows_the_ignored_fields_that_it_sends(world: Callable[..., Emulated], field: str) -> None:
    emulated = world(LAN, vm(**SPEC))
    paths = paths_of({field: OTHER[field]})
    write(emulated, LAN, ignoring(*paths, **{field: OTHER[field]}))
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    plan = emulated.run("plan", "--json", "--replace", ADDRESS).json
    [change] = [c for c in plan["changes"] if c["action"] == "replace"]
    shown = {f["path"]: f["after"] for f in change["fields"]}
    assert set(shown) == set(paths)
    assert {p: v for p, v in shown.items() if v not in (None, "(secret)")} == {
        p: v for p, v in change["desired"].items() if p in shown and v not in (None, "(secret)")
    }
    assert f"note: ignoreChanges does not apply to a new object: it gets {', '.join(shown)} of the manifest" in (
        emulated.run("plan", "--replace", ADDRESS).out
    )


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_every_form_of_a_plan_shows_the_ignored_fields_of_a_replacement(
    world: Callable[..., Emulated], form: str, tmp_path: Path
) -> None:
    emulated = world(vm(**SPEC))
    changed = {"cpus": 8, "ports": {**SPEC["ports"], "forward": ["tcp,8081:80"]}, "login": OTHER["login"]}
    write(emulated, ignoring("cpus", "ports.forward", "login", **changed))
    files = {"markdown": tmp_path / "plan.md", "html": tmp_path / "plan.html"}
    options = [f"--{form}", str(files[form])] if form in files else ["--json"] if form == "json" else []
    result = emulated.run("plan", "--replace", ADDRESS, *options)
    text = files[form].read_text(encoding="utf-8") if form in files else result.out
    for told in ("cpus", "ports.forward", "tcp,8081:80", "login.username", "alice", "login.password"):
        assert told in text, told
    assert "canary-login" not in text


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Disk/scratch": ({"vm": "trainer", "size": "30Gi"}, {"size": "60Gi"}),
    "Network/lan": ({"name": "lannet", "via": "gpu-a", "cidr": "192.168.67.0/24"}, {"cidr": "192.168.68.0/24"}),
    "Snapshot/first": (
        {"vm": "trainer", "imageServer": "ID_2"},
        {"description": "another", "trigger": "two", "imageServer": "ID_1"},
    ),
    "Image/torch": (
        {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False},
        {"refresh": "two", "retain": True},
    ),
    "ImageExport/copy": ({"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2"}, {"refresh": "two"}),
}


@pytest.mark.parametrize("address", KINDS)
def test_a_replacement_of_any_kind_shows_its_ignored_fields(world: Callable[..., Emulated], address: str) -> None:
    kind, _, name = address.partition("/")
    before, changed = KINDS[address]
    emulated = world(vm(), document(kind, name, before))
    write(emulated, vm(), document(kind, name, {**before, **changed, "lifecycle": {"ignoreChanges": [*changed]}}))
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [change] = [
        c for c in emulated.run("plan", "--json", "--replace", address).json["changes"] if c["address"] == address
    ]
    assert change["action"] == "replace"
    assert {f["path"]: f["after"] for f in change["fields"]} == changed


def test_what_goes_with_its_vm_shows_its_ignored_fields(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(), document("Disk", "scratch", {"vm": "trainer", "size": "30Gi"}))
    spec = {"vm": "trainer", "size": "60Gi", "lifecycle": {"ignoreChanges": ["size"]}}
    write(emulated, vm(image="win10.qcow2"), document("Disk", "scratch", spec))
    shown = emulated.run("plan")
    assert "size: 30Gi -> 60Gi" in shown.out, shown.out
    assert emulated.run("apply", "--yes", "--allow-data-loss").code == 0
    [machine] = emulated.vms.values()
    assert sorted(machine["disks"].values()) == [20, 20, 60]


def test_a_vm_whose_creation_failed_is_replaced_with_what_the_plan_shows(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**SPEC))
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, status="create error")
    write(emulated, ignoring("gpus", gpus=3, cpus=8))
    out = emulated.run("plan").out
    assert "creation failed" in out
    assert "gpus: 1 -> 3" in out and "cpus: 4 -> 8" in out, out


def test_what_a_new_object_loses_is_shown(world: Callable[..., Emulated]) -> None:
    """In place, a port that was removed from the manifest stays; a new VM does not have it."""
    emulated = world(vm(**SPEC))
    write(emulated, vm(**{**SPEC, "ports": {"ssh": 20001, "vnc": 20002}}))
    assert "ports.rdp" not in emulated.run("plan").out
    assert "ports.rdp: 20003 -> (none)" in emulated.run("plan", "--replace", ADDRESS).out


def test_a_modify_call_sends_the_public_ip_that_is_there(world: Callable[..., Emulated]) -> None:
    """Every modify repeats it: that of the manifest, which is ignored, would be set unseen."""
    emulated = world(vm(publicIp="203.0.113.50"))
    write(emulated, ignoring("publicIp", "ports", "login", publicIp="203.0.113.51", gpus=2))
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    [machine] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    assert (machine["public_ip"], len(machine["gpus"])) == ("203.0.113.50", 2)
    write(emulated, ignoring("publicIp", "ports", "login", gpus=1))
    assert emulated.run("apply", "--yes").code == 0
    [machine] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    assert (machine["public_ip"], len(machine["gpus"])) == ("203.0.113.50", 1)


def test_a_window_leaves_a_vm_off_whose_power_is_ignored(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("vm", "stop", "trainer", "--yes", "--wait").code == 0
    write(emulated, vm(lifecycle={"ignoreChanges": ["power"]}), document("Disk", "d", {"vm": "trainer", "size": "9Gi"}))
    assert emulated.run("apply", "--yes").code == 0
    [machine] = emulated.vms.values()
    assert (machine["domain"], sorted(machine["disks"].values())) == ("off", [9, 20, 20])


def test_a_password_goes_to_the_account_that_is_there(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**SPEC))
    login = {"username": "alice", "password": {"env": "PW2"}}
    write(emulated, ignoring("login.username", login=login))
    assert "setting the password of account dbc" in emulated.run("plan").out


def test_an_ignored_node_is_refused_until_the_vm_is_replaced(tmp_path: Path) -> None:
    second = "a" * 64
    node = document(
        "Node", "gpu-b", {"id": second, "identity": "tenant", "rentOrder": "113", "portRange": "20000-20999"}
    )
    orders = {o: {"renter": "tenant", "machine": m} for o, m in (("112", NODE_ID), ("113", second))}
    world = {"gpuNodes": [{"id": NODE_ID}, {"id": second}], "orders": orders}
    disk = document("Disk", "d", {"vm": "trainer", "size": "9Gi"})
    emulated = Emulated(project(tmp_path, node, vm(), disk), world)
    assert emulated.run("apply", "--yes").code == 0
    write(emulated, node, vm(node="gpu-b", lifecycle={"ignoreChanges": ["node"]}), disk)
    refused = emulated.run("plan")
    assert refused.code == 5
    assert f"{ADDRESS} stays on gpu-a: node is in ignoreChanges" in refused.err
    assert "Write `node: gpu-a`, or replace it" in refused.err
    [change] = [
        c for c in emulated.run("plan", "--json", "--replace", ADDRESS).json["changes"] if c["address"] == ADDRESS
    ]
    assert {f["path"]: f["after"] for f in change["fields"]} | {"node": second, "rentOrder": "113"} == {
        f["path"]: f["after"] for f in change["fields"]
    }
    emulated.close()


def test_ignored_drift_is_no_drift_beside_a_replacement(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(**SPEC))
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, network_filters=[])
    write(emulated, ignoring("firewall", image="win10.qcow2"))
    assert emulated.run("drift").code == 0
    assert f"firewall: (none) -> [{FIREWALL[0]}]" in emulated.run("plan").out


REVIEWED: list[tuple[dict[str, Any], str]] = [
    ({"gpus": 4}, "gpus"),
    ({"firewall": []}, "firewall"),
    ({"ports": {**SPEC["ports"], "forward": ["tcp,8081:80"]}}, "ports.forward"),
    ({"ports": {**SPEC["ports"], "ssh": 21001}}, "ports.ssh"),
    ({"power": "off"}, "power"),
    ({"multicast": ["239.1.2.3:5000"]}, "multicast"),
    ({"login": {"username": "dbc", "password": {"env": "PW2"}}}, "login.password"),
    ({"login": None}, "login."),
]


@pytest.mark.parametrize(("changed", "told"), REVIEWED, ids=[t for _, t in REVIEWED])
@pytest.mark.parametrize(
    "ignored", [(), ("gpus", "firewall", "ports", "power", "multicast", "login")], ids=["", "ignored"]
)
def test_a_replacement_that_sends_something_else_is_not_the_reviewed_one(
    world: Callable[..., Emulated], changed: dict[str, Any], told: str, ignored: tuple[str, ...]
) -> None:
    emulated = world(vm(**SPEC))
    write(emulated, ignoring(*ignored, image="win10.qcow2"))
    file = planned(emulated)
    write(emulated, ignoring(*ignored, image="win10.qcow2", **changed))
    before = emulated.vms
    refused = emulated.run("apply", "--yes", "--json", "--allow-data-loss", "--expect", file)
    assert (refused.code, refused.codes) == (5, ["not-as-reviewed"])
    assert told in refused.err
    assert emulated.vms == before


@pytest.mark.parametrize(("changed", "told"), REVIEWED, ids=[t for _, t in REVIEWED])
def test_the_rest_of_a_creation_sends_what_was_reviewed(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    """The apply of a reviewed plan was ended before its call; then the manifest moved."""
    environ = {"PW": "canary-login-one", "PW2": "canary-login-two"}
    emulated = Emulated(project(tmp_path / "one", vm(**SPEC), environ=environ), WORLD)
    file = planned(emulated)
    assert Interposed(emulated, Point("call", 1, "before")).run("apply", file) is None
    write(emulated, vm(**{**SPEC, **changed}))
    refused = emulated.run("apply", "--json", file)
    assert (refused.code, refused.codes, emulated.vms) == (5, ["not-as-reviewed"], {})
    assert told in refused.err
    write(emulated, vm(**SPEC))
    assert emulated.run("apply", file).code == 0
    emulated.close()


@pytest.mark.parametrize("moment", ["image-exists", "creating…"])
def test_the_rest_of_a_plan_may_name_by_now_what_was_known_later(tmp_path: Path, moment: str) -> None:
    image = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1"})
    emulated = Emulated(project(tmp_path / "one", image, vm(image="torch")), WORLD)
    file = planned(emulated)
    if moment == "creating…":
        assert emulated.run("apply", file, err=SignalAt(moment, 2, at_once=2)).code == 8
    else:
        assert Interposed(emulated, Point("call", 2, "before")).run("apply", file) is None
    emulated.settle(600)
    again = emulated.run("apply", file)
    assert again.code == 0, again.err
    assert len(emulated.vms) == 1
    emulated.close()
