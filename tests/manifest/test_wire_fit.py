"""Every value that passes `validate` can be sent: none is refused only during an apply.

Each field that is sent is tried with values that its type accepts, and with nearly valid ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dbc_iac.api import patterns, requests
from dbc_iac.api.wire_types import INT32, segment
from dbc_iac.kinds import MODELS, kind_of
from dbc_iac.kinds.framework.spec import SpecField
from dbc_iac.secret import SecretText
from tests.api.test_requests import SERVER, VM
from tests.examples import examples

Sent = Callable[[Any], object]


def create(**given: Any) -> object:
    return requests.CreateVm(**{**VM, **given})


def modify(**given: Any) -> object:
    return requests.ModifyVm(**{"new_public_ip": "", **given})


def entry(**given: Any) -> object:
    return requests.BareMetalEntry(**{**SERVER, **given}), requests.BareMetalChange(**given)


SENT: Mapping[str, Sent] = {
    "VirtualMachine.description": lambda v: create(desc=f"{v} [dbc-iac:{'p' * 42}/{'s' * 42}/{'n' * 85}/1/{'0' * 16}]"),
    "VirtualMachine.image": lambda v: not re.fullmatch(patterns.IMAGE, v) or create(image_name=v),  # as its check
    "VirtualMachine.os": lambda v: create(operation_system=v),
    "VirtualMachine.biosMode": lambda v: create(bios_mode=v),
    "VirtualMachine.gpus": lambda v: (create(gpu_count=v), modify(new_gpu_count=v)),
    "VirtualMachine.cpus": lambda v: (create(cpu_cores=v), modify(new_cpu_cores=v)),
    "VirtualMachine.memory": lambda v: (create(mem_size=v), modify(new_mem_size=v)),
    "VirtualMachine.dataDisk.size": lambda v: (create(disk_size=v), requests.DiskResize(disk="vdb", add_gib=v)),
    "VirtualMachine.dataDisk.file": lambda v: create(data_file_name=v),
    "VirtualMachine.ports.ssh": lambda v: v == "auto" or (create(ssh_port=v), modify(new_ssh_port=v)),
    "VirtualMachine.ports.rdp": lambda v: v == "auto" or (create(rdp_port=v), modify(new_rdp_port=v)),
    "VirtualMachine.ports.vnc": lambda v: v == "auto" or (create(vnc_port=v), modify(new_vnc_port=v)),
    "VirtualMachine.ports.forward": lambda v: (create(custom_port=v), modify(new_custom_port=v)),
    "VirtualMachine.publicIp": lambda v: (create(public_ip=v), modify(new_public_ip=v)),
    "VirtualMachine.multicast": lambda v: create(multicast=v),
    "VirtualMachine.firewall": lambda v: (create(network_filters=v), modify(new_network_filters=v)),
    "VirtualMachine.nicModel": lambda v: v == "virtio" or create(interface_model_type=v),
    "VirtualMachine.login.username": lambda v: requests.SetPassword(username=v, password=SecretText("x")),
    "VirtualMachine.login.password": lambda v: requests.SetPassword(username="dbc", password=SecretText(v)),
    "VirtualMachine.id": lambda v: segment("task id", v),
    "Disk.size": lambda v: requests.DiskAdd(size_gib=v, mount_dir="/data"),
    "Disk.hostDir": lambda v: requests.DiskAdd(size_gib=1, mount_dir=v),
    "Network.name": lambda v: requests.LanCreate(network_name=v, ip_cidr="192.168.66.0/24"),
    "Network.cidr": lambda v: requests.LanCreate(network_name="training", ip_cidr=v),
    "Snapshot.name": lambda v: (requests.SnapshotCreate(snapshot_name=v, image_server="a"), segment("snapshot", v)),
    "Snapshot.description": lambda v: requests.SnapshotCreate(snapshot_name="a", image_server="a", desc=f"{v} [{'m' * 250}]"),
    "Snapshot.imageServer": lambda v: requests.SnapshotCreate(snapshot_name="a", image_server=v),
    "Image.file": lambda v: not v.endswith(".qcow2") or requests.ImageDelete(image_filename=v),
    "Image.imageServer": lambda v: requests.ImageDownload(image_filename="a.qcow2", image_server=v),
    "ImageExport.file": lambda v: requests.ImageUpload(image_filename=f"/data/{v}", image_server="a"),
    "ImageExport.imageServer": lambda v: requests.ImageUpload(image_filename="/data/a.qcow2", image_server=v),
    "BareMetalServer.uuid": lambda v: entry(uuid=v),
    "BareMetalServer.ip": lambda v: entry(ip=v),
    "BareMetalServer.os": lambda v: entry(os=v),
    "BareMetalServer.description": lambda v: entry(desc=v),
    "BareMetalServer.ipmi.host": lambda v: entry(ipmi_hostname=v),
    "BareMetalServer.ipmi.port": lambda v: entry(ipmi_port=v),
    "BareMetalServer.ipmi.username": lambda v: entry(ipmi_username=v),
    "BareMetalServer.ipmi.password": lambda v: entry(ipmi_password=SecretText(v)),
    "BareMetalInstance.deeplink.password": lambda v: requests.DeeplinkPassword(device_password=SecretText(v)),
}  # fmt: skip
NEVER_SENT_IN_A_BODY = {
    "dependsOn", "lifecycle", "timeouts", "node", "vm", "network", "external", "manager", "server", "snapshot", "via",
    "identity", "clients", "url", "insecureHttp", "rentOrder", "portRange", "nodeId", "power", "resetOn", "restartOn",
    "refresh", "retain", "trigger", "nextBoot.device", "nextBoot.trigger",
}  # fmt: skip

FIELDS: dict[str, SpecField] = {f"{k}.{f.path}": f for k in MODELS for f in kind_of(k).fields}
_CHARACTERS = st.sampled_from("aZ09_.-/:,*@%+=^\"'\\ \n\x00\x7f\u00e9\u2028~!#$()[]")
_TEXTS = st.one_of(
    st.text(_CHARACTERS, max_size=12),
    st.text(max_size=8),
    st.from_regex(r"[A-Za-z0-9_.-]{1,140}(\.qcow2)?", fullmatch=True),
    st.from_regex(r"(/[a-z0-9.-]{1,9}){1,3}", fullmatch=True),
    st.from_regex(r"(tcp|udp),[0-9]{1,5}(-[0-9]{1,5})?(:[0-9]{1,5}(-[0-9]{1,5})?)?", fullmatch=True),
    st.from_regex(
        r"(in|out),(all|tcp|ssh|ftp),(all|22|1-9),(0\.0\.0\.0/0|1\.2\.3\.4/(32|8)),(accept|drop)", fullmatch=True
    ),
    st.from_regex(r"[0-9]{1,15}(Gi|Ti)", fullmatch=True),
    st.ip_addresses().map(str),
    st.ip_addresses(v=4).map(lambda a: f"{a}:5000"),
    st.sampled_from(
        ["239.1.2.3:5000", "10.0.0.0/8", "10.1.0.0/16", "fe80::1%x", "auto", "linux", "pxe", "e1000", "on"]
    ),
)
VALUES = st.one_of(
    _TEXTS, st.lists(_TEXTS, max_size=3), st.integers(), st.integers(-1, 70000), st.sampled_from([INT32, 2**31, 2**80]),
    st.booleans(), st.none(), st.floats(),
)  # fmt: skip


def test_every_field_that_is_sent_is_covered() -> None:
    uncovered = {name for name in FIELDS if name.partition(".")[2] not in NEVER_SENT_IN_A_BODY} - SENT.keys()
    assert uncovered == {"Node.id", "BareMetalManager.id"}  # targets: 64 hex digits


@pytest.mark.parametrize("name", SENT)
@given(value=VALUES)
@settings(max_examples=examples(suite=50, proof=300))
def test_a_value_that_passes_validate_can_be_sent(name: str, value: Any) -> None:
    field, sent = FIELDS[name], SENT[name]
    if field.rule.secret:
        assert field.secret_form is not None
        if not isinstance(value, str) or not field.secret_form.fits(value):
            return
    else:
        try:
            value = adapter(name).validate_python(value)
        except ValidationError:
            return
    if value is not None:
        sent(value)


ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def adapter(name: str) -> TypeAdapter[Any]:
    """Type of a single field."""
    if name not in ADAPTERS:
        model: Any = MODELS[name.partition(".")[0]]
        *parts, last = FIELDS[name].attributes
        for part in parts:
            annotation = model.model_fields[part].annotation
            model = next(a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields"))
        field = model.model_fields[last]
        annotated: Any = Annotated[field.annotation, *field.metadata]
        ADAPTERS[name] = TypeAdapter(annotated)
    return ADAPTERS[name]
