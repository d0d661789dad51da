"""Each goal: what a look at the API says about it, and the one call that its act makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.api.outcome import Done, NotSent
from dbc_iac.json import Json
from dbc_iac.kinds.bare_metal.instance import DeepLinkPassword, InstanceBound, InstancePower, NextBootSet
from dbc_iac.kinds.bare_metal.server import ServerAbsent, ServerExists, ServerModified
from dbc_iac.kinds.disk import DiskAbsent, DiskExists, DiskKnown
from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.framework.goal import Goal, GoalStatus
from dbc_iac.kinds.images.image import ImageAbsent, ImageExists, ImageFetched, ImageKept, ImageWhole
from dbc_iac.kinds.images.image_export import ExportExists, ExportSent, ExportWhole
from dbc_iac.kinds.network import NetworkAbsent, NetworkExists
from dbc_iac.kinds.snapshots.snapshot import SnapshotAbsent, SnapshotKnown, SnapshotTaken
from dbc_iac.kinds.snapshots.snapshot_upload import SnapshotArrived, SnapshotSent
from dbc_iac.kinds.virtual_machine.creation import VmExists, VmFinished
from dbc_iac.kinds.virtual_machine.goals import (
    DiskHasSize,
    VmAbsent,
    VmColdModified,
    VmModified,
    VmPassword,
    VmPower,
    VmRestarted,
    VmUnderOrder,
)
from tests.kinds.shown import (
    ACTIVE,
    DETAILS,
    DEVICE,
    ENDED,
    FILE,
    LAN,
    ROUTE,
    SERVER,
    SILENT,
    SNAPSHOT,
    TARGET,
    VM,
    context,
    details,
    reader,
    stored,
)

MET, UNMET, WAITING, FAILED, UNKNOWN = (
    GoalStatus.MET, GoalStatus.UNMET, GoalStatus.WAITING, GoalStatus.FAILED, GoalStatus.UNKNOWN,
)  # fmt: skip
AT: dict[str, Any] = {"address": "Kind/name", "route": ROUTE}
ON_VM: dict[str, Any] = {**AT, "vm": VM}
OF_VM: dict[str, Any] = {**ON_VM, "id": VM}
DESIRED: dict[str, Json] = {
    "image": "ubuntu.qcow2", "os": "linux", "biosMode": "legacy", "gpus": 1, "cpus": 8, "memory": "16Gi",
    "dataDisk.size": "20Gi", "ports.ssh": 20022, "ports.vnc": 5901, "nicModel": "virtio",
}  # fmt: skip

exists = VmExists(**OF_VM, desired=DESIRED, marker="dbc-iac:lab/main/name/1/0")
grown = DiskHasSize(**OF_VM, file=FILE, size=30)
added = DiskExists(**ON_VM, size=50, host_dir="/data", known=frozenset({"/data/vm_1.qcow2"}))
gone = DiskAbsent(**ON_VM, id=FILE)
lan = NetworkExists(**AT, id="training", cidr="192.168.66.0/24")
image = ImageExists(**AT, id="big.qcow2", image_server="ID_1")
fetched = ImageFetched(**AT, id="big.qcow2", image_server="ID_1")
whole = ImageWhole(**AT, id="big.qcow2", image_server="ID_1")
deleted = ImageAbsent(**AT, id="big.qcow2", image_server="ID_1", users={"VirtualMachine/a": VM})
kept = ImageKept(**AT, id="big.qcow2", fields={"retain": True})
export = ExportExists(**AT, id="big.qcow2", image_server="ID_1")
sent = ExportSent(**AT, id="big.qcow2", image_server="ID_1")
resent = ExportWhole(**AT, id="big.qcow2", image_server="ID_1")
taken = SnapshotTaken(**ON_VM, id="base", description="", image_server="ID_1")
known = SnapshotKnown(**ON_VM, id="base", description="", image_server="ID_1")
arrived = SnapshotArrived(**ON_VM, id="base", image_server="ID_1", believed=True)
again = SnapshotSent(**ON_VM, id="base", image_server="ID_1", ended=True)
record = SnapshotAbsent(**ON_VM, id="base")
server = ServerExists(**AT, uuid="uuid-1", fields={
    "uuid": "uuid-1", "ip": "10.0.0.7", "ipmi.host": "bmc", "ipmi.username": "root",
})  # fmt: skip
modified = ServerModified(**AT, id="6" * 64, fields={"ip": "10.0.0.8"}, password=False)
unregistered = ServerAbsent(**AT, id="6" * 64)
boot = NextBootSet(**AT, id=TARGET, device="pxe")
link = DeepLinkPassword(**AT, id=TARGET)
cold = VmColdModified(**OF_VM, change={"gpus": 2}, public_ip="")
order = VmUnderOrder(**OF_VM, order="113")
unrented = Unreadable("machine is not be rented", authority=True, not_rented=True)
NODE: dict[str, object] = {"node_images": stored()}
SERVER_FILES: dict[str, object] = {"image_server": stored()}
small = stored(size=1)

LOOKS: list[tuple[str, Goal, dict[str, object], GoalStatus]] = [
    ("a VM that is not listed", exists, {"vm_status": None}, UNMET),
    ("a VM under creation", exists, {"vm_status": "creating"}, WAITING),
    ("a VM that runs", exists, {"vm_status": "running", "vm": DETAILS}, MET),
    ("a VM without details", exists, {"vm_status": "running"}, UNKNOWN),
    ("a creation that failed", exists, {"vm_status": "create error", "vm_notes": ()}, FAILED),
    ("a VM whose log is complete", VmFinished(**OF_VM), {"vm_status": "running", "vm_notes": ()}, MET),
    ("a VM without port forwards", VmFinished(**OF_VM),
     {"vm_status": "running", "vm_notes": ("create vm, cmd: x",)}, UNMET),
    ("fields of a modify call", VmModified(**OF_VM, change={"ports.ssh": 22}, public_ip=""), {}, UNMET),
    ("a field of a cold start", cold, {}, UNMET),
    ("a password", VmPassword(**OF_VM, username="dbc"), {}, UNMET),
    ("a data disk of the size", grown, {"vm": details(("vdb", 30, FILE))}, MET),
    ("a smaller data disk", grown, {"vm": details(("vdb", 20, FILE))}, UNMET),
    ("a data disk that was deleted", grown, {"vm": DETAILS}, FAILED),
    ("a data disk of size 0", grown, {"vm": details(("vdb", 0, FILE))}, FAILED),
    ("a VM that is on", VmPower(**OF_VM, powers="on"), {"vm_status": "running"}, MET),
    ("a VM that is off", VmPower(**OF_VM, powers="on"), {"vm_status": "closed"}, UNMET),
    ("a VM in an error status", VmPower(**OF_VM, powers="on"), {"vm_status": "start error"}, GoalStatus.BROKEN),
    ("a VM that is being shut down", VmPower(**OF_VM, powers="off"), {"vm_status": "being shutdown"}, WAITING),
    ("a restart", VmRestarted(**OF_VM), {}, UNMET),
    ("a VM under its new order", order, {"vm": details(rent_order="113")}, MET),
    ("a VM under its old order", order, {"vm": DETAILS}, FAILED),
    ("a VM that was deleted", VmAbsent(**OF_VM), {"vm_status": None}, MET),
    ("a VM to delete", VmAbsent(**OF_VM), {"vm_status": "closed", "snapshots": ()}, UNMET),
    ("a VM with a busy snapshot", VmAbsent(**OF_VM),
     {"vm_status": "closed", "snapshots": (replace(SNAPSHOT, status="uploading"),)}, WAITING),
    ("a disk that did not exist before", added, {"vm": details(("vdc", 50, FILE))}, MET),
    ("no disk of the size", added, {"vm": details(("vdc", 40, FILE))}, UNMET),
    ("a disk before its call", replace(added, known=None), {"vm": details(("vdc", 50, FILE))}, UNMET),
    ("disks that cannot be read", added, {}, UNKNOWN),
    ("an adopted disk", DiskKnown(**ON_VM, id=FILE), {"vm": details(("vdc", 50, FILE))}, MET),
    ("an adopted disk that was deleted", DiskKnown(**ON_VM, id=FILE), {"vm": DETAILS}, FAILED),
    ("a deleted disk", gone, {"vm": DETAILS}, MET),
    ("a disk to delete", gone, {"vm": details(("vdc", 50, FILE))}, UNMET),
    ("no LAN", lan, {"network": None}, UNMET),
    ("a LAN with the range", lan, {"network": LAN}, MET),
    ("a LAN with another range", lan, {"network": replace(LAN, ip_cidr="10.0.0.0/24")}, FAILED),
    ("a LAN that was deleted", NetworkAbsent(**AT, id="training"), {"network": None}, MET),
    ("a LAN to delete", NetworkAbsent(**AT, id="training"), {"network": LAN}, UNMET),
    ("a file of the same size", image, {"download": ENDED, **NODE, **SERVER_FILES}, MET),
    ("a file that is missing", image, {"download": ENDED, "node_images": {}, **SERVER_FILES}, UNMET),
    ("a download", image, {"download": ACTIVE}, WAITING),
    ("a part after a download", replace(image, started=True), {"download": ENDED, "node_images": small, **SERVER_FILES}, FAILED),
    ("a file that the image server lacks", image, {"download": ENDED, **NODE, "image_server": {}}, FAILED),
    ("a file to download again", fetched, {"download": ENDED, **NODE, **SERVER_FILES}, UNMET),
    ("a file that was downloaded again", replace(fetched, started=True), {"download": ENDED, **NODE, **SERVER_FILES}, MET),
    ("a part to complete", whole, {"download": ENDED, "node_images": small, **SERVER_FILES}, UNMET),
    ("a file that was deleted", deleted, {"node_images": {}}, MET),
    ("a file to delete", deleted, {**NODE, "vms": {}}, UNMET),
    ("a file in use", deleted, {**NODE, "vms": {VM: None}}, FAILED),
    ("a retained file", kept, {}, MET),
    ("an exported file", export, {"upload": ENDED, "image_servers": (), **NODE, **SERVER_FILES}, MET),
    ("a file to export", export, {"upload": ENDED, "image_servers": (), **NODE, "image_server": {}}, UNMET),
    ("an upload", export, {"upload": ACTIVE}, WAITING),
    ("an interrupted upload", replace(export, started=True),
     {"upload": ENDED, "image_servers": (), **NODE, "image_server": small}, FAILED),
    ("a file to export again", sent, {}, UNMET),
    ("a part to complete in the image server", resent,
     {"upload": ENDED, "image_servers": (), **NODE, "image_server": small}, UNMET),
    ("no snapshot", taken, {"snapshots": ()}, UNMET),
    ("a disk that is converted", taken, {"snapshots": (replace(SNAPSHOT, status="creating"),)}, WAITING),
    ("a snapshot", taken, {"snapshots": (SNAPSHOT,)}, MET),
    ("an adopted snapshot", known, {"snapshots": (SNAPSHOT,)}, MET),
    ("an uploaded snapshot", arrived, {"snapshots": (SNAPSHOT,), "image_server": stored("base.qcow2")}, MET),
    ("an unwatched upload", replace(arrived, believed=False),
     {"snapshots": (SNAPSHOT,), "image_server": stored("base.qcow2")}, FAILED),
    ("an unwatched upload to repeat", again, {"snapshots": (SNAPSHOT,), "image_server": stored("base.qcow2")}, UNMET),
    ("a record that was deleted", record, {"snapshots": ()}, MET),
    ("a record to delete", record, {"snapshots": (SNAPSHOT,)}, UNMET),
    ("a registered server", server, {"servers": {SERVER.node_id: SERVER}}, MET),
    ("a server to register", server, {"servers": {}}, UNMET),
    ("fields of a server", modified, {}, UNMET),
    ("a server that was deleted", unregistered, {"servers": {}}, MET),
    ("a server to delete", unregistered, {"servers": {SERVER.node_id: SERVER}}, UNMET),
    ("a bound instance", InstanceBound(**AT, id=TARGET), {}, MET),
    ("an instance that is on", InstancePower(**AT, id=TARGET, to="on"), {"power": "on"}, MET),
    ("an instance that is off", InstancePower(**AT, id=TARGET, to="on"), {"power": "off"}, UNMET),
    ("an instance that is not rented", InstancePower(**AT, id=TARGET, to="on"), {"power": unrented}, MET),
    ("a boot device", boot, {"power": "on"}, UNMET),
    ("a boot device of an instance that is not rented", boot, {"power": unrented}, MET),
    ("a DeepLink password", link, {"deeplink": DEVICE}, UNMET),
    ("a DeepLink password without connection", link, {"deeplink": Unreadable("deeplink service not connected")}, MET),
]  # fmt: skip

DISK_SHOWN: dict[str, object] = {"vm": details(("vdc", 20, FILE))}
ACTS: list[tuple[Goal, dict[str, object], str, dict[str, Any]]] = [
    (exists, {}, "/tasks/start", {"task_id": VM, "mem_size": "16", "ssh_port": "20022"}),
    (VmFinished(**OF_VM), {"vm_status": "running"}, f"/tasks/shutdown/{VM}", {}),
    (VmModified(**OF_VM, change={"ports.ssh": 22}, public_ip="1.2.3.4"), {}, f"/tasks/modify/{VM}",
     {"new_ssh_port": "22", "new_public_ip": "1.2.3.4"}),
    (cold, {}, f"/tasks/modify/{VM}", {"new_gpu_count": "2"}),
    (VmPassword(**OF_VM, username="dbc"), {}, f"/tasks/passwd/{VM}", {"username": "dbc", "password": "made-up"}),
    (grown, {"vm": details(("vdb", 20, FILE))}, f"/disk/resize/{VM}", {"disk": "vdb", "size": 10}),
    (VmPower(**OF_VM, powers="on"), {}, f"/tasks/start/{VM}", {}),
    (VmPower(**OF_VM, powers="off"), {}, f"/tasks/shutdown/{VM}", {}),
    (VmAbsent(**OF_VM), {}, f"/tasks/delete/{VM}", {}),
    (added, {}, f"/disk/add/{VM}", {"size": 50, "mount_dir": "/data"}),
    (gone, DISK_SHOWN, f"/disk/delete/{VM}", {"disk": "vdc"}),
    (lan, {}, "/lan/create", {"network_name": "training", "ip_cidr": "192.168.66.0/24"}),
    (NetworkAbsent(**AT, id="training"), {}, "/lan/delete/training", {}),
    (image, {}, "/images/download", {"image_filename": "big.qcow2", "image_server": "ID_1"}),
    (fetched, {}, "/images/download", {"image_filename": "big.qcow2"}),
    (whole, {}, "/images/download", {"image_filename": "big.qcow2"}),
    (deleted, {}, "/images/delete", {"image_filename": "big.qcow2"}),
    (export, {}, "/images/upload", {"image_filename": "/data/big.qcow2", "image_server": "ID_1"}),
    (sent, {}, "/images/upload", {"image_filename": "/data/big.qcow2"}),
    (resent, {}, "/images/upload", {"image_filename": "/data/big.qcow2"}),
    (taken, {}, f"/snapshot/create/{VM}", {"snapshot_name": "base", "image_server": "ID_1"}),
    (again, {"snapshots": (SNAPSHOT,)}, "/images/upload", {"image_filename": SNAPSHOT.file}),
    (record, {}, f"/snapshot/delete/{VM}/base", {}),
    (server, {}, "/bare_metal/add", {"bare_metal_nodes": [{
        "uuid": "uuid-1", "ip": "10.0.0.7", "ipmi_hostname": "bmc", "ipmi_username": "root", "ipmi_password": "made-up",
    }]}),
    (modified, {}, f"/bare_metal/modify/{'6' * 64}", {"ip": "10.0.0.8"}),
    (unregistered, {}, "/bare_metal/delete", {"bare_metal_node_ids": ["6" * 64]}),
    (InstancePower(**AT, id=TARGET, to="on"), {}, "/bare_metal/power", {"command": "on"}),
    (boot, {}, "/bare_metal/bootdev", {"device": "pxe"}),
]  # fmt: skip
NO_CALL: list[Goal] = [
    VmRestarted(**OF_VM), order, DiskKnown(**ON_VM, id=FILE), known, arrived, InstanceBound(**AT, id=TARGET),
]  # fmt: skip
WITHOUT_ACT = {ImageKept, DeepLinkPassword}
"""Goals that are met at every look, or whose act waits for a report: tested by the emulator."""


def look(goal: Goal, shown: dict[str, object]) -> Any:
    return asyncio.run(goal.look(reader(**shown)))


def concrete(base: type[Goal] = Goal) -> set[type[Goal]]:
    """The goals of the kinds, without their common bases."""
    found = {base} if base.__module__.startswith("dbc_iac.kinds.") and hasattr(base, "name") else set()
    return found.union(*(concrete(sub) for sub in base.__subclasses__()))


@pytest.mark.parametrize(("goal", "shown", "status"), [pytest.param(*row[1:], id=row[0]) for row in LOOKS])
def test_a_look_gives_the_status(goal: Goal, shown: dict[str, object], status: GoalStatus) -> None:
    assert look(goal, shown).sight is status


@pytest.mark.parametrize("goal", {type(row[1]): row[1] for row in LOOKS}.values(), ids=lambda g: type(g).__name__)
def test_a_goal_is_never_met_by_reads_without_an_answer(goal: Goal) -> None:
    reads = not isinstance(goal, InstanceBound | ImageKept)
    assert (look(goal, {}).sight is MET) is not reads


@pytest.mark.parametrize(("goal", "shown", "path", "body"), ACTS, ids=lambda v: getattr(v, "name", ""))
def test_an_act_makes_its_one_call(goal: Goal, shown: dict[str, object], path: str, body: dict[str, Any]) -> None:
    given, channel = context(login_password="made-up", ipmi_password="made-up")
    asyncio.run(goal.act(given, reader(**shown)))
    [(called, additional)] = channel.calls
    assert called == path
    assert {key: additional.get(key) for key in body} == body


@pytest.mark.parametrize("goal", NO_CALL, ids=lambda g: str(g.name))
def test_a_goal_of_a_window_or_of_the_state_makes_no_call(goal: Goal) -> None:
    given, channel = context()
    assert isinstance(asyncio.run(goal.act(given, reader())), Done)
    assert channel.calls == []


@pytest.mark.parametrize("goal", [grown, gone], ids=["grow", "delete"])
def test_nothing_is_sent_for_a_disk_that_is_not_shown(goal: Goal) -> None:
    given, channel = context()
    assert isinstance(asyncio.run(goal.act(given, reader(vm=SILENT))), NotSent)
    assert channel.calls == []


@pytest.mark.parametrize("goal", {type(row[1]): row[1] for row in LOOKS}.values(), ids=lambda g: type(g).__name__)
def test_actions_are_present_participles(goal: Goal) -> None:
    assert goal.action_text.partition(" ")[0].endswith("ing")


def test_every_goal_has_a_look_and_an_act_here() -> None:
    assert {type(row[1]) for row in LOOKS} == concrete()
    assert {type(row[0]) for row in ACTS} | {type(g) for g in NO_CALL} | WITHOUT_ACT == concrete()
