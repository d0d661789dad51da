"""Every endpoint: the path, class and body it sends, and what it makes of each reply."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from dbc_iac.api import requests
from dbc_iac.api.auth.credentials import SessionCredentials, WalletCredentials
from dbc_iac.api.endpoints import ALL, Asks, bare_metal, disks, images, instances, networks, nodes, snapshots, vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, NotSent, Outcome, RefusalKind, Refused, Unknown
from dbc_iac.api.responses import CreatedVm, Peer, StoredImage
from dbc_iac.api.storage_responses import Progress
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.secret import SecretText
from tests.api.support import TARGET, TASK, Script, channel, key, ok, run, session_id
from tests.api.test_responses import DETAILS, SERVER

SESSION = SessionCredentials(SecretText("id"), SecretText("sign"))
CREATE = requests.CreateVm(task_id=TASK, image_name="a.qcow2", gpu_count=1, cpu_cores=1, mem_size=1, vnc_port=5900)
ENTRY = requests.BareMetalEntry(
    uuid="ab-1", ip="1.2.3.4", ipmi_hostname="h", ipmi_username="u", ipmi_password=SecretText("canary")
)
LAN = {"network_name": "trainnet", "ip_cidr": "192.168.66.0/24", "rent_wallet": "5x", "members": []}
SNAPSHOT = {"snapshot_name": "s1", "snapshot_file": "/tmp/x.qcow2", "create_time": "", "status": "none"}
NODE = "ab" * 32
PEERS = [{"node_id": NODE, "addr": "1.2.3.4:10001"}]


def ask(endpoint: Any, reply: Any, *args: Any, credentials: Any = SESSION) -> tuple[Outcome[Any], Script]:
    script = Script(reply)
    return run(endpoint(channel(script, credentials=credentials), *args)), script


@dataclass(frozen=True)
class Case:
    endpoint: Any
    args: tuple[Any, ...]
    path: str
    message: Any
    value: Any = None
    additional: Any = None


CASES = [
    Case(nodes.list_nodes, (), "/mining_nodes", {"mining_nodes": []}, ()),
    Case(nodes.client_version, (), "/", {"client_version": "0.4.1.8"}, "0.4.1.8"),
    Case(nodes.peers, ("active",), "/peers/active", {"peer_nodes": PEERS}, (Peer(NODE, "1.2.3.4:10001"),)),
    Case(nodes.peers, ("lan",), "/peers/lan", {"peer_nodes": []}, ()),
    Case(nodes.monitor_servers, (), "/monitor", {"servers": ["1.2.3.4:10051"]}, ("1.2.3.4:10051",)),
    Case(
        nodes.set_monitor_servers,
        (requests.MonitorServers(servers=("1.2.3.4:10051",)),),
        "/monitor/set",
        "ok",
        None,
        {"servers": ["1.2.3.4:10051"]},
    ),
    Case(nodes.free_memory, (), "/mining_nodes/free_memory", "ok"),
    Case(nodes.rent_orders, (), "/rent_orders", {"rent_orders": []}, ()),
    Case(vms.list_vms, (), "/tasks", [], ()),
    Case(vms.create_vm, (CREATE,), "/tasks/start", {"task_id": TASK}, CreatedVm(TASK), CREATE.additional()),
    Case(vms.start_vm, (TASK,), f"/tasks/start/{TASK}", "ok"),
    Case(vms.shutdown_vm, (TASK,), f"/tasks/shutdown/{TASK}", "ok"),
    Case(vms.poweroff_vm, (TASK,), f"/tasks/poweroff/{TASK}", "ok"),
    Case(vms.restart_vm, (TASK,), f"/tasks/restart/{TASK}", "ok"),
    Case(vms.force_restart_vm, (TASK,), f"/tasks/restart/{TASK}?force_reboot=true", "ok"),
    Case(vms.reset_vm, (TASK,), f"/tasks/reset/{TASK}", "ok"),
    Case(vms.delete_vm, (TASK,), f"/tasks/delete/{TASK}", "ok"),
    Case(
        vms.modify_vm,
        (TASK, requests.ModifyVm(new_public_ip="", new_ssh_port=22)),
        f"/tasks/modify/{TASK}",
        "ok",
        None,
        {"new_public_ip": "", "new_ssh_port": "22"},
    ),
    Case(
        vms.modify_vm,
        (TASK, requests.ModifyVm(new_public_ip="", new_mem_size=8)),
        f"/tasks/modify/{TASK}",
        "some changes will take effect on the next boot",
        None,
        {"new_public_ip": "", "new_mem_size": "8"},
    ),
    Case(
        vms.set_password,
        (TASK, requests.SetPassword(username="dbc", password=SecretText("canary"))),
        f"/tasks/passwd/{TASK}",
        "ok",
        None,
        {"username": "dbc", "password": "canary"},
    ),
    Case(vms.vm_logs, (TASK,), f"/tasks/logs/{TASK}?flag=tail&line_num=99", {"log_content": ["a"]}, ("a",)),
    Case(vms.vm_logs, (TASK, "head", 500), f"/tasks/logs/{TASK}?flag=head&line_num=99", {"log_content": []}, ()),
    Case(disks.list_disks, (TASK,), f"/disk/list/{TASK}", [], ()),
    Case(
        disks.resize_disk,
        (TASK, requests.DiskResize(disk="vdb", add_gib=5)),
        f"/disk/resize/{TASK}",
        "ok",
        None,
        {"disk": "vdb", "size": 5},
    ),
    Case(
        disks.add_disk,
        (TASK, requests.DiskAdd(size_gib=5, mount_dir="/data")),
        f"/disk/add/{TASK}",
        "ok",
        None,
        {"size": 5, "mount_dir": "/data"},
    ),
    Case(
        disks.delete_disk, (TASK, requests.DiskDelete(disk="vdc")), f"/disk/delete/{TASK}", "ok", None, {"disk": "vdc"}
    ),
    Case(networks.list_networks, (), "/lan", [], ()),
    Case(
        networks.create_network,
        (requests.LanCreate(network_name="trainnet", ip_cidr="192.168.66.0/24"),),
        "/lan/create",
        "ok",
        None,
        {"network_name": "trainnet", "ip_cidr": "192.168.66.0/24"},
    ),
    Case(networks.delete_network, ("trainnet",), "/lan/delete/trainnet", "ok"),
    Case(bare_metal.list_heard_servers, (), "/bare_metal", {"bare_metal_nodes": []}, ()),
    Case(bare_metal.list_servers, (), "/bare_metal", {"bare_metal_nodes": []}, ()),
    Case(bare_metal.server, ("ab-1",), "/bare_metal/ab-1", {"bare_metal_nodes": []}, None),
    Case(
        bare_metal.add_server,
        (ENTRY,),
        "/bare_metal/add",
        {"bare_metal_nodes": [{"node_id": NODE, "uuid": "ab-1"}]},
        NODE,
        {"bare_metal_nodes": [ENTRY.additional()]},
    ),
    Case(
        bare_metal.modify_server,
        (NODE, requests.BareMetalChange(desc="x")),
        f"/bare_metal/modify/{NODE}",
        "",
        None,
        {"desc": "x"},
    ),
    Case(
        bare_metal.delete_server,
        (NODE,),
        "/bare_metal/delete",
        "1 were successfully deleted, 0 failed",
        None,
        {"bare_metal_node_ids": [NODE]},
    ),
    Case(snapshots.list_snapshots, (TASK,), f"/snapshot/list/{TASK}", [], ()),
    Case(
        snapshots.create_snapshot,
        (TASK, requests.SnapshotCreate(snapshot_name="s1", image_server="ID_1", desc="d")),
        f"/snapshot/create/{TASK}",
        "ok",
        None,
        {"snapshot_name": "s1", "image_server": "ID_1", "desc": "d"},
    ),
    Case(snapshots.delete_snapshot, (TASK, "s1"), f"/snapshot/delete/{TASK}/s1", "ok"),
    Case(images.list_image_servers, (), "/images/servers", {"image_server": ["ID_1"]}, ("ID_1",)),
    Case(
        images.list_node_images,
        (),
        "/images",
        [{"image_name:": "a.qcow2", "image_size": "1G"}],
        (StoredImage("a.qcow2", Fraction(1)),),
    ),
    Case(
        images.list_image_server_files,
        (requests.ImageServerFiles(image_server="ID_1"),),
        "/images",
        [{"image_name": "a.qcow2", "image_size": "1G"}],
        (StoredImage("a.qcow2", Fraction(1)),),
        {"image_server": "ID_1"},
    ),
    Case(
        images.download_image,
        (requests.ImageDownload(image_filename="a.qcow2", image_server="ID_1"),),
        "/images/download",
        "ok",
        None,
        {"image_filename": "a.qcow2", "image_server": "ID_1", "local_dir": "/data"},
    ),
    Case(
        images.download_progress,
        (requests.ImageTransfer(image_filename="a.qcow2"),),
        "/images/downloadprogress",
        {"status": "downloading", "progress": "28%"},
        Progress(True, 28),
        {"image_filename": "a.qcow2"},
    ),
    Case(
        images.upload_image,
        (requests.ImageUpload(image_filename="/data/a.qcow2", image_server="ID_1"),),
        "/images/upload",
        "ok",
        None,
        {"image_filename": "/data/a.qcow2", "image_server": "ID_1"},
    ),
    Case(
        images.upload_progress,
        (requests.ImageTransfer(image_filename="/data/a.qcow2"),),
        "/images/uploadprogress",
        {"status": "done", "progress": "100%"},
        Progress(False, 100),
        {"image_filename": "/data/a.qcow2"},
    ),
    Case(instances.power_status, (), "/bare_metal/power", "Chassis Power is on", "on", {"command": "status"}),
    Case(instances.power_status, (), "/bare_metal/power", "Power is off", "off", {"command": "status"}),
    Case(instances.power_on, (), "/bare_metal/power", "Chassis Power Control: Up/On", None, {"command": "on"}),
    Case(instances.power_off, (), "/bare_metal/power", "Chassis Power Control: Down/Off", None, {"command": "off"}),
    Case(instances.power_reset, (), "/bare_metal/power", "Chassis Power Control: Reset", None, {"command": "reset"}),
    Case(
        instances.set_deeplink_password,
        (requests.DeeplinkPassword(device_password=SecretText("canary")),),
        "/deeplink/set",
        "ok",
        None,
        {"device_password": "canary"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.endpoint.name} {c.message!s:.20}")
def test_what_is_sent_and_what_a_good_reply_means(case: Case) -> None:
    outcome, script = ask(case.endpoint, ok(case.message), *case.args)
    assert outcome == Done(case.value)
    assert script.paths == [case.path]
    (body,) = script.bodies
    assert body["additional"] == (case.additional or {})
    asks = case.endpoint.asks
    assert body["peer_nodes_list"] == ([] if asks is Asks.CLIENT_NODE else [TARGET])
    assert ("session_id" in body) is (asks is Asks.AUTHORISED)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.endpoint.name} {c.message!s:.20}")
@pytest.mark.parametrize("nonsense", ["nonsense", ["x"], {"x": 1}, 5, None])
def test_a_success_of_another_shape_is_unknown(case: Case, nonsense: Any) -> None:
    outcome, _ = ask(case.endpoint, ok(nonsense), *case.args)
    assert isinstance(outcome, Unknown)


CLASSES = {
    CallClass.READ: """
        list_nodes node_hardware rent_orders list_vms vm_details vm_logs list_disks list_snapshots snapshot
        list_image_servers list_image_server_files list_node_images download_progress upload_progress list_networks network
        list_servers server instance power_status deeplink list_heard_servers client_version
        peers monitor_servers""",
    CallClass.IDEMPOTENT: """
        obtain_session session_id free_memory modify_vm set_password download_image stop_download upload_image stop_upload
        delete_image modify_server set_boot_device set_deeplink_password set_monitor_servers""",
    CallClass.KEYED: """
        create_vm delete_vm delete_disk delete_snapshot create_network delete_network add_server delete_server""",
    CallClass.STATE_CONDITIONED: "start_vm shutdown_vm poweroff_vm power_on power_off",
    CallClass.BLIND: "restart_vm force_restart_vm reset_vm resize_disk add_disk create_snapshot power_reset",
}


def test_the_table_of_all_endpoints_has_each_once_with_its_class() -> None:
    assert len({one.name for one in ALL}) == len(ALL)
    for call_class, names in CLASSES.items():
        assert {one.name for one in ALL if one.call_class is call_class} == set(names.split())


def test_every_endpoint_says_what_it_does() -> None:
    assert [one.name for one in ALL if not one.function.__doc__] == []


def test_the_class_of_an_endpoint_reaches_the_connection() -> None:
    _, blind = ask(disks.resize_disk, ok("ok"), TASK, requests.DiskResize(disk="vdb", add_gib=5))
    _, keyed = ask(vms.delete_vm, ok("ok"), TASK)
    assert blind.requests[0].headers["Connection"] == "close"
    assert keyed.requests[0].headers["Connection"] == "keep-alive"


# Absence


def test_details_of_a_vm_that_is_not_there_are_none_and_of_another_unknown() -> None:
    absent, _ = ask(vms.vm_details, ok("task_id not exist", -3), TASK)
    assert absent == Done(None)
    other, _ = ask(vms.vm_details, ok(DETAILS), TASK)
    assert isinstance(other, Unknown)
    there, _ = ask(vms.vm_details, ok(DETAILS), DETAILS["task_id"])
    assert isinstance(there, Done)
    assert there.value.desc == "my first vm"


@pytest.mark.parametrize(
    "reply",
    [
        ok("list task timeout", -1, 500),
        ok("response parse error", -1, 500),
        ok("check authority failed: query machine_status failed", -3),
        ok("check authority failed: wallet not rented", -3),
        ok("create node request failed", -32701, 400),
        ok("network name not exist", -32701, 400),
        ok([]),
    ],
    ids=lambda r: r.text[:60],
)
@pytest.mark.parametrize(
    ("endpoint", "args"),
    [(vms.vm_details, (TASK,)), (networks.network, ("trainnet",)), (bare_metal.server, ("ab-1",))],
    ids=["vm", "lan", "server"],
)
def test_nothing_else_is_ever_taken_for_absence(endpoint: Any, args: tuple[Any, ...], reply: Any) -> None:
    outcome, _ = ask(endpoint, reply, *args)
    assert isinstance(outcome, Unknown | Refused | NotSent)


def test_a_network_that_the_target_does_not_know_is_none() -> None:
    assert ask(networks.network, ok("network name not exist", -3), "trainnet")[0] == Done(None)
    there, _ = ask(networks.network, ok(LAN), "trainnet")
    assert isinstance(there, Done)
    other, _ = ask(networks.network, ok(LAN), "othernet")
    assert isinstance(other, Unknown)


def test_a_server_is_found_by_node_id_and_by_uuid() -> None:
    for sought in (SERVER["node_id"], SERVER["uuid"]):
        outcome, _ = ask(bare_metal.server, ok({"bare_metal_nodes": [SERVER]}), sought)
        assert isinstance(outcome, Done)
    outcome, _ = ask(bare_metal.server, ok({"bare_metal_nodes": [SERVER]}), "another")
    assert isinstance(outcome, Unknown)
    outcome, _ = ask(bare_metal.server, ok({"bare_metal_nodes": [SERVER, SERVER]}), SERVER["uuid"])
    assert isinstance(outcome, Unknown)


def test_a_snapshot_that_is_not_there_is_none() -> None:
    assert ask(snapshots.snapshot, ok("snapshot_name not exist", 1), TASK, "s1")[0] == Done(None)
    there, _ = ask(snapshots.snapshot, ok(SNAPSHOT), TASK, "s1")
    assert isinstance(there, Done)


@pytest.mark.parametrize(
    ("endpoint", "args", "text", "errcode"),
    [
        (vms.delete_vm, (TASK,), "task not exist", 1),
        (networks.delete_network, ("trainnet",), "network name not exist", -3),
        (bare_metal.delete_server, (NODE,), f"bare metal node id {NODE} not existed", -1),
        (disks.delete_disk, (TASK, requests.DiskDelete(disk="vdc")), "task have no disk:vdc", 1),
        (snapshots.delete_snapshot, (TASK, "s1"), "s1 not exist", 1),
    ],
)
def test_deleting_what_is_absent_stays_a_refusal(endpoint: Any, args: Any, text: str, errcode: int) -> None:
    outcome, _ = ask(endpoint, ok(text, errcode), *args)
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.ABSENT


# What lies


@pytest.mark.parametrize(
    ("endpoint", "reply", "args"),
    [
        (vms.create_vm, {"task_id": "B" * 22}, (CREATE,)),
        (vms.vm_details, DETAILS, ("B" * 22,)),
        (networks.network, LAN, ("othernet",)),
        (snapshots.snapshot, SNAPSHOT, (TASK, "other")),
    ],
)
def test_another_object_than_the_one_asked_for_is_unknown(endpoint: Any, reply: Any, args: Any) -> None:
    outcome, _ = ask(endpoint, ok(reply), *args)
    assert isinstance(outcome, Unknown)
    assert " than was asked for" in outcome.message


@pytest.mark.parametrize("text", ["0 were successfully deleted, 1 failed", "1 were successfully deleted, 1 failed", ""])
def test_a_deletion_that_was_not_exactly_one_is_unknown(text: str) -> None:
    assert isinstance(ask(bare_metal.delete_server, ok(text), NODE)[0], Unknown)


@pytest.mark.parametrize(
    "text",
    [
        "Address lookup for no-such-host.invalid failed <line> Could not open socket!",
        "Set Chassis Power Control to Up/On failed: busy",
        "Unable to get Chassis Power Status",
        "Chassis Power Control: Reset",
        "",
    ],
)
def test_a_failure_of_the_power_tool_with_errcode_0_is_no_success(text: str) -> None:
    assert isinstance(ask(instances.power_on, ok(text))[0], Unknown)
    assert isinstance(ask(instances.power_status, ok(text))[0], Unknown)


def test_the_one_error_that_setting_the_boot_device_always_gives_is_its_success() -> None:
    outcome, script = ask(instances.set_boot_device, ok("bare metal client not existed", -3), "pxe")
    assert outcome == Done(None)
    assert script.bodies[0]["additional"] == {"device": "pxe"}
    assert isinstance(ask(instances.set_boot_device, ok("check authority failed: ", -3), "pxe")[0], Refused)
    assert isinstance(ask(instances.set_boot_device, ok("ok"), "pxe")[0], Unknown)


def test_an_empty_image_server_may_be_an_unreachable_one() -> None:
    empty = ask(images.list_image_server_files, ok([]), requests.ImageServerFiles(image_server="ID_1"))[0]
    assert empty == Unknown("the image server lists no files: it is empty or cannot be reached", "handled")
    assert ask(images.list_node_images, ok([]))[0] == Done(())


def test_a_masked_list_is_done_and_says_so() -> None:
    masked = {**SERVER, "node_private_key": "*" * 64, "ipmi_username": "*****", "ipmi_password": "********"}
    outcome, _ = ask(bare_metal.list_servers, ok({"bare_metal_nodes": [masked]}))
    assert isinstance(outcome, Done)
    assert outcome.value[0].masked


def test_a_session_is_obtained_by_signature() -> None:
    wallet = WalletCredentials(key("renter"))
    outcome, script = ask(nodes.obtain_session, ok({"session_id": session_id(0).text}), credentials=wallet)
    assert isinstance(outcome, Done)
    assert outcome.value.id.reveal() == session_id(0).text
    assert script.paths == ["/mining_nodes/session_id"]


def test_secrets_of_a_reply_and_of_a_session_are_passed_on() -> None:
    wallet, returned = WalletCredentials(key("renter")), set[str]()
    session = ok({"session_id": session_id(0).text})
    server = {**SERVER, "deeplink_device_password": "canary-of-deeplink"}
    script = Script(session, ok(DETAILS), ok({"bare_metal_nodes": [server]}))
    one = channel(script, credentials=wallet)
    one.connections.returned = lambda secret: returned.add(secret.reveal())
    run(vms.vm_details(one, DETAILS["task_id"]))
    run(bare_metal.list_servers(one))
    sign = script.bodies[-1]["session_id_sign"]
    assert returned == {
        session_id(0).text, sign, DETAILS["login_password"], DETAILS["vnc_password"], "canary-of-deeplink",
        SERVER["ipmi_password"], SERVER["node_private_key"],
    }  # fmt: skip
    returned.clear()
    assert one.kept_session() is not None
    assert returned == {session_id(0).text, sign}


# Paths


@pytest.mark.parametrize(
    ("endpoint", "args"),
    [
        (vms.vm_details, ("start",)),  # would create a VM
        (networks.network, ("create",)),  # would create a network
        (networks.network, ("Delete",)),
        (bare_metal.server, ("add",)),
        (bare_metal.server, ("power",)),
        (vms.delete_vm, ("../start",)),
        (vms.start_vm, ("",)),
        (vms.vm_details, ("a?b",)),
        (bare_metal.delete_server, ("3156995b-da18-4268-9734-f8d168e90a7d",)),
        (snapshots.delete_snapshot, (TASK, "..")),
    ],
)
def test_an_id_cannot_turn_one_call_into_another(endpoint: Any, args: tuple[Any, ...]) -> None:
    script = Script(ok("ok"))
    with pytest.raises(UnsafeWireValue):
        run(endpoint(channel(script, credentials=SESSION), *args))
    assert script.requests == []
