"""A rental that ends and is renewed, an identity and client nodes with other names: everything that exists goes on."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.admin import Admin
from tests.cli.runs import assert_empty
from tests.projects import NODE, NODE_ID, PROJECT, Emulated, document, vm
from tests.proof.lab import MANAGER_ID, MANAGER_SEED, SERVER_ID, WORLD
from tests.proof.scenarios import SECOND, SECOND_ID

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
IMAGE = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False})
EXPORT = document("ImageExport", "copy", {"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2"})
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
SNAPSHOT = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"})
BMC = {"host": "192.168.0.9", "username": "admin", "password": {"env": "IPMI"}}
KINDS = {
    "Network": ((), LAN),
    "Image": ((), IMAGE),
    "ImageExport": ((), EXPORT),
    "VirtualMachine": ((), vm()),
    "Disk": ((vm(),), DISK),
    "Snapshot": ((vm(),), SNAPSHOT),
    "BareMetalServer": ((), document("BareMetalServer", "new", {
        "manager": "rack", "uuid": "new-1", "ip": "198.51.100.9", "ipmi": BMC, "lifecycle": {"preventDestroy": False},
    })),
    "BareMetalInstance": ((), document("BareMetalInstance", "box", {
        "nodeId": SERVER_ID, "identity": "tenant", "rentOrder": "112", "power": "on",
    })),
}  # fmt: skip
"""A document of each kind, after those that it needs."""
MACHINES = {NODE_ID: {"renter": "tenant", "orders": ["112"]}, SERVER_ID: {"status": "rented"}}
"""Images are deleted under the machine's own order, independent of the named one."""
DELETING = ("apply", "--yes", "--allow-empty", "--allow-data-loss", "--max-removals", "100")


class Lab:
    """A world with what every kind needs, and a project whose names can change."""

    def __init__(self, world: Callable[..., Emulated]) -> None:
        gpu = [{"id": NODE_ID, "gpus": 6}]
        self.emulated = world(**{**WORLD, "gpuNodes": gpu, "machines": MACHINES, "clients": ["default", "other"]})
        self.emulated.project.environ |= {"KEY": MANAGER_SEED, "IPMI": "canaryipmi"}
        self.names = {"tenant": "tenant", "owner": "owner", "default": "default", "112": "112"}

    def write(self, *documents: str) -> None:
        """The documents with the names that hold now."""
        names = self.names
        manager = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})
        made = PROJECT.replace("{default: {url", f"{{{names['default']}: {{url").replace(
            "    tenant:", f"    {names['tenant']}:"
        )
        made = made.replace("identities:", f"identities:\n    {names['owner']}: {{nodeKey: {{env: KEY}}}}")
        text = "---\n".join([NODE, manager, *documents]).replace('"112"', f'"{names["112"]}"')
        for name in ("tenant", "owner"):
            text = re.sub(rf'("?identity"?: "?){name}\b', rf"\1{names[name]}", text)
        self.emulated.project.write({"dbc-iac.yaml": made, "manifests/all.yaml": text})

    def applied(self, *command: str) -> str:
        result = self.emulated.run(*(command or DELETING))
        assert result.code == 0, result.out + result.err
        return result.out

    def order(self) -> None:
        """The rental ends, and another begins."""
        self.names["112"] = "113"
        orders = {"112": {"renter": "tenant", "machine": NODE_ID, "status": "rentExpired"},
                  "113": {"renter": "tenant", "machine": NODE_ID}}  # fmt: skip
        machines = {**MACHINES, NODE_ID: {"renter": "tenant", "orders": ["112", "113"]}}
        change(self.emulated, orders=orders, machines=machines)
        self.emulated.settle(7200)  # the node asks the chain now and then

    def identity(self) -> None:
        self.names |= {"tenant": "renter", "owner": "keeper"}

    def client(self) -> None:
        self.names["default"] = "other"

    def ways(self) -> list[dict[str, Any]]:
        state = json.loads((self.emulated.project.directory / "state" / "main.json").read_text(encoding="utf-8"))
        return [binding["route"] for binding in state["bindings"].values()]


def change(emulated: Emulated, **chain: Any) -> None:
    emulated.loop.run_until_complete(Admin(emulated.network).act("/chain", chain))


@pytest.fixture
def lab(world: Callable[..., Emulated]) -> Lab:
    return Lab(world)


