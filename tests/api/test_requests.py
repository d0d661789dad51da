"""Exact request bodies, and values that cannot be sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.api import requests
from dbc_iac.api.wire_types import INT32, UnsafeWireValue, check_json, segment
from dbc_iac.secret import SecretText

VM: dict[str, Any] = {
    "task_id": "A" * 22,
    "image_name": "ubuntu-2204.qcow2",
    "gpu_count": 2,
    "cpu_cores": 8,
    "mem_size": 32,
    "vnc_port": 5904,
}
SERVER: dict[str, Any] = {
    "uuid": "3156995b-da18-4268-9734-f8d168e90a7d",
    "ip": "175.221.204.110",
    "ipmi_hostname": "192.168.0.110",
    "ipmi_username": "admin",
    "ipmi_password": SecretText("dbtu2017"),
}


def test_every_scalar_of_create_is_a_string() -> None:
    body = requests.CreateVm(
        **VM,
        desc="mine [dbc-iac:p/s/n/1/ab]",
        operation_system="linux",
        bios_mode="legacy",
        disk_size=200,
        data_file_name="d.qcow2",
        ssh_port=22001,
        rdp_port=22002,
        public_ip="8.8.8.8",
        network_name="trainnet",
        custom_port=("tcp,8080:80", "udp,1-9:11-19"),
        multicast=("239.1.2.3:5000",),
        network_filters=("in,tcp,22,0.0.0.0/0,accept", "out,all,all,0.0.0.0/0,accept"),
        interface_model_type="e1000",
    ).additional()
    assert body == {
        "task_id": "A" * 22,
        "image_name": "ubuntu-2204.qcow2",
        "gpu_count": "2",
        "cpu_cores": "8",
        "mem_size": "32",
        "vnc_port": "5904",
        "desc": "mine [dbc-iac:p/s/n/1/ab]",
        "operation_system": "linux",
        "bios_mode": "legacy",
        "disk_size": "200",
        "data_file_name": "d.qcow2",
        "ssh_port": "22001",
        "rdp_port": "22002",
        "public_ip": "8.8.8.8",
        "network_name": "trainnet",
        "custom_port": ["tcp,8080:80", "udp,1-9:11-19"],
        "multicast": ["239.1.2.3:5000"],
        "network_filters": ["in,tcp,22,0.0.0.0/0,accept", "out,all,all,0.0.0.0/0,accept"],
        "interface_model_type": "e1000",
    }


def test_what_is_not_given_is_left_out() -> None:
    keys = requests.CreateVm(**VM).additional().keys()
    left_out = {"bios_mode", "disk_size", "data_file_name", "ssh_port", "rdp_port", "interface_model_type"}
    assert not keys & left_out


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": "short"},
        {"task_id": "A" * 23},
        {"task_id": "a" * 21 + "-"},
        {"image_name": "ubuntu.img"},
        {"image_name": "../x.qcow2"},
        {"image_name": "a b.qcow2"},
        {"image_name": "a;rm.qcow2"},
        {"gpu_count": -1},
        {"gpu_count": "2"},
        {"gpu_count": True},
        {"gpu_count": 2.0},
        {"cpu_cores": 0},
        {"cpu_cores": 2**31},
        {"mem_size": 0},
        {"vnc_port": 80},
        {"vnc_port": 70000},
        {"ssh_port": 70000},
        {"ssh_port": 0},
        {"desc": 'a "quoted" word'},
        {"desc": "a\\b"},
        {"desc": "a\nb"},
        {"desc": "a\x00"},
        {"desc": "\ud800"},
        {"desc": "x" * 1001},
        {"operation_system": "ubuntu"},
        {"bios_mode": "bios"},
        {"public_ip": "8.8.8.08"},
        {"public_ip": "host"},
        {"network_name": "abc"},
        {"custom_port": ("tcp/udp,80",)},
        {"custom_port": ["tcp,80"]},
        {"custom_port": (80,)},
        {"multicast": ("abc:5000",)},  # would end the node's daemon
        {"multicast": ("10.0.0.1:5000",)},
        {"multicast": ("239.1.2.3:70000",)},
        {"multicast": ("239.1.2.3:05",)},
        {"network_filters": ("in,tcp,all,0.0.0.0/0,accept",)},  # libvirt would refuse the whole filter
        {"network_filters": ("in,gre,1,10.0.0.1/32,accept",)},  # would end the node's daemon
        {"interface_model_type": "virtio"},  # the node refuses its own default
    ],
    ids=repr,
)
def test_what_would_be_misread_or_kill_a_node_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.CreateVm(**{**VM, **change})


def test_modify_always_carries_the_public_ip() -> None:
    assert requests.ModifyVm(new_public_ip="").additional() == {"new_public_ip": ""}
    with pytest.raises(TypeError):
        requests.ModifyVm()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        requests.ModifyVm(new_public_ip="", new_cpus=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        requests.ModifyVm(new_public_ip="").new_cpu_cores = 1  # type: ignore[misc]


def test_modify_sends_lists_whole_and_numbers_as_text() -> None:
    body = requests.ModifyVm(new_public_ip="8.8.8.8", new_custom_port=(), new_network_filters=(), new_ssh_port=22)
    assert body.additional() == {
        "new_public_ip": "8.8.8.8",
        "new_custom_port": [],
        "new_network_filters": [],
        "new_ssh_port": "22",
    }


@pytest.mark.parametrize(
    "two",
    [
        {"new_vnc_port": 5901, "new_gpu_count": 1},
        {"new_cpu_cores": 1, "new_mem_size": 1},
        {"new_gpu_count": 0, "new_mem_size": 1},
    ],
)
def test_modify_takes_one_deferred_key_a_call(two: dict[str, int]) -> None:
    with pytest.raises(UnsafeWireValue, match="at most one"):
        requests.ModifyVm(new_public_ip="", **two)  # type: ignore[arg-type]
    for key, value in two.items():
        assert requests.ModifyVm(new_public_ip="", **{key: value}).additional()[key] == str(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("cores", [0, -1])
def test_modify_never_sends_cores_that_break_the_node(cores: int) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.ModifyVm(new_public_ip="", new_cpu_cores=cores)


def test_modify_refuses_equal_ssh_and_rdp_ports() -> None:
    with pytest.raises(UnsafeWireValue):
        requests.ModifyVm(new_public_ip="", new_ssh_port=4000, new_rdp_port=4000)


def test_disk_sizes_are_json_integers() -> None:
    assert requests.DiskResize(disk="vdb", add_gib=500).additional() == {"disk": "vdb", "size": 500}
    assert requests.DiskAdd(size_gib=10, mount_dir="/data/a").additional() == {"size": 10, "mount_dir": "/data/a"}
    assert requests.DiskDelete(disk="vdc").additional() == {"disk": "vdc"}


@pytest.mark.parametrize("size", ["500", 500.0, True, None, 0, -1, INT32 + 1])
def test_a_disk_size_that_the_node_would_misread_cannot_be_made(size: Any) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.DiskResize(disk="vdb", add_gib=size) if size is not None else requests.DiskResize(disk="", add_gib=1)
    with pytest.raises(UnsafeWireValue):
        requests.DiskAdd(size_gib=size if size is not None else 0, mount_dir="/data")


def test_the_system_disk_cannot_be_deleted() -> None:
    with pytest.raises(UnsafeWireValue):
        requests.DiskDelete(disk="vda")


@pytest.mark.parametrize("directory", ["data", "/", "/data/", "/data/..", "/da ta", "/data/$(x)", "/data//a"])
def test_a_host_directory_is_plain(directory: str) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.DiskAdd(size_gib=1, mount_dir=directory)


@pytest.mark.parametrize(
    ("name", "cidr"),
    [
        ("short", "192.168.66.0/24"),
        ("create", "192.168.66.0/24"),
        ("Delete", "192.168.66.0/24"),
        ("trainnet", "abc/24"),  # would end the node's process
        ("trainnet", "300.1.1.1/24"),
        ("trainnet", "192.168.66.0/40"),
        ("trainnet", "192.168.66.0/31"),
        ("trainnet", "192.168.66.1/24"),
        ("trainnet", "0.0.0.0/0"),
        ("trainnet", "192.168.66.0"),
    ],
)
def test_a_lan_that_would_end_or_confuse_the_node_cannot_be_made(name: str, cidr: str) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.LanCreate(network_name=name, ip_cidr=cidr)


def test_a_lan() -> None:
    body = requests.LanCreate(network_name="trainnet", ip_cidr="192.168.66.0/24").additional()
    assert body == {"network_name": "trainnet", "ip_cidr": "192.168.66.0/24"}


def test_a_server_entry_has_its_port_as_a_number() -> None:
    body = requests.BareMetalEntry(**SERVER, ipmi_port=623, os="Ubuntu", desc="在xxx").additional()
    assert body == {**SERVER, "ipmi_password": "dbtu2017", "ipmi_port": 623, "os": "Ubuntu", "desc": "在xxx"}


@pytest.mark.parametrize(
    "change",
    [
        {"uuid": "a_b"},
        {"uuid": ""},
        {"ipmi_hostname": "host; reboot"},
        {"ipmi_username": "a b"},
        {"ipmi_username": "-a"},
        {"ipmi_port": "623"},
        {"ipmi_port": 0},
        {"ipmi_port": 65536},
        {"ipmi_password": "plain text"},
        {"ipmi_password": SecretText("")},
        {"ipmi_password": SecretText("$(reboot)")},
        {"ipmi_password": SecretText("-starts")},
        {"ipmi_password": SecretText("****")},
        {"ipmi_password": SecretText("x" * 17)},
        {"os": ""},
    ],
    ids=repr,
)
def test_a_server_entry_that_a_shell_would_see_otherwise_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(UnsafeWireValue):
        requests.BareMetalEntry(**{**SERVER, **change})
    with pytest.raises(UnsafeWireValue):
        requests.BareMetalChange(**change)


def test_a_change_of_a_server_is_flat_and_partial() -> None:
    assert requests.BareMetalChange(desc="rack 2", ipmi_port=9623).additional() == {"desc": "rack 2", "ipmi_port": 9623}


@pytest.mark.parametrize("password", ['with"quote', "back\\slash", "", "x" * 129, "tab\t", "ümlaut"])
def test_a_refused_password_is_not_in_the_message(password: str) -> None:
    with pytest.raises(UnsafeWireValue) as refused:
        requests.SetPassword(username="dbc", password=SecretText(password))
    assert not password or password not in str(refused.value)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=128))
def test_every_printable_password_is_sent_as_it_is(password: str) -> None:
    body = requests.SetPassword(username="dbc", password=SecretText(password))
    assert body.additional()["password"] == password
    assert repr(body) == "SetPassword(username='dbc', password=SecretText(***))"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_the_last_check_lets_nothing_through_that_a_node_misreads(value: Any) -> None:
    try:
        safe = check_json("additional", value)
    except UnsafeWireValue:
        return
    assert safe == value
    shown = repr(safe)
    assert not re.search(r"\b(None|True|False|nan|inf)\b", re.sub(r"'[^']*'", "", shown))
    assert '"' not in shown or "'" in shown


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a?b", "a b", "ä", "a%20b", "x" * 65, 'a"', 7])
def test_a_path_segment_needs_no_escaping(value: Any) -> None:
    with pytest.raises((UnsafeWireValue, TypeError)):
        segment("task_id", value)
