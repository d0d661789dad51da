"""Everything that goes wrong with nodes and networks, each by its switch (docs/faults.md).

The run that meets a fault ends with a sensible exit code and says what it is; when it is over, one more run converges, and
nothing was made twice.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.admin import Admin
from dbc_iac.emulator.crypto import address, node_id_of
from dbc_iac.emulator.server import serve
from dbc_iac.emulator.world import FaultKind
from tests.cli.trials import MANAGER_SEED, Action, Trial, act, converges, write
from tests.emulator.test_admin import free_ports
from tests.projects import NODE_ID, PROJECT, SEED, document, project, vm

MANAGER_ID = node_id_of(MANAGER_SEED)
SERVER_KEY = "11" * 32
SERVER_ID = node_id_of(SERVER_KEY)
TENANT = address(bytes.fromhex(node_id_of(SEED)))
OTHER = "7otherotherotherother1"


def fault(op: str, kind: str, **more: Any) -> Action:
    return ("/faults", {"op": op, "kind": kind, **more})


def client(do: str, **more: Any) -> Action:
    return ("/client", {"name": "default", "do": do, **more})


def node(do: str) -> Action:
    return ("/node", {"id": NODE_ID, "do": do})


def manager(do: str) -> Action:
    return ("/node", {"id": MANAGER_ID, "do": do})


def hand(do: str, **given: Any) -> Action:
    return ("/vm", {"id": NODE_ID, "do": do, "with": given})


def image_server(**values: Any) -> Action:
    return ("/image-server", {"id": "ID_1", **values})


def chain(**values: Any) -> Action:
    return ("/chain", values)


def gpu_node(**spec: Any) -> dict[str, Any]:
    return {"gpuNodes": [{"id": NODE_ID, **spec}]}


def servers(count: int, **first: Any) -> list[dict[str, Any]]:
    one = {"ip": "198.51.100.1", "ipmiHostname": "192.168.0.1", "ipmiUsername": "admin", "ipmiPassword": "admin"}
    return [{"uuid": f"s{number}", **one, **(first if number == 0 else {})} for number in range(count)]


CLEAR: Action = ("/faults/clear", {})
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})
SMALL = (vm(), DISK)
GROWN = (vm(memory="16Gi", gpus=2), document("Disk", "scratch", {"vm": "trainer", "size": "90Gi"}))
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})

REQUESTS = [
    Trial(f"{kind} {seconds or ''} at {op}", SMALL, 0, strikes=(fault(op, kind, seconds=seconds),), recovery_goals=(CLEAR,), vms=1)
    for op in ("tasks.create", "disk.add")
    for kind, seconds in (
        ("slow", 20), ("slow", 50), ("time-out", 0), ("lost-reply", 0), ("late", 45), ("hang", 0), ("offline", 0),
        ("reset", 0), ("drop", 0), ("cut", 0), ("close", 0),
    )
]  # fmt: skip
REQUESTS += [
    Trial("refuse at tasks.create", SMALL, 1, "allocate gpu failed",
          strikes=(fault("tasks.create", "refuse", text="allocate gpu failed"),), recovery_goals=(CLEAR,), vms=1),
    Trial("refuse at disk.add", SMALL, 7, "no enough space",
          strikes=(fault("disk.add", "refuse", text="mount directory:/data have no enough space"),), recovery_goals=(CLEAR,), vms=1),
    Trial("lists time out", (vm(),), 1, "list task timeout",
          strikes=(fault("tasks.list", "time-out", times=99),), recovery_goals=(CLEAR,), vms=1),
]  # fmt: skip

POISON = {"task_id": OTHER, "desc": 'say "hello"', "rent_order": "112", "wallet": TENANT, "gpus": 0, "vnc_port": 60000}
LANS = [{"networkName": f"other{n:02d}", "ipCidr": "10.0.0.0/24", "wallet": "another-renter"} for n in range(40)]

NETWORK = [
    Trial("gossip delay", (vm(),), 1, "create node request failed", world={"gossip": {"delay": 40}},
          strikes=(client("restart"),), wait=60, vms=1),
    Trial("client node restart", SMALL, 0, strikes=(client("restart"),), after=15, vms=1),
    Trial("client node dies", SMALL, 0, strikes=(client("die"),), after=15, vms=1),
    Trial("leaked slots", (vm(),), 1, "create request session failed",
          strikes=(client("leak", slots=1024),), recovery_goals=(client("restart"),), vms=1),
    Trial("GPU node restart while a VM is made", SMALL, 0, strikes=(node("restart"),), after=5, vms=1),
    Trial("GPU node restart in a window", GROWN, 0, before=SMALL, strikes=(node("restart"),), after=6, vms=1),
    Trial("GPU node dies in a window", GROWN, 0, before=SMALL, strikes=(node("die"),), after=6, vms=1),
    Trial("GPU node frozen while a VM is made", (vm(),), 1, "only a restart of the DBC service",
          strikes=(fault("tasks.create", "freeze", seconds=33),), recovery_goals=(node("restart"),), vms=1),
    Trial("GPU node frozen with a disk job", SMALL, 1, "failed after the node accepted it", before=(vm(),),
          strikes=(fault("disk.add", "freeze", seconds=33),), vms=1),
    Trial("GPU node frozen for a moment", SMALL, 0, before=(vm(),), strikes=(fault("disk.add", "freeze", seconds=12),),
          vms=1),
    Trial("poisoned list", (vm(),), 1, "response parse error",
          strikes=(hand("occupy", **POISON),), recovery_goals=(hand("remove_vm", task_id=OTHER),), vms=1),
    Trial("more than 31 LANs", (LAN, vm(network="training")), 0, world=gpu_node(lans=LANS), vms=1),
]  # fmt: skip

MENDED = hand("set_image_guest", image="ubuntu.qcow2")
MOVED = (vm(memory="16Gi", ports={"ssh": 20500, "vnc": 20501}),)

GUESTS = [
    Trial("no guest agent", (vm(),), 0, "the guest has no agent", world=gpu_node(guest={"agent": False}), vms=1),
    Trial("no DHCP", (vm(),), 1, "create error", world=gpu_node(guest={"dhcp": False}), recovery_goals=(MENDED,), vms=1),
    Trial("define rejected", (vm(),), 1, "create error", world=gpu_node(guest={"defines": False}),
          recovery_goals=(MENDED, node("restart")), vms=1),
    Trial("modify half applied", MOVED, 1, "defineXML failed", before=(vm(ports={"ssh": 20400, "vnc": 20401}),),
          strikes=(hand("set_guest", task_id="$vm", guest={"defines": False}),),
          recovery_goals=(hand("set_guest", task_id="$vm"),), vms=1),
    Trial("two addresses of a host", (vm(), vm("two", gpus=0)), 0, "no-port-forwards",
          before=(vm(publicIp="203.0.113.50"),), strikes=(node("restart"),), wait=60.0, vms=2),
    Trial("mass destroy of running domains", (vm("one"), vm("two")), 1, "please try again in a minute",
          before=(vm("one"),), strikes=(hand("add_unknown_domain", name="x", survives=True),),
          recovery_goals=(hand("remove_domain", task_id="x"),), vms=2),
]  # fmt: skip

RENTED = {"112": {"renter": "tenant", "machine": NODE_ID}}
EXPIRED = {"112": {"renter": "tenant", "machine": NODE_ID, "status": "rentExpired"}}
RENEWED = {**EXPIRED, "113": {"renter": "tenant", "machine": NODE_ID}}
RENEWED_NODE = document(
    "Node", "gpu-a", {"id": NODE_ID, "identity": "tenant", "rentOrder": "113", "portRange": "20000-29999"}
)

RENTALS = [
    Trial("resources taken", (vm(gpus=4),), 5, "4 GPUs requested in total, but 3 of 4 are free",
          strikes=(hand("occupy", task_id=OTHER, gpus=1),), recovery_goals=(hand("remove_vm", task_id=OTHER),), vms=1),
    Trial("resources taken in a window", GROWN, 7, "could not be started again", before=SMALL, after=6,
          strikes=(hand("occupy", task_id=OTHER, gpus=4),), recovery_goals=(hand("remove_vm", task_id=OTHER),), vms=1),
    Trial("rent expired", (vm(),), 4, "machine has already expired", before=(vm(),),
          strikes=(chain(orders=EXPIRED),), recovery_goals=(chain(orders=RENTED),), wait=60, vms=1),
    Trial("rent renewed under another order", (RENEWED_NODE, vm()), 5, "keeps the VM under order", before=(vm(),),
          strikes=(chain(orders=RENEWED),), vms=1),
    Trial("chain unreachable", (vm(),), 4, "query machine_status failed",
          strikes=(chain(reachable=False),), recovery_goals=(chain(reachable=True),), vms=1),
    Trial("chain unreachable in a window", GROWN, 7, "could not be started again", before=SMALL, after=6,
          strikes=(chain(reachable=False),), recovery_goals=(chain(reachable=True),), vms=1),
    Trial("LAN cleaned up after three days", (LAN,), 0, before=(LAN,), strikes=(("/wait", {"seconds": 4 * 86_400}),)),
]  # fmt: skip

IMAGE = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1"})
IMAGE_SERVERS = {
    "imageServers": [{"id": "ID_1", "images": [{"name": "ubuntu.qcow2"}, {"name": "torch.qcow2"}]}, {"id": "ID_2"}]
}

IMAGES = [
    Trial("image server unreachable", (IMAGE,), 1, "the image server lists no files: it is empty or cannot be reached", world=IMAGE_SERVERS,
          strikes=(image_server(reachable=False),), recovery_goals=(image_server(reachable=True),)),
    Trial("image server freezing", (IMAGE,), 1, "list images timeout", world=IMAGE_SERVERS,
          strikes=(image_server(reachable=False, fail_seconds=600),), recovery_goals=(image_server(reachable=True),)),
]  # fmt: skip

RACK = {"managers": [{"seed": MANAGER_SEED, "servers": servers(60), "maintenance": {"every": 0}}]}
NEW = {"host": "192.168.0.9", "username": "admin", "password": {"env": "IPMI"}}
REGISTERED = (
    document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"}),
    document("BareMetalServer", "new", {"manager": "rack", "uuid": "new-1", "ip": "198.51.100.9", "ipmi": NEW}),
)
INSTANCE = document("BareMetalInstance", "box", {"nodeId": SERVER_ID, "identity": "tenant", "power": "on"})
BMC = {"host": "192.168.0.1"}


def rented(**bmc: Any) -> dict[str, Any]:
    return {
        "managers": [{"seed": MANAGER_SEED, "servers": servers(1, nodePrivateKey=SERVER_KEY)}],
        "machines": {SERVER_ID: {"renter": "tenant"}},
        "bmcs": [{**BMC, **bmc}],
    }


BARE_METAL = [
    Trial("more than 51 servers", REGISTERED, 0, world=RACK),
    Trial("manager's maintenance pass", REGISTERED, 1, "list bare metal timeout", world=RACK,
          strikes=(manager("maintenance"),), background=True, wait=600),
    Trial("manager dies", REGISTERED, 0, world=RACK, strikes=(manager("die"),)),
    Trial("BMC unreachable", (INSTANCE,), 1, "Unable to establish LAN session", world=rented(reachable=False),
          recovery_goals=(("/bmc", {**BMC, "reachable": True}),)),
    Trial("BMC slow", (INSTANCE,), 0, world=rented(seconds=20)),
    Trial("BMC slower than the time-out", (INSTANCE,), 1, "bare metal power timeout", world=rented(seconds=45),
          recovery_goals=(("/bmc", {**BMC, "seconds": 1}),)),
    Trial("BMC with a false success", (INSTANCE,), 1, "not a power status",
          world=rented(failure="Unable to get Chassis Power Status"), recovery_goals=(("/bmc", {**BMC, "failure": ""}),)),
]  # fmt: skip

TRIALS = [*REQUESTS, *NETWORK, *GUESTS, *RENTALS, *IMAGES, *BARE_METAL]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_fault_is_survived(trial: Trial, tmp_path: Path) -> None:
    emulated = trial.emulated(tmp_path)
    try:
        trial.run(emulated)
    finally:
        emulated.close()


def test_every_switch_is_written_down() -> None:
    text = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    handlers = Admin(Network(WorldSpec()))._actions
    assert [kind for kind in get_args(FaultKind) if f"`{kind}`" not in text] == []
    assert [path for path in handlers if f"`{path}" not in text] == []


ENDS = [node("restart"), node("die"), client("die")]


@pytest.mark.parametrize("end", ENDS, ids=["GPU node restarts", "GPU node dies", "client node dies"])
@pytest.mark.parametrize(
    ("before", "moment"),
    [((), moment) for moment in (1, 4, 8, 13, 17, 22, 30)] + [(SMALL, moment) for moment in (1, 3, 5, 7, 9, 11)],
    ids=lambda value: "" if isinstance(value, tuple) else str(value),
)
def test_the_end_of_a_process_is_survived_at_any_moment(
    end: Action, moment: int, before: tuple[str, ...], tmp_path: Path
) -> None:
    """Of a creation with its disk, or of a window in which everything grows."""
    wanted = GROWN if before else SMALL
    trial = Trial("", wanted, 0, before=before, strikes=(end,), after=moment, vms=1)
    emulated = trial.emulated(tmp_path)
    try:
        trial.run(emulated)
        [machine] = emulated.vms.values()
        assert sorted(machine["disks"].values()) == ([20, 20, 90] if before else [20, 20, 50])
    finally:
        emulated.close()


@pytest.mark.parametrize("moment", [1, 3, 6, 12, 16, 25])
@pytest.mark.parametrize("power", ["on", "off"])
def test_a_vm_that_the_node_did_not_finish_gets_its_forwards_by_one_power_cycle(
    moment: int, power: str, tmp_path: Path
) -> None:
    trial = Trial("", (vm(power=power),), 0, strikes=(node("restart"),), after=moment)
    emulated = trial.emulated(tmp_path)
    try:
        trial.run(emulated)
        [made] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
        assert made["forwards"]
        assert made["shown_status"] == ("running" if power == "on" else "closed")
    finally:
        emulated.close()


def test_a_vm_whose_notes_prove_nothing_is_left_alone(tmp_path: Path) -> None:
    emulated = Trial("", (vm(),), 0, world=gpu_node(guest={"bootSeconds": 60})).emulated(tmp_path)
    try:
        write(emulated, (vm(),))
        assert emulated.run("apply", "--yes", "--wait-timeout", "20").code == 7
        emulated.settle(120)
        [task_id] = emulated.vms
        notes = emulated.network.nodes[NODE_ID].node.machine.logs.lines[task_id]
        started = len(notes)
        notes.clear()
        converges(emulated)
        assert started > 8
        assert not [line for line in notes if "shutdown" in line.text]
    finally:
        emulated.close()


# Over real ports


@contextmanager
def served(world: dict[str, Any]) -> Iterator[str]:
    """A client node on loopback, in a thread of its own; its URL."""
    [port] = free_ports(1)
    loop = asyncio.new_event_loop()
    network = Network(WorldSpec.model_validate(world))
    task = loop.create_task(serve(network, {"default": ("127.0.0.1", port)}))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait({task})))
    thread.start()
    while not _listens(port):
        thread.join(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("kind", "nth", "code"),
    [("close", 1, 2), ("drop", 99, 2), ("drop", 1, 1), ("cut", 1, 1), ("reset", 1, 1)],
    ids=["lying keep-alive", "none", "drop", "cut", "reset"],
)
def test_connections_that_break_are_survived_on_the_wire(tmp_path: Path, kind: FaultKind, nth: int, code: int) -> None:
    world = {
        "gpuNodes": [{"id": NODE_ID}],
        "wallets": [{"name": "tenant", "seed": SEED}],
        "orders": RENTED,
        "faults": [{"op": "*", "kind": kind, "nth": nth, "times": 99}],
    }
    with served(world) as url:
        environ = {"SEED": SEED, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        made = project(tmp_path, vm(), environ=environ)
        made.write({"dbc-iac.yaml": PROJECT.replace("http://127.0.0.1:5050", url)})
        result = made.run("plan", "--detailed-exitcode")
    assert result.code == code, result.out + result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("moment", [3, 8, 15, 25])
def test_what_was_queued_on_a_node_that_restarts_is_asked_for_again_at_once(moment: int, tmp_path: Path) -> None:
    """Not after an hour of patience: a record that is not there any more is seen for what it is."""
    trial = Trial("", (vm("one"), vm("two"), vm("three")), 0, strikes=(node("restart"),), after=moment, wait=0.0)
    emulated = trial.emulated(tmp_path)
    try:
        started = emulated.loop.time()
        trial.run(emulated)
        assert emulated.loop.time() - started < 900
        assert sorted(one["domain"] for one in emulated.vms.values()) == ["running"] * 3
    finally:
        emulated.close()


def test_a_poisoned_list_hides_no_vm_whose_id_is_known(tmp_path: Path) -> None:
    """Details know it: plans are whole, windows work, and only what is new has to wait."""
    emulated = Trial("", SMALL, 0).emulated(tmp_path)
    try:
        write(emulated, SMALL)
        converges(emulated)
        emulated.loop.run_until_complete(act(emulated, hand("occupy", **POISON)))
        assert emulated.run("plan", "--detailed-exitcode").code == 0
        write(emulated, GROWN)
        converges(emulated)
        write(emulated, (*GROWN, vm("new", ports={"ssh": 20700, "vnc": 20701})))
        waits = emulated.run("plan")
        assert "? VirtualMachine/new  not read" in waits.out, waits.out + waits.err
        assert "response parse error" in waits.err
    finally:
        emulated.close()
