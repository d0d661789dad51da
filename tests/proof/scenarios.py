"""Failure scenarios by number: worlds, faults, manifests and expected results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.cli.test_faults import (  # fmt: skip
    BMC,
    CLEAR,
    GROWN,
    IMAGE,
    IMAGE_SERVERS,
    INSTANCE,
    LANS,
    MOVED,
    OTHER,
    POISON,
    RACK,
    REGISTERED,
    RENEWED,
    RENEWED_NODE,
    RENTED,
    SERVER_ID,
    SMALL,
    chain,
    client,
    fault,
    gpu_node,
    hand,
    image_server,
    node,
    rented,
)
from tests.projects import NODE_ID, UID, document, vm
from tests.proof.ends import Point
from tests.proof.play import APPLIED, CONVERGES, EMPTY, Act, Put, Run, Scenario, Step, There, Unset, Wait, Write

SECOND_ID = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"
FIRST = document("Node", "gpu-a", {"id": NODE_ID, "identity": "tenant", "rentOrder": "112", "portRange": "20000-29999"})
SECOND = document(
    "Node", "gpu-b", {"id": SECOND_ID, "identity": "tenant", "rentOrder": "113", "portRange": "20000-29999"}
)
BOTH = {"112": {"renter": "tenant", "machine": NODE_ID}, "113": {"renter": "tenant", "machine": SECOND_ID}}
TWO_NODES: dict[str, Any] = {"gpuNodes": [{"id": NODE_ID}, {"id": SECOND_ID}], "orders": BOTH}
ONLINE = {NODE_ID: {"renter": "tenant"}, SECOND_ID: {"status": "online"}}
ON_SECOND = vm("two", node="gpu-b")
MANY_ORDERS = {str(n): {"renter": "tenant", "machine": NODE_ID} for n in (*range(1, 61), 112)}
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
SNAPSHOT = document("Snapshot", "first", {"vm": "trainer", "imageServer": "ID_2"})
FOUR = tuple(vm(f"vm{n}") for n in range(4))


def row(
    number: int, name: str, *steps: Step, elsewhere: tuple[str, ...] = (), world: Mapping[str, Any] | None = None
) -> Scenario:
    return Scenario(number, name, steps, world or {}, elsewhere)


SCENARIOS = [
    row(1, "a disk is added late, in the same run", Write(SMALL), Act(fault("disk.add", "late", seconds=45)),
            APPLIED, Wait(600), EMPTY, There(1, disks=(20, 20, 50))),
    row(1, "a VM comes after the end of the apply", Write((vm(),)), Act(fault("tasks.create", "late", seconds=100, times=3)),
            Run("apply --yes --wait-timeout 5", 7), Wait(600), *CONVERGES, There(1)),
    row(1, "a shutdown comes after its window", Write((vm(),)), APPLIED, Write((vm(cpus=8),)),
            Act(fault("tasks.shutdown", "late", seconds=300)), Run("apply --yes"), Wait(600), *CONVERGES, There(1)),
    row(2, "a rental ended", Write((FIRST, SECOND, vm("one"), ON_SECOND)), APPLIED, Act(chain(orders=BOTH, machines=ONLINE)),
            Write((FIRST, SECOND, vm("one", firewall=[]), ON_SECOND)),
            Run("apply --yes", 4, output=("VirtualMachine/two", "could not be read")),
            Write((FIRST, SECOND, vm("one", firewall=[]))), Run("apply --yes --forget-expired", 0, output=("--forget-expired",)),
            EMPTY, world=TWO_NODES),
    row(3, "a rental was renewed under another order", Write((vm(),)), APPLIED, Act(chain(orders=RENEWED)),
            Write((RENEWED_NODE, vm())), Run("apply --yes", 5, output=("keeps the VM under order 112",)), Wait(3600), *CONVERGES, There(1)),
    row(4, "GPUs were taken while the VM was off", Write(SMALL), APPLIED, Write(GROWN),
            Act(fault("tasks.start", "refuse", text="allocate gpu failed", times=999)),
            Run("apply --yes", 7, output=("could not be started again",)), Act(CLEAR), *CONVERGES, There(1, disks=(20, 20, 90))),
    row(5, "the node restarts while a VM is made", Write(SMALL), Run("apply --yes", ended=Point("call", 1, "after")),
            Act(node("restart")), Wait(60), *CONVERGES, There(1, disks=(20, 20, 50))),
    row(5, "the node restarts after a disk was asked for", Write(SMALL), Run("apply --yes", ended=Point("call", 3, "sent")),
            Act(node("restart")), Wait(60), *CONVERGES, There(1, disks=(20, 20, 50))),
    row(6, "all domains are destroyed", Write(FOUR), APPLIED, *(Act(hand("power_off", task_id=f"$vm{n}")) for n in range(4)),
            Run("drift", 2, output=("4 VMs of Node/gpu-a are powered off: likely one event",)), *CONVERGES, There(4)),
    row(7, "a description of another tenant breaks the list", Write((vm(),)), APPLIED, Act(hand("occupy", **POISON)), EMPTY,
            Run("orphans", 1, output=("sent broken JSON",)), Act(hand("remove_vm", task_id=OTHER)), *CONVERGES, There(1)),
    row(8, "more than 51 servers", Write(REGISTERED), *CONVERGES, world=RACK),
    row(8, "more than 31 LANs", Write((LAN, vm(network="training"))), *CONVERGES, There(1), world=gpu_node(lans=LANS)),
    row(8, "more than 51 orders, the project's own is not listed", Write((vm(),)), *CONVERGES, There(1),
            Write((vm(cpus=8),)), Run("plan", 0), world={"orders": MANY_ORDERS}),
    row(9, "the image server blocks callers", Write((IMAGE, vm())), Act(image_server(reachable=False, fail_seconds=600)),
            Run("apply --yes", 7, output=("VirtualMachine/trainer",)), There(1), Act(image_server(reachable=True)), Wait(1200),
            *CONVERGES, world=IMAGE_SERVERS),
    row(9, "the image server is down", Write((IMAGE, vm())), Act(image_server(reachable=False)),
            Run("apply --yes", 7, output=("it is empty or cannot be reached", "VirtualMachine/trainer")),
            There(1), Act(image_server(reachable=True)), *CONVERGES, world=IMAGE_SERVERS),
    row(10, "one of two clients does not know the node", Put("dbc-iac.yaml", "5050\"}}", "5050\"}, second: {url: \"http://127.0.0.1:5051\"}}"),
            Write((vm(),)), Act(fault("*", "offline", times=999, client="default")), *CONVERGES, There(1), world={"clients": ["default", "second"]}),
    row(10, "no client knows the node", Write((vm(),)), APPLIED, Act(fault("*", "offline", times=999)),
            Run("apply --yes", 1, output=("create node request failed",)), Act(CLEAR), *CONVERGES, There(1)),
    row(11, "the client node restarts", Write((vm(),)), Act(client("restart")), Wait(60), *CONVERGES, There(1)),
    row(12, "slots have leaked", Write((vm(),)), Act(client("leak", slots=1024)),
            Run("apply --yes", 1, output=("create request session failed", "estart")), Act(client("restart")), Wait(60),
            *CONVERGES, There(1)),
    row(13, "the manager is busy for minutes", Write(REGISTERED), Act(fault("*", "time-out", times=99)),
            Run("apply --yes", 1, output=("list bare metal timeout",)), Act(CLEAR), *CONVERGES, world=RACK),
    row(14, "a server that nobody rents is powered off", Write((INSTANCE,)), APPLIED, Act(("/bmc", {**BMC, "power": "off"})),
            Act(chain(orders=RENTED, machines={SERVER_ID: {"status": "online"}})), Run("drift", 0), world=rented()),
    row(15, "a guest has no agent", Write((vm(),)), Run("apply --yes", 0, output=("the guest has no agent",)), EMPTY, There(1),
            world=gpu_node(guest={"agent": False})),
    row(16, "a VM is created powered off", Write((vm(power="off"),)), *CONVERGES, There(1, "off")),
    row(16, "the process crashes between power-off and start", Write((vm(),)), APPLIED, Write((vm(cpus=8),)),
            Run("apply --yes", ended=Point("call", 3, "before")), Run("plan", 0, output=("powered off by an interrupted apply; will be started",)), *CONVERGES, There(1)),
    row(17, "a change is partially applied", Write((vm(ports={"ssh": 20400, "vnc": 20401}),)), APPLIED,
            Act(hand("set_guest", task_id="$vm", guest={"defines": False})), Write(MOVED),
            Run("apply --yes", 1, output=("defineXML failed",)), Act(hand("set_guest", task_id="$vm")), *CONVERGES, There(1)),
    row(18, "a VM goes while its snapshot uploads", Write((vm(), SNAPSHOT)), Run("apply --yes --wait-timeout 20", 7),
            Write(()), Run("apply --yes --allow-empty --max-removals 100"), EMPTY, There(0),
            world=gpu_node(durations={"transferMinimum": 300})),
    row(19, "a LAN without members is cleaned up", Write((LAN,)), APPLIED, Wait(4 * 86_400), *CONVERGES),
    row(19, "a LAN cannot be deleted because of a member", Write((LAN,)), APPLIED,
            Act(hand("occupy", task_id=OTHER, network_name="training", wallet="another-renter")), Wait(30), Write(()),
            Run("apply --yes --allow-empty --max-removals 100", 1, output=(OTHER,))),
    row(20, "a second VM of a LAN on a node that is not the LAN's own",
            Write((FIRST, SECOND, LAN, vm("one", node="gpu-b", network="training"), vm("two", node="gpu-b", network="training"))),
            Run("plan", 0, output=("warning[cuts-lan]", "starting this VM can cut VirtualMachine/one off Network/training")), world=TWO_NODES),
    row(20, "the project refuses that risk",
            Write((FIRST, SECOND, LAN, vm("one", node="gpu-b", network="training"), vm("two", node="gpu-b", network="training"))),
            Put("dbc-iac.yaml", "", "  thresholds: {refuse: [cuts-lan]}\n"), Run("apply --yes", 5, output=("error[cuts-lan]",)), There(0),
            world=TWO_NODES),
    row(20, "one VM of a LAN on each node", Write((FIRST, SECOND, LAN, vm("one", network="training"), vm("two", node="gpu-b", network="training"))),
            Run("plan", 0, never=("cuts-lan",)), world=TWO_NODES),
    row(21, "a resource is renamed", Write(SMALL), APPLIED,
            Write((vm("renamed"), document("Disk", "scratch", {"vm": "renamed", "size": "50Gi"}))), Run("plan", 0, output=("add `moved:",)),
            Put("dbc-iac.yaml", "", "  moved: [{from: VirtualMachine/trainer, to: VirtualMachine/renamed}]\n"), *CONVERGES,
            There(1, disks=(20, 20, 50))),
    row(21, "the uid is changed", Write((vm(),)), APPLIED, Put("dbc-iac.yaml", UID, "f" * 32),
            Run("apply --yes", 1, output=("Set uid back",)), There(1)),
    row(21, "the project is renamed", Write((vm(),)), APPLIED, Put("dbc-iac.yaml", "name: lab", "name: another"),
            Run("apply --yes", 1, output=("another",)), There(1)),
    row(22, "a manifest cannot be read", Write((vm(),)), APPLIED, Put("manifests/all.yaml", "", "---\n: [\n"), Run("apply --yes", 3), There(1)),
    row(22, "a variable file is missing", Write((vm(),)), Run("-e prod plan", 3, output=("prod.yaml",)), There(0)),
    row(22, "a glob matches nothing", Write((vm(),)), Put("dbc-iac.yaml", "", "  manifests: [\"none/*.yaml\"]\n"), Run("plan", 3), There(0)),
    row(23, "the secret of a VM is unavailable at its deletion",
            Write((vm(login={"password": {"env": "IPMI"}}),)), APPLIED, Unset("IPMI"), Run("destroy --yes", 0, never=("canary",)), There(0)),
    row(23, "a secret provider fails, and says why on standard error",
            Write((vm(login={"password": {"exec": ["sh", "-c", "echo cana''ryword >&2; exit 3"]}}),)),
            Run("apply --yes", 3, output=("exec",), never=("canaryword",)), There(0)),
    row(23, "a secret provider is slow", elsewhere=("tests.manifest.test_secret:test_a_secret_program_whose_child_keeps_the_pipe_open_times_out",)),
    row(24, "the state cannot be written after a call", elsewhere=("tests.state.test_full_disk:test_a_full_disk_is_reported_no_vm_stays_off_and_the_next_run_continues",)),
    row(25, "an older binary meets a newer state", Write((vm(),)), APPLIED, Put("state/main.json", '"formatVersion": 2', '"formatVersion": 999'),
            Run("apply --yes", 1, output=("has format 999", "Nothing was changed")), There(1)),
    row(26, "a job's time ends while a VM is made", Write((vm(),)), Run("apply --yes --wait-timeout 5", 7), *CONVERGES, There(1),
            world=gpu_node(guest={"bootSeconds": 600})),
    row(26, "a job does not wait for what is made", Write(SMALL), Run("apply --yes --no-wait", 7, output=("still",)), Wait(900),
            *CONVERGES, There(1, disks=(20, 20, 50)), world=gpu_node(guest={"bootSeconds": 600})),
    row(27, "the clock of the runner jumps", elsewhere=("tests.state.backends.test_backends:test_a_lease_is_taken_over_after_its_end_only",)),
    row(28, "a session never expires", elsewhere=("tests.cli.ops.test_wallet:test_a_third_party_can_use_the_session",)),
    row(29, "another stops our VM", Write((vm(),)), APPLIED, Act(hand("power_off", task_id="$vm")), Run("drift", 2, output=("power: was on, now off",)),
            *CONVERGES, There(1)),
    row(30, "proxies of the environment are ignored", elsewhere=("tests.api.test_transport:test_proxies_of_the_environment_are_ignored",)),
]  # fmt: skip