@pytest.mark.parametrize("renewed", ["order", "identity", "client"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_before_is_deleted_the_way_that_holds_now(lab: Lab, kind: str, renewed: str) -> None:
    """Its document goes in the same change that names the new order, so that state still has the old one."""
    needed, made = KINDS[kind]
    lab.write(*needed, made)
    lab.applied()
    getattr(lab, renewed)()
    lab.write(*needed)
    lab.applied()
    listed = lab.emulated.run("state", "list", "--json").json
    assert [address for address in listed if address.startswith(f"{kind}/")] == []
    lab.write()
    lab.applied()
    assert lab.emulated.left == 1  # a server that is another's


@pytest.mark.parametrize("renewed", ["order", "identity", "client"])
@pytest.mark.parametrize("kind", KINDS)
def test_state_follows_to_the_new_way_though_nothing_is_to_change(lab: Lab, kind: str, renewed: str) -> None:
    needed, made = KINDS[kind]
    lab.write(*needed, made)
    lab.applied()
    getattr(lab, renewed)()
    lab.write(*needed, made)
    lab.applied()
    for way in lab.ways():
        assert way["identity"] in {lab.names["tenant"], lab.names["owner"]}
        assert way["clients"] == [lab.names["default"]]
        assert way["rentOrder"] in {"", lab.names["112"]}
    assert_empty(lab.emulated)


def test_a_vm_and_its_lan_are_replaced_under_the_new_order(lab: Lab) -> None:
    lab.write(LAN, vm(network="training"))
    lab.applied()
    lab.order()
    lab.write(LAN.replace("66.0", "77.0"), vm(network="training"))
    lab.applied(*DELETING, "--replace", "VirtualMachine/trainer")
    [lan] = lab.emulated.network.nodes[NODE_ID].truth()["lans"].values()
    assert "192.168.77.0/24" in lan.values()
    assert [one["domain"] for one in lab.emulated.vms.values()] == ["running"]
    assert_empty(lab.emulated)


def test_a_vm_that_had_an_order_of_its_own_is_deleted_under_it(world: Callable[..., Emulated]) -> None:
    """The Node's own order never had access: only the order in the state has."""
    emulated = world()
    none = NODE.replace('"112"', "none")
    emulated.project.write({"manifests/all.yaml": "---\n".join([none, vm(rentOrder="112")])})
    assert emulated.run("apply", "--yes").code == 0
    emulated.project.write({"manifests/all.yaml": none})
    result = emulated.run(*DELETING)
    assert (result.code, emulated.left) == (0, 0), result.out + result.err


class At(io.StringIO):
    """Run an action once, when a text is printed."""

    def __init__(self, text: str, *deeds: Callable[[], object]) -> None:
        super().__init__()
        self.text, self.deeds = text, list(deeds)

    def write(self, text: str) -> int:
        if self.text in text:
            while self.deeds:
                self.deeds.pop(0)()
        return super().write(text)


def seconds(told: str) -> int:
    """Duration of an apply, in emulated time."""
    found = re.search(r"^Apply \w+ \((?:(\d+) min)?(?:(\d+) s)?\)", told, re.MULTILINE)
    assert found is not None, told
    return 60 * int(found[1] or 0) + int(found[2] or 0)


GROWN = (vm(memory="16Gi"), DISK)


def test_a_refusal_for_want_of_rights_closes_the_window_and_the_vm_runs(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    emulated.project.write({"manifests/all.yaml": "---\n".join([NODE, *GROWN])})
    refused = FaultSpec(op="tasks.details", kind="refuse", times=99,
                        text="check authority failed: machine has already expired")  # fmt: skip
    result = emulated.run("apply", "--yes", err=At("powered off after", lambda: emulated.network.faults.add(refused)))
    assert result.code == 4, result.out + result.err
    assert "the rental has ended" in result.out
    assert seconds(result.out) < 60
    assert [one["domain"] for one in emulated.vms.values()] == ["running"]


def test_an_order_that_ends_while_a_vm_is_off_is_reported_within_a_minute(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    emulated.project.write({"manifests/all.yaml": "---\n".join([NODE, *GROWN])})
    [order] = emulated.network.chain.orders.values()
    ended = At("powered off after", lambda: setattr(order, "status", "rentExpired"))
    result = emulated.run("apply", "--yes", err=ended)
    assert result.code == 7, result.out + result.err
    assert "Powered off by this apply:" in result.out
    assert seconds(result.out) < 120


@pytest.fixture
def two_nodes(world: Callable[..., Emulated]) -> Emulated:
    """A LAN that is managed through a second node, and a VM in it on the first."""
    orders = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": SECOND_ID}}
    emulated = world(SECOND, LAN.replace("gpu-a", "gpu-b"), vm(network="training"),
                     gpuNodes=[{"id": NODE_ID}, {"id": SECOND_ID}], orders=orders)  # fmt: skip
    assert emulated.run("apply", "--yes").code == 0
    return emulated


def test_a_plan_whose_later_call_would_be_refused_destroys_nothing(two_nodes: Emulated) -> None:
    before = two_nodes.vms
    two_nodes.network.chain.orders["113"].status = "rentExpired"
    changed = LAN.replace("gpu-a", "gpu-b").replace("66.0", "77.0")
    two_nodes.project.write({"manifests/all.yaml": "---\n".join([NODE, SECOND, changed, vm(network="training")])})
    result = two_nodes.run("apply", "--yes", "--json", "--replace", "VirtualMachine/trainer")
    assert (result.code, result.codes) == (4, ["refused-later"]), result.out + result.err
    shown = two_nodes.run("plan", "--json", "--replace", "VirtualMachine/trainer").json["changes"]
    assert [c["address"] for c in shown if "refused (refused-later)" in c["reasons"]] == ["Network/training"]
    assert "wallet not rented" in result.err or "machine has already expired" in result.err
    assert two_nodes.vms == before


def test_a_plan_that_destroys_nothing_before_a_refusal_is_no_concern(two_nodes: Emulated) -> None:
    """Other changes continue meanwhile."""
    two_nodes.network.chain.orders["113"].status = "rentExpired"
    new = document("Network", "second", {"via": "gpu-b", "cidr": "192.168.88.0/24"})
    documents = [NODE, SECOND, LAN.replace("gpu-a", "gpu-b"), vm(network="training", memory="16Gi"), new]
    two_nodes.project.write({"manifests/all.yaml": "---\n".join(documents)})
    result = two_nodes.run("apply", "--yes")
    assert result.code == 7, result.out + result.err
    assert "1 updated, 0 deleted, 1 failed" in result.out


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("delay", [0, 2])
def test_a_signal_ends_the_wait_for_a_creation_within_seconds(world: Callable[..., Emulated], delay: int) -> None:
    emulated = world(vm())
    stop = At("creating…", lambda: emulated.loop.call_later(delay, interrupt))
    result = emulated.run("apply", "--yes", err=stop)
    assert (result.code, seconds(result.out) < 5) == (8, True), result.out
    emulated.settle(60)
    assert emulated.run("apply", "--yes").code == 0
    assert_empty(emulated)
    assert len(emulated.vms) == 1


def test_a_signal_ends_a_wait_in_a_window_and_the_vm_is_started(world: Callable[..., Emulated]) -> None:
    """The disk that the node accepted is made before the start, and belongs to the document."""
    emulated = world(vm(), gpuNodes=[{"id": NODE_ID, "durations": {"disk": 30.0}}])
    assert emulated.run("apply", "--yes").code == 0
    emulated.project.write({"manifests/all.yaml": "---\n".join([NODE, *GROWN])})
    result = emulated.run("apply", "--yes", err=At("adding 50 GiB", interrupt))
    assert result.code == 8, result.out + result.err
    emulated.settle(120)
    [machine] = emulated.vms.values()
    assert (machine["domain"], sorted(machine["disks"].values())) == ("running", [20, 20, 50])
    assert emulated.run("apply", "--yes").code == 0
    assert_empty(emulated)


def test_a_signal_ends_an_apply_whose_node_does_not_answer_any_more(
    world: Callable[..., Emulated], tmp_path: Path
) -> None:
    """A powered-off VM is reported, and the next apply starts it."""
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    emulated.project.write({"manifests/all.yaml": "---\n".join([NODE, *GROWN])})
    gateway = emulated.network.clients["default"]
    result = emulated.run(
        "apply", "--yes", err=At("shutting down", lambda: setattr(gateway, "alive", False), interrupt)
    )
    assert result.code == 8, result.out + result.err
    assert seconds(result.out) < 60
    assert "Powered off by this apply:" in result.out
    gateway.alive = True
    assert emulated.run("apply", "--yes").code == 0
    assert_empty(emulated)
