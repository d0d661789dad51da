"""`auto` ports: from the Node's range, kept as long as they can be, and told at once where there is no range."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import assert_empty, write
from tests.cli.test_fields import applied, the_change
from tests.projects import NODE_ID, Emulated, document, project, vm

NODE: dict[str, Any] = {"id": NODE_ID, "identity": "tenant", "rentOrder": "112"}


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(vm(publicIp="198.51.100.9", ports={"vnc": "auto"}))


@pytest.mark.parametrize("range_", [None, "2000-3000", "5895-5899"])
def test_validate_refuses_a_screen_without_a_port(tmp_path: Path, range_: str | None) -> None:
    made = project(tmp_path)
    spec = {**NODE, **({"portRange": range_} if range_ else {})}
    made.write(
        {"manifests/all.yaml": "---\n".join([document("Node", "gpu-a", spec), vm(ports={"ssh": 22, "vnc": "auto"})])}
    )
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (3, ["no-free-port"])
    assert "for a screen from 5900 on" in result.err


def test_the_port_of_a_public_address_does_not_become_one_of_the_host(emulated: Emulated) -> None:
    applied(emulated)
    [had] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    assert str(had["ssh_port"]) == "22"
    write(emulated, vm(ports={"ssh": "auto", "vnc": "auto"}))
    fields = {f["path"]: f for f in the_change(emulated)["fields"]}
    assert fields["ports.ssh"]["before"] == 22
    assert 20000 <= fields["ports.ssh"]["after"] <= 29999
    applied(emulated)
    assert_empty(emulated)


def test_a_port_that_auto_chose_stays_when_the_range_moves(emulated: Emulated, tmp_path: Path) -> None:
    write(emulated, vm())
    applied(emulated)
    other = document("Node", "gpu-a", {**NODE, "portRange": "30000-39999"})
    (tmp_path / "manifests/all.yaml").write_text(other + "---\n" + vm())
    assert_empty(emulated)


def test_auto_in_place_of_a_port_below_all_ranges_is_one_of_the_range(emulated: Emulated) -> None:
    write(emulated, vm(ports={"ssh": 222, "vnc": 20002}))
    applied(emulated)
    write(emulated, vm(ports={"ssh": "auto", "vnc": "auto"}))
    assert [(f["path"], f["after"]) for f in the_change(emulated)["fields"]] == [("ports.ssh", 20000)]
    applied(emulated)
    assert_empty(emulated)


PUBLIC = "203.0.113.50"


def ports_of(emulated: Emulated) -> dict[str, tuple[int, int]]:
    """ssh and screen of each VM on the node, by name."""
    there = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    return {str(v["desc"]).split("/")[2]: (v["ssh_port"], v["vnc_port"]) for v in there}


def domains(emulated: Emulated) -> dict[str, str]:
    truth = emulated.network.nodes[NODE_ID].truth()["vms"]
    return {str(truth[i]["desc"]).split("/")[2]: shown["domain"] for i, shown in emulated.vms.items()}


def make(tmp_path: Path, *documents: str) -> Emulated:
    return Emulated(project(tmp_path, *documents), {"gpuNodes": [{"id": NODE_ID, "gpus": 4}]})


def in_conflict(tmp_path: Path, **first: Any) -> Emulated:
    """Two VMs that run with one port, as an earlier version chose it: `first` has a public address."""
    made = make(tmp_path, vm("first", publicIp=PUBLIC), vm("second", gpus=0))
    applied(made)
    state = next((tmp_path / "state").glob("main.json"))
    text = state.read_text(encoding="utf-8")
    second = next(i for i, v in made.network.nodes[NODE_ID].truth()["vms"].items() if "/second/" in v["desc"])
    made.admin.change_vm(second, ssh_port=20000)
    parts = text.partition('"VirtualMachine/second"')
    state.write_text(parts[0] + parts[1] + parts[2].replace('"ports.ssh": 20002', '"ports.ssh": 20000', 1), "utf-8")
    write(made, vm("first", publicIp=PUBLIC, **first), vm("second", gpus=0))
    assert {p[0] for p in ports_of(made).values()} == {20000}
    return made


def test_auto_is_no_port_that_a_vm_with_a_public_address_needs_at_its_start(tmp_path: Path) -> None:
    made = make(tmp_path, vm("first", publicIp=PUBLIC))
    applied(made)
    write(made, vm("first", publicIp=PUBLIC), vm("second"))
    applied(made)
    assert len({port for both in ports_of(made).values() for port in both}) == 4
    for power in ("off", "on"):
        write(made, vm("first", publicIp=PUBLIC, power=power), vm("second"))
        applied(made)
    assert domains(made) == {"first": "running", "second": "running"}
    made.close()


@pytest.mark.parametrize("os", ["linux", "windows"])
@pytest.mark.parametrize("both", [False, True], ids=["one public", "both public"])
def test_a_port_of_a_vm_with_a_public_address_is_refused_to_others(tmp_path: Path, os: str, both: bool) -> None:
    """Unless they have one themselves: then neither is on the host."""
    name = "rdp" if os == "windows" else "ssh"
    other: dict[str, Any] = {"publicIp": "203.0.113.51"} if both else {}
    first = vm("first", os=os, publicIp=PUBLIC, ports={name: 20000, "vnc": 20001})
    made = make(tmp_path, first)
    applied(made)
    write(made, first, vm("second", os=os, ports={name: 20000, "vnc": 20003}, **other))
    result = made.run("apply", "--yes", "--json")
    assert result.code == (0 if both else 5), result.err
    assert both or result.codes == ["port-conflict"]
    assert both or all(
        s in result.err for s in ("port 20000 of VirtualMachine/second is", "VirtualMachine/first uses it")
    )
    for verb in ("stop", "start") if both else ():
        assert made.run("vm", verb, "first", "--yes", "--wait").code == 0
    made.close()


def test_a_port_that_only_a_modify_brings_into_conflict_is_refused(tmp_path: Path) -> None:
    """Without its public address the port is on the host; with it, the node takes any port, and starts with none taken."""
    first = {"publicIp": PUBLIC, "ports": {"ssh": 20000, "vnc": 20001}}
    made = make(tmp_path, vm("first", **first), vm("second", ports={"ssh": 20002, "vnc": 20003}))
    applied(made)
    write(
        made,
        vm("first", **{**first, "ports": {"ssh": 20002, "vnc": 20001}}),
        vm("second", ports={"ssh": 20002, "vnc": 20003}),
    )
    result = made.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["port-conflict"])
    assert "of VirtualMachine/first is already in use" in result.err
    assert "VirtualMachine/second uses it" in result.err
    made.close()


def test_a_vm_that_cannot_be_started_for_its_auto_port_gets_another(tmp_path: Path) -> None:
    made = in_conflict(tmp_path)
    assert made.run("vm", "stop", "first", "--yes", "--wait").code == 0
    fields = {f["path"]: (f["before"], f["after"]) for f in the_change(made, address="VirtualMachine/first")["fields"]}
    assert fields == {"ports.ssh": (20000, 20002), "power": ("off", "on")}
    applied(made)
    assert_empty(made)
    assert domains(made) == {"first": "running", "second": "running"}
    made.close()


def test_a_start_refused_for_a_port_names_its_holder(tmp_path: Path) -> None:
    """A port that was written is nothing to change: the plan says what is in the way, and does nothing."""
    ports = {"ssh": 20000, "vnc": 20001}
    made = in_conflict(tmp_path, ports=ports)
    write(made, vm("first", publicIp=PUBLIC, ports=ports), vm("second", gpus=0, ports={"ssh": 20000, "vnc": 20003}))
    warned = made.run("plan", "--json", "--detailed-exitcode")
    assert (warned.code, warned.codes) == (0, ["port-conflict"])
    assert made.run("vm", "stop", "first", "--yes", "--wait").code == 0
    result = made.run("apply", "--yes")
    assert result.code == 5
    assert "tcp port 20000 of VirtualMachine/first is already in use" in result.err
    assert "VirtualMachine/second uses it" in result.err
    made.close()


@pytest.mark.parametrize("change", ["disk", "restartOn", "cpus"])
def test_no_window_is_opened_for_a_vm_that_could_not_be_started_again(tmp_path: Path, change: str) -> None:
    made = in_conflict(tmp_path)
    changes: dict[str, dict[str, Any]] = {"disk": {}, "restartOn": {"restartOn": "one"}, "cpus": {"cpus": 8}}
    disks = [document("Disk", "d", {"vm": "first", "size": "9Gi"})] if change == "disk" else []
    write(made, vm("first", publicIp=PUBLIC, **changes[change]), vm("second", gpus=0), *disks)
    result = made.run("apply", "--yes")
    assert result.code == 5
    assert "is already in use" in result.err
    assert domains(made) == {"first": "running", "second": "running"}
    made.close()


def test_a_change_that_starts_nothing_goes_on_beside_a_conflict(tmp_path: Path) -> None:
    made = in_conflict(tmp_path, firewall=["in,tcp,22,0.0.0.0/0,accept"])
    result = made.run("apply", "--yes", "--json")
    assert (result.code, result.codes) == (0, ["port-conflict"])
    made.close()


def test_a_port_that_goes_comes_to_another_in_the_same_apply(tmp_path: Path) -> None:
    ports = {"ssh": 20010, "vnc": 20011}
    made = make(
        tmp_path, vm("first", publicIp=PUBLIC, ports=ports), vm("third", gpus=0, ports={"ssh": 20020, "vnc": 20021})
    )
    applied(made)
    write(
        made,
        vm("first", publicIp=PUBLIC, ports={"ssh": 20012, "vnc": 20011}),
        vm("second", ports={"ssh": 20010, "vnc": 20013}),
        vm("third", gpus=0, ports={"ssh": 20022, "vnc": 20021}),
        vm("fourth", gpus=0, ports={"ssh": 20020, "vnc": 20023}),
    )
    applied(made)
    assert_empty(made)
    made.close()


def test_a_public_address_passes_from_one_vm_to_another(tmp_path: Path) -> None:
    made = make(tmp_path, vm("first"), vm("second", publicIp=PUBLIC))
    applied(made)
    write(made, vm("first", publicIp=PUBLIC), vm("second"))
    applied(made)
    assert_empty(made)
    write(made, vm("first"), vm("third", publicIp=PUBLIC))
    applied(made)
    assert_empty(made)
    made.close()


def test_a_vm_with_a_public_address_is_replaced(tmp_path: Path) -> None:
    """The old one goes first: the node gives an address to one VM, whether it runs or not."""
    made = make(tmp_path, vm("first", publicIp=PUBLIC))
    applied(made)
    write(made, vm("first", publicIp=PUBLIC, image="win10.qcow2"))
    shown = made.run("plan").out
    assert f"note: the old object is deleted first: both cannot have {PUBLIC}" in shown
    assert "will be replaced, off until the new VM runs" in shown
    applied(made)
    assert_empty(made)
    [machine] = made.network.nodes[NODE_ID].truth()["vms"].values()
    assert (machine["public_ip"], machine["image_name"]) == (PUBLIC, "win10.qcow2")
    made.close()


def test_an_object_removed_from_the_state_keeps_its_ports(tmp_path: Path) -> None:
    made = make(tmp_path, vm("first", ports={"ssh": 20000, "vnc": 20001}))
    applied(made)
    write(made, vm("second", ports={"ssh": 20000, "vnc": 20003}))
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "  removed: [VirtualMachine/first]\n", encoding="utf-8")
    result = made.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["port-conflict"])
    made.close()


def test_the_ports_of_an_external_vm_are_taken(tmp_path: Path) -> None:
    made = make(tmp_path, vm("first"))
    applied(made)
    [task_id] = made.vms
    made.admin.change_vm(task_id, desc="[dbc-iac:other/main/theirs/1/0]")
    shutil.rmtree(tmp_path / "state")
    external = document("VirtualMachine", "theirs", {"node": "gpu-a", "external": True, "id": task_id})
    write(made, external, vm("second"))
    applied(made)
    assert len({port for both in ports_of(made).values() for port in both}) == 4
    made.close()


@pytest.mark.parametrize(("range_", "given"), [("5001-5100", (5001, 5900)), ("5049-5052", (5049, 5900)), ("21-24", ())])
def test_auto_is_no_port_of_the_host(tmp_path: Path, range_: str, given: tuple[int, ...]) -> None:
    made = make(tmp_path)
    url = (tmp_path / "dbc-iac.yaml").read_text(encoding="utf-8")
    (tmp_path / "dbc-iac.yaml").write_text(url.replace(":5050", ":5049"), encoding="utf-8")
    ports = {"ssh": "auto", "rdp": "auto", "vnc": 5900}
    text = "---\n".join([document("Node", "gpu-a", {**NODE, "portRange": range_}), vm("first", ports=ports)])
    made.project.write({"manifests/all.yaml": text})
    result = made.run("plan", "--json")
    if not given:
        assert (result.code, result.codes) == (3, ["invalid-value"])
    else:
        shown = {f["path"]: f["after"] for f in result.json["changes"][0]["fields"]}
        assert not {shown["ports.ssh"], shown["ports.rdp"]} & {22, 5002, 5049, 5050}
    made.close()


def test_a_start_refused_for_a_port_of_another_wallet_names_the_field(tmp_path: Path) -> None:
    made = make(tmp_path, vm("first", ports={"ssh": 20005, "vnc": 20006}))
    applied(made)
    [task_id] = made.vms
    made.admin.power_off(task_id)
    made.admin.occupy(gpus=1, ssh_port=20005, vnc_port=20990)
    refused = made.run("apply", "--yes")
    assert refused.code == 1
    assert "check ssh_port failed; a running VM of another wallet has ports.ssh 20005; set another." in refused.err
    made.close()
