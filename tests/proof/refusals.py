"""Predicted refusals by the node's text: manifests and worlds, and the diagnostic before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.projects import NODE_ID, document, vm
from tests.proof.lab import MANAGER_ID
from tests.proof.scenarios import BOTH, FIRST, LAN, SECOND, SECOND_ID

TENANT = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
"""Address of the emulated tenant's wallet."""
RENTAL = {"renter": "tenant", "machine": NODE_ID}
PART: dict[str, Any] = {"orders": {"112": RENTAL | {"gpus": [0]}}}
IMAGE_SERVER: dict[str, Any] = {"imageServers": [{"id": "ID_1", "images": [{"name": "torch.qcow2"}]}]}
RACK = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})
PART2: dict[str, Any] = {"orders": {"112": RENTAL | {"gpus": [0, 1]}}}
ROOMS: dict[str, Any] = {"gpuNodes": [{"id": NODE_ID, "room": "a"}, {"id": SECOND_ID, "room": "b"}], "orders": BOTH}
THEIR_LAN: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID, "lans": [{"networkName": "training", "ipCidr": "10.9.0.0/24", "wallet": "another"}]}]
}
OUR_LAN = {"networkName": "training", "ipCidr": "192.168.66.0/24", "wallet": TENANT, "members": ["7theirs"]}
THEIR_MEMBER: dict[str, Any] = {"gpuNodes": [{"id": NODE_ID, "lans": [OUR_LAN]}]}
WINDOWS = vm("win", os="windows", image="win10.qcow2", ports={"rdp": 20001, "vnc": 20005})
PXE = vm("net", biosMode="pxe", dataDisk=None)
PORTS = {"ssh": 20001, "vnc": 20002}


def image(**spec: Any) -> str:
    return document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", **spec})


@dataclass(frozen=True)
class Refusal:
    """`words`: text of the node; `code`: diagnostic of a plan of `documents` after `before` was applied; `spoken`: without
    preflight the node really refuses, at once.
    """

    words: str
    code: str
    documents: tuple[str, ...]
    before: tuple[str, ...] = ()
    world: Mapping[str, Any] = field(default_factory=dict)
    spoken: bool = True
    exit_code: int = 5
    options: tuple[str, ...] = ()


def rental(words: str, **world: Any) -> Refusal:
    """The plan cannot read the objects."""
    return Refusal(words, "unreadable", (vm(),), world=world, spoken=False, exit_code=4)


def mistaken(words: str, *documents: str, code: str, **world: Any) -> Refusal:
    """Diagnostic from the manifests alone."""
    return Refusal(words, code, documents, world=world, spoken=False, exit_code=3)


