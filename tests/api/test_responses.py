"""Replies as values: those of running nodes, and malformed ones."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from dbc_iac.api import responses, storage_responses
from dbc_iac.api.outcome import Done, Unknown, decoded
from dbc_iac.api.outcome import ShapeError as Shape
from dbc_iac.api.responses import read, secrets_of
from dbc_iac.api.storage_responses import AddedServer, ServerView
from dbc_iac.secret import SecretText
from tests.api.support import exchanges

vm_details = partial(read, responses.VmDetails)
rent_orders = partial(read, tuple[responses.RentOrder, ...], at="rent_orders")
node_listings = partial(read, tuple[responses.NodeListing, ...], at="mining_nodes")
heard_servers = partial(read, tuple[responses.NodeListing, ...], at="bare_metal_nodes")
vm_summaries = partial(read, tuple[responses.VmSummary, ...])
server_views = partial(read, tuple[ServerView, ...], at="bare_metal_nodes")
added_servers = partial(read, tuple[AddedServer, ...], at="bare_metal_nodes")

DETAILS: dict[str, Any] = {
    "task_id": "75VEHoM81L4ZbsNDPX97VZ",
    "os": "linux",
    "ssh_ip": "127.0.0.1",
    "ssh_port": "5684",
    "user_name": "dbc",
    "login_password": "ST#R1UcADST11rxo",
    "cpu_cores": 1,
    "gpu_count": 0,
    "mem_size": "1G",
    "disk_system": "350G",
    "vnc_port": "5904",
    "vnc_password": "ST#R1UcA",
    "create_time": "2026-11-23 19:00:48",
    "desc": "my first vm",
    "status": "running",
    "rent_order": "77",
    "disks": [
        {"name": "vda", "size": "350G", "source_file": "/data/vm_48356_20261123190048.qcow2"},
        {"name": "vdb", "size": "1500G", "source_file": "/data/data_84970_20261123190048.qcow2"},
    ],
    "network_filters": ["in,tcp,22,0.0.0.0/0,accept"],
    "interface": [{"name": "default", "type": "virtio", "mac_address": "52:54:00:1f:a9:ef"}],
}
SERVER: dict[str, Any] = {
    "node_id": "12ff8979992ac20b33be228b68afcb5c1ecbc646f27f4ce89a96953104633c3d",
    "node_private_key": "b3cf234daddd80ebbf67d4ac42db9f8ed4d3dfe0f0f7c618b77a0b38ee503c0c",
    "uuid": "4156995b-da18-4268-9734-f8d168e90a7d",
    "ip": "127.0.0.1",
    "os": "",
    "description": "rack 1",
    "ipmi_hostname": "127.0.0.1",
    "ipmi_username": "admin",
    "ipmi_password": "dbtu2017",
}


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("8G", Fraction(8)),
        ("7.81G", Fraction(781, 100)),
        ("1T", Fraction(1024)),
        ("1.47T", Fraction(147 * 1024, 100)),
        ("812.5M", Fraction(8125, 10 * 1024)),
        ("0K", Fraction(0)),
        ("192K", Fraction(192, 1024 * 1024)),
        ("1P", Fraction(1024 * 1024)),
        ("1500G", Fraction(1500)),
        ("1024P", Fraction(1024**3)),
    ],
)
def test_sizes_are_exact(text: str, gib: Fraction) -> None:
    assert responses.parse_size(text) == gib


@pytest.mark.parametrize(
    "text", ["", "8", "G", "8 G", "8GB", "-1G", "1e3G", "1.G", "nan%", "8g", "1" * 30 + "G", "1025P", "9" * 20 + "P"]
)
def test_what_is_no_size_is_no_size(text: str) -> None:
    assert responses.parse_size(text) is None


@given(st.integers(0, 10**6), st.sampled_from("MGT"))
def test_whole_sizes_come_back(amount: int, unit: str) -> None:
    assert (responses.parse_size(f"{amount}{unit}") or 0) * 1024 == amount * {"M": 1, "G": 1024, "T": 1024**2}[unit]


def test_details_of_a_running_vm() -> None:
    vm = vm_details(DETAILS)
    assert (vm.ssh_port, vm.rdp_port, vm.vnc_port) == (5684, None, 5904)
    assert (vm.cpu_cores, vm.gpu_count, vm.mem_size) == (1, 0, Fraction(1))
    assert vm.disks[1] == responses.VmDisk(
        name="vdb", size_gib=Fraction(1500), source_file="/data/data_84970_20261123190048.qcow2"
    )
    assert vm.network_filters == ("in,tcp,22,0.0.0.0/0,accept",)
    assert vm.interface == (responses.Interface("52:54:00:1f:a9:ef"),)
    assert (vm.rent_order, vm.network_name, vm.local_address) == ("77", "", ())
    assert vm.login_password.reveal() == "ST#R1UcADST11rxo"


@pytest.mark.parametrize(
    "absent", ["disks", "network_filters", "interface", "rent_order", "vnc_port", "desc", "ssh_ip"]
)
def test_what_the_node_leaves_out_is_empty_or_none(absent: str) -> None:
    vm = vm_details({k: v for k, v in DETAILS.items() if k != absent})
    assert not {"disks": vm.disks, "interface": vm.interface, "desc": vm.desc}.get(absent, "")


@pytest.mark.parametrize("missing", ["task_id", "status", "cpu_cores", "gpu_count", "os", "user_name"])
def test_a_vm_without_what_makes_it_one_is_unknown(missing: str) -> None:
    for broken in ({k: v for k, v in DETAILS.items() if k != missing}, {**DETAILS, missing: None}):
        outcome = decoded(Done(broken), vm_details)
        assert isinstance(outcome, Unknown)
        assert outcome.executed == "handled"


def test_an_odd_size_spoils_only_itself() -> None:
    vm = vm_details({**DETAILS, "mem_size": 8, "disks": [{"name": "vda", "size": "?", "source_file": "/x"}]})
    assert (vm.mem_size, vm.disks[0].size_gib) == (None, None)


def test_numbers_are_taken_as_number_or_text_but_not_as_boolean() -> None:
    vm = vm_details({**DETAILS, "cpu_cores": "8", "vnc_port": 5904, "ssh_port": True})
    assert (vm.cpu_cores, vm.vnc_port, vm.ssh_port) == (8, 5904, None)


def test_no_secret_of_a_reply_is_in_its_repr() -> None:
    shown = repr(vm_details(DETAILS)) + repr(server_views({"bare_metal_nodes": [SERVER]}))
    for secret in ("ST#R1UcADST11rxo", "ST#R1UcA", SERVER["node_private_key"], "dbtu2017"):
        assert secret not in shown


def test_a_masked_server_list_is_recognised() -> None:
    (clear,) = server_views({"bare_metal_nodes": [SERVER]})
    assert not clear.masked
    for key in ("node_private_key", "ipmi_username", "ipmi_password"):
        (masked,) = server_views({"bare_metal_nodes": [{**SERVER, key: "*" * len(SERVER[key])}]})
        assert masked.masked


def test_a_server_s_port_is_none_when_it_was_never_set() -> None:
    (without,) = server_views({"bare_metal_nodes": [SERVER]})
    (with_port,) = server_views({"bare_metal_nodes": [{**SERVER, "ipmi_port": 9623}]})
    assert (without.ipmi_port, with_port.ipmi_port) == (None, 9623)


def test_lans_of_a_node_and_of_a_client() -> None:
    lan = {"network_name": "trainnet", "ip_cidr": "192.168.66.0/24", "rent_wallet": "5x", "members": ["a"]}
    assert responses.lan_views([lan]) == responses.lan_views({"networks": [lan]})
    assert responses.lan_views([]) == ()


@pytest.mark.parametrize("odd", [None, "0", ["x"], [None], [True], {}])
def test_gpus_of_an_order_are_read_all_or_not_at_all(odd: Any) -> None:
    """An order with fewer GPUs than it has would refuse VMs."""
    order = {"id": "77", "renter": "5x", "rent_status": "renting", "gpu_nums": "2"}
    assert rent_orders({"rent_orders": [{**order, "gpu_index": [0, 1]}]})[0].gpu_index == (0, 1)
    assert rent_orders({"rent_orders": [order]})[0].gpu_index == ()
    with pytest.raises(Shape):
        rent_orders({"rent_orders": [{**order, "gpu_index": odd}]})


def test_hardware_of_a_gpu_node() -> None:
    node = responses.node_hardware(
        {
            "version": "0.4.1.8",
            "node_type": "1",
            "ip": "*.51.*.142",
            "os": "Ubuntu",
            "cpu": {"type": "Xeon", "hz": "", "cores": "62", "used_usage": "nan%", "physical_cpus": "2"},
            "gpu": {"gpu_count": "4", "gpu_used": "1"},
            "mem": {"size": "251.34G", "free": "1T", "used_usage": "35.2%"},
            "disk_system": {"type": "SSD", "size": "350G"},
            "disk_data": [{"path": "/data", "type": "SSD", "size": "3584G", "free": "812.5M", "used_usage": "1%"}],
            "images": [{"image_name": "ubuntu.qcow2", "image_size": "17.94M"}],
        }
    )
    assert (node.cpu_cores, node.physical_cpus, node.gpu_count, node.gpu_used) == (62, 2, 4, 1)
    assert (node.mem_size_gib, node.mem_free_gib) == (Fraction(25134, 100), Fraction(1024))
    assert node.disks[0].free_gib == Fraction(8125, 10240)
    assert node.images[0].name == "ubuntu.qcow2"


def test_a_bare_metal_server_has_no_hardware_and_says_so() -> None:
    outcome = decoded(Done({"version": "0.4.1.8", "node_type": "2", "ip": "1.2.3.4"}), responses.node_hardware)
    assert isinstance(outcome, Unknown)
    assert "bare-metal" in outcome.message


def test_passwords_are_taken_out_of_the_log() -> None:
    lines = [
        "2026 | x | info | vm_client.cpp | 1 | f | set vm user password successful, user:dbc, pwd:Canary1, more",
        "2026 | x | info | vm_client.cpp | 1 | f | set vm user password failed, user:dbc, pwd:Canary2, error:no agent",
        "2026 | x | info | vm_client.cpp | 1 | f | vnc port: 5904, password: Canary3",
        "2026 | x | info | vm_client.cpp | 1 | f | vcpus: 1, sockets: 1",
    ]
    shown = responses.log_lines({"task_id": "x", "log_content": lines})
    assert "Canary" not in " ".join(shown)
    assert shown[1].endswith("error:no agent")
    assert shown[3] == lines[3]


PRINTABLE = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\\\'), min_size=1, max_size=40
)


@given(PRINTABLE, st.sampled_from(["no agent", "c, error:d"]))
@example("a, error:b", "c, error:d")
@example("x, pwd:y", "no agent")
def test_no_password_that_the_node_takes_is_seen_in_its_log(password: str, error: str) -> None:
    user = "2026 | x | info | vm_client.cpp | 1 | f | set vm user password"
    shown = responses.log_lines(
        {
            "log_content": [
                f"{user} successful, user:dbc, pwd:{password}",
                f"{user} failed, user:dbc, pwd:{password}, error:{error}",
                f"vnc port: 5904, password: {password}",
            ]
        }
    )
    assert shown[0] == f"{user} successful, user:dbc, pwd:***"
    assert shown[1].startswith(f"{user} failed, user:dbc, pwd:***, error:")
    assert f", error:{error}".endswith(shown[1].partition("***")[2])
    assert shown[2] == "vnc port: 5904, password: ***"


DECODERS: list[tuple[str, Callable[[object], Any]]] = [
    (r"/tasks", vm_summaries),
    (r"/tasks/[0-9A-Za-z]{20,22}", vm_details),
    (r"/tasks/logs/.*", responses.log_lines),
    (r"/disk/list/.*", partial(read, tuple[responses.DiskEntry, ...])),
    (r"/lan", responses.lan_views),
    (r"/lan/(?!create)\w+", partial(read, responses.LanView)),
    (r"/rent_orders.*", rent_orders),
]


def decoder_of(exchange: dict[str, Any]) -> Callable[[object], Any] | None:
    path = exchange["request"]["path"].split("?")[0].removeprefix("/api/v1").rstrip("/")
    peers = not re.search(r'"peer_nodes_list" ?: ?\[\]', json.dumps(exchange["request"]).replace("\\", ""))
    if path == "/mining_nodes":
        return responses.node_hardware if peers else node_listings
    if path.startswith("/bare_metal") and path not in {"/bare_metal/power", "/bare_metal/delete"}:
        if path == "/bare_metal/add":
            return added_servers
        return server_views if peers and exchange["node"] != "gpu" else heard_servers
    return next((decode for pattern, decode in DECODERS if re.fullmatch(pattern, path)), None)


def test_every_recorded_reply_is_decoded() -> None:
    count = 0
    for exchange in exchanges():
        request, response = exchange["request"], exchange["response"]
        if response.get("status") != 200 or request["method"] != "POST" or exchange.get("not_json"):
            continue
        reply = json.loads(response["body"])
        if reply["errcode"] != 0 or not isinstance(reply["message"], dict | list):
            continue
        decode = decoder_of(exchange)
        if decode is None:
            continue
        outcome = decoded(Done(reply["message"]), decode)
        assert isinstance(outcome, Done), f"{exchange['file']} {exchange['i']}: {outcome}"
        count += 1
    assert count > 150


ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)


@given(st.sampled_from(sorted(DETAILS)), ODD)
def test_one_odd_field_never_raises_anything_else(key: str, odd: Any) -> None:
    outcome = decoded(Done({**copy.deepcopy(DETAILS), key: odd}), vm_details)
    assert isinstance(outcome, Done | Unknown)


@given(
    st.sampled_from([d for _, d in DECODERS] + [responses.node_hardware, server_views, added_servers]),
    st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)),
)
def test_no_reply_makes_a_decoder_fail_otherwise(decode: Callable[[object], Any], value: Any) -> None:
    assert isinstance(decoded(Done(value), decode), Done | Unknown)


def test_no_password_of_a_recorded_vm_is_left_in_its_recorded_log() -> None:
    shown: dict[str, set[str]] = {}
    logs: list[str] = []
    for exchange in exchanges("06_gpu_vm_lifecycle_clean", "06b_gpu_vm_many_requests_one_after_another"):
        path, response = exchange["request"]["path"], exchange["response"]
        if response.get("status") != 200 or not path.startswith("/api/v1/tasks/"):
            continue
        message = json.loads(response["body"])["message"]
        if isinstance(message, dict) and "log_content" in message:
            assert message["task_id"] in path
            shown.setdefault("raw", set()).update(message["log_content"])
            logs.extend(responses.log_lines(message))
        elif isinstance(message, dict) and "vnc_password" in message:
            shown.setdefault("passwords", set()).update({message["vnc_password"], message["login_password"]} - {"N/A"})
    leaks = [secret for secret in shown["passwords"] if any(secret in line for line in shown["raw"])]
    assert leaks, "the recorded logs do hold passwords"
    assert not [secret for secret in shown["passwords"] if any(secret in line for line in logs)]


@pytest.mark.parametrize("bad", ["", "..", "a/b", 'a"b', "a b", "a\n", "\x1b[2J", "x" * 65])
def test_an_id_that_no_path_can_have_is_no_reply(bad: str) -> None:
    """It would be refused when it is used, in the middle of a plan."""
    with pytest.raises(Shape, match="not an id"):
        vm_summaries([{"task_id": bad, "status": "running"}])
    with pytest.raises(Shape, match="not an id"):
        vm_details({**DETAILS, "task_id": bad})
    with pytest.raises(Shape, match="not an id"):
        added_servers({"bare_metal_nodes": [{"node_id": bad, "uuid": "a"}]})


# Secrets

REPLIES = [
    kind
    for module in (responses, storage_responses)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct and kind.__module__ == module.__name__
]
SECRET = re.compile("pass|secret|key|sign|session|token")


@pytest.mark.parametrize("kind", REPLIES, ids=lambda kind: kind.__name__)
def test_every_secret_of_a_reply_is_found_at_any_depth(kind: type[Struct]) -> None:
    canaries = {f.name: SecretText(f"canary-of-{f.name}") for f in fields(kind) if SECRET.search(f.name)}
    reply = kind(**{**dict.fromkeys((f.name for f in fields(kind)), None), **canaries})
    assert set(secrets_of(((reply,),))) == set(canaries.values())


def test_a_password_that_is_the_name_of_its_account_is_no_secret() -> None:
    vm = vm_details({**DETAILS, "user_name": "ubuntu", "login_password": "ubuntu", "vnc_password": "ubuntu"})
    assert [*secrets_of(vm)] == []