PREDICTED = [
    rental("machine has already expired", orders={"112": RENTAL | {"status": "rentExpired"}}),
    rental("machine is not be rented", machines={NODE_ID: {"status": "online"}}),
    rental("wallet not rented", orders={"112": {"renter": "somebody", "machine": NODE_ID}}),
    Refusal("gpu_count exceeds number of leases", "node-would-refuse", (vm(gpus=5),)),
    Refusal("allocate gpu failed", "node-would-refuse", (vm("one", gpus=3), vm("two", gpus=3))),
    Refusal("only use the number what you exactly rented", "node-would-refuse", (vm(gpus=1),), world=PART2),
    Refusal("allocate cpu failed", "node-would-refuse", (vm(cpus=64),)),
    Refusal("cpu count exceeds the maximum", "node-would-refuse", (vm("one", cpus=40), vm("two", cpus=40, power="on")),
            before=(vm("one", cpus=40), vm("two", cpus=40, power="off"))),
    Refusal("check cpu failed", "node-would-refuse", (vm(cpus=33, memory="16Gi"),), before=(vm(),),
            world={"gpuNodes": [{"id": NODE_ID, "sockets": 2}]}),
    Refusal("allocate mem failed", "node-would-refuse", (vm(memory="999Gi"),)),
    Refusal("allocate memory failed", "node-would-refuse", (vm(memory="999Gi"),), before=(vm(),)),
    Refusal("check memory failed", "node-would-refuse", (vm("one", memory="130Gi"), vm("two", memory="130Gi")),
            before=(vm("one", memory="130Gi"), vm("two", memory="90Gi", power="off")), spoken=False),
    Refusal("allocate disk failed", "node-would-refuse", (vm(dataDisk={"size": "99Ti"}),)),
    Refusal("port conflict, exist … = …", "port-conflict", (vm("one", ports=PORTS), vm("two", ports={**PORTS, "vnc": 20003})),
            before=(vm("one", ports=PORTS),)),
    Refusal("check ssh_port failed", "port-conflict", (vm("one", gpus=0, ports=PORTS), vm("two", ports={**PORTS, "vnc": 20003})),
            before=(vm("one", ports=PORTS, power="off"),), spoken=False),
    Refusal("check vnc_port failed", "port-conflict", (vm("one", gpus=0, ports=PORTS), vm("two", ports={**PORTS, "ssh": 20003})),
            before=(vm("one", ports=PORTS, power="off"),), spoken=False),
    Refusal("check rdp_port failed", "port-conflict", (vm("one", gpus=0, ports=PORTS), WINDOWS), before=(vm("one", ports=PORTS, power="off"),),
            spoken=False),
    Refusal("… … has been used!", "port-conflict", (vm("one", ports=PORTS), vm("two", ports={"ssh": 20001, "vnc": 20004})),
            before=(vm("one", ports=PORTS), vm("two", ports={"ssh": 20003, "vnc": 20004}))),
    Refusal("new_vnc_port … has been used!", "port-conflict", (vm("one", ports=PORTS), vm("two", ports={"ssh": 20003, "vnc": 20002})),
            before=(vm("one", ports=PORTS), vm("two", ports={"ssh": 20003, "vnc": 20004}))),
    mistaken("public ip being used", vm("one", publicIp="203.0.113.9"), vm("two", publicIp="203.0.113.9"), code="duplicate-identity"),
    mistaken("invalid public ip", vm("one", publicIp="203.0.113.999"), code="invalid-value"),
    Refusal("can not modify gpu count", "cannot-change", (vm(gpus=1),), before=(vm(gpus=2),), world=PART2, spoken=False),
    Refusal("can not modify cpu cores", "cannot-change", (vm(cpus=8),), before=(vm(),), world=PART, spoken=False),
    Refusal("can not modify mem size", "cannot-change", (vm(memory="9Gi"),), before=(vm(),), world=PART, spoken=False),
    Refusal("'image_name' is not exist (path:/data/…)", "node-may-refuse", (vm(image="ubunto.qcow2"),), exit_code=0),
    mistaken("'image_name' extension name is invalid", vm(image="ubuntu.img"), code="unknown-reference"),
    Refusal("can not find network info", "node-would-refuse", (FIRST, SECOND, LAN, vm(node="gpu-b", network="training")),
            before=(FIRST, SECOND, LAN), world=ROOMS),
    Refusal("network name already existed", "foreign-owner", (LAN,), world=THEIR_LAN, spoken=False),
    Refusal("network is in used, please delete task in the network first", "node-may-refuse", (FIRST,),
            before=(FIRST, LAN), world=THEIR_MEMBER, exit_code=0, options=("--allow-empty",)),
    mistaken("network name requires a combination of 6 to 10 letters or numbers", document("Network", "lan", {"via": "gpu-a", "cidr": "10.0.0.0/24"}), code="invalid-name"),
    mistaken("ip cidr already exist", document("Network", "training", {"via": "gpu-a", "cidr": "192.168.122.0/24"}), code="invalid-value"),
    mistaken("invalid ip cidr", document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0"}), code="invalid-value"),
    Refusal("… is not exist", "node-would-refuse", (vm(), document("Disk", "scratch", {"vm": "trainer", "size": "5Gi", "hostDir": "/mnt"}))),
    Refusal("mount directory:… have no enough space", "thin-space", (vm(), document("Disk", "scratch", {"vm": "trainer", "size": "99Ti"})),
            exit_code=0, spoken=False),
    mistaken("pxe not support disk", PXE, document("Disk", "scratch", {"vm": "net", "size": "5Gi"}), code="ignored-by-node"),
    mistaken("task have no disk", PXE, document("Snapshot", "first", {"vm": "net", "imageServer": "ID_1"}), code="ignored-by-node", **IMAGE_SERVER),
    Refusal("image_server not exist", "unknown-image-server", (image(imageServer="ID_9"),), world=IMAGE_SERVER),
    Refusal("image:… not exist", "node-would-refuse", (image(file="torhc.qcow2"),), world=IMAGE_SERVER, spoken=False),
    Refusal("image file is in downloading or uploading, please try again later", "image-in-use", (image(refresh="2"), vm(image="torch")),
            before=(image(), vm(image="torch")), world=IMAGE_SERVER, spoken=False),
]  # fmt: skip
