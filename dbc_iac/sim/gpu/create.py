"""Creating a VM: every check in the node's order, with the node's words; then the record. No job runs here."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from dbc_iac.sim.authority import Caller
from dbc_iac.sim.crypto import base58check
from dbc_iac.sim.gpu import capacity
from dbc_iac.sim.gpu.record import Disk, Request, Vm
from dbc_iac.sim.gpu.sizes import gib, leading_int
from dbc_iac.sim.reply import ProcessDiedError, RefusedError

if TYPE_CHECKING:
    from dbc_iac.sim.gpu.node import GpuNode

SYSTEM_DISK_GIB = 350
_PASSWORD_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789_/+[]@#^"  # noqa: S105 - an alphabet


def new_vm(node: GpuNode, caller: Caller, request: Request) -> Vm:
    """The record of a VM that may be created. Raises RefusedError."""
    others = list(node.vms.values())
    task = _task_id(node, request)
    gpus = _gpus(node, caller, request, others)
    os, bios = _system(request)
    image = _image(node, request, bios)
    public_ip = check_public_ip(node, request.text("public_ip") or "", None)
    ssh, rdp = _remote_ports(request, os, public_ip, others)
    vnc = _vnc_port(request, others)
    cores, memory = _cores_and_memory(node, caller, request, others)
    size = _disk_size(node, request, bios)
    data_file = _data_file(node, request, bios)
    network = request.text("network_name") or ""
    if network and network not in node.room.lans:
        raise RefusedError(1, "can not find network info")
    multicast = request.texts("multicast") or []
    for group in multicast:
        _check_multicast(group)
    nic = request.text("interface_model_type") or ""
    if nic not in {"", "e1000", "rtl8139"}:
        raise RefusedError(1, "invalid interface model type")
    vm = Vm(
        id=task, wallet=caller.wallet, desc=request.text("desc") or "", created=node.clock.stamp(), os=os, bios=bios,
        image=image, rent_order="" if caller.order.whole else caller.order.key, gpus=gpus, cores=cores, memory=memory,
        ssh_port=ssh, rdp_port=rdp, vnc_port=vnc, public_ip=public_ip, network=network,
        filters=request.texts("network_filters") or [], forwards=request.texts("custom_port") or [],
        multicast=multicast, user="Administrator" if "win" in os else "dbc", password=_password(node),
        data_file=data_file, nic=nic or "virtio",
    )  # fmt: skip
    if not vm.pxe:
        vm.disks = [
            Disk("vda", node.new_file("/data", "vm"), gib(node.spec.system_disk), gib(SYSTEM_DISK_GIB)),
            Disk("vdb", f"/data/{data_file}" if data_file else node.new_file("/data", "data"), gib(size)),
        ]
    return vm


def _task_id(node: GpuNode, request: Request) -> str:
    task = request.text("task_id") or ""
    if not task:
        number = f"{node.random.randrange(1_000_000)}{int(node.clock.wall().timestamp() * 1e6) % 10**6:06d}"
        return base58check(number.encode())
    if not 20 <= len(task) <= 22:
        raise RefusedError(1, "wrong task id length")
    if not re.fullmatch(r"[0-9A-Za-z]+", task):
        raise RefusedError(1, "task id requires a combination of letters or numbers")
    if task in node.vms:
        raise RefusedError(1, "task id already existed")
    return task


def _gpus(node: GpuNode, caller: Caller, request: Request, others: list[Vm]) -> list[int]:
    order, count = caller.order, leading_int(request.text("gpu_count") or "0")
    if not order.gpus and not order.whole:
        raise RefusedError(1, "order gpu index is empty")
    if count < 0:
        raise RefusedError(1, "gpu_count is invalid (usage: gpu_count >= 0)")
    if count > len(order.gpus):
        raise RefusedError(1, "gpu_count exceeds number of leases")
    if not order.whole and len(order.gpus) < node.spec.gpus and count != len(order.gpus):
        raise RefusedError(1, "only use the number what you exactly rented")
    gpus = capacity.allocate_gpus(node.spec, order, count, others)
    if gpus is None:
        raise RefusedError(1, "allocate gpu failed")
    return gpus


def _system(request: Request) -> tuple[str, str]:
    os = (request.text("operation_system") or "linux").lower()
    if not any(word in os for word in ("linux", "ubuntu", "win")):
        raise RefusedError(1, f"unsupported operation system: {os} (usage: 'linux' 'windows')")
    bios = (request.text("bios_mode") or "legacy").lower()
    if bios not in {"legacy", "uefi", "pxe"}:
        raise RefusedError(1, f"unsupported bios mode: {bios} (usage: 'legacy(default)'、'uefi'、'pxe')")
    return os, bios


def _image(node: GpuNode, request: Request, bios: str) -> str:
    image = request.text("image_name") or ""
    if not image:
        raise RefusedError(1, "image_name is empty")
    if not image.endswith(".qcow2"):
        raise RefusedError(1, "'image_name' extension name is invalid")
    found = node.images.get(image)
    if found is None:
        raise RefusedError(1, f"'image_name' is not exist (path:/data/{image})")
    if found.base and found.base not in node.images and bios != "pxe":
        raise RefusedError(1, f"image backfile not exist: /data/{found.base}")
    return image


def check_public_ip(node: GpuNode, text: str, own: Vm | None) -> str:
    """A public IP that may be used. Raises RefusedError."""
    if not text:
        return ""
    try:
        canonical = str(ipaddress.ip_address(text))
    except ValueError:
        canonical = ""
    if canonical != text:
        raise RefusedError(1, "invalid public ip")
    if text == node.spec.host_ip or any(vm.public_ip == text for vm in node.vms.values() if vm is not own):
        raise RefusedError(1, "public ip being used")
    return text


def _remote_ports(request: Request, os: str, public_ip: str, others: list[Vm]) -> tuple[int, int]:
    """ssh and rdp port. Only the one of the VM's system is checked, and neither for its range."""
    ports: dict[str, int] = {}
    for name, needed, default in (("ssh_port", "win" not in os, 22), ("rdp_port", "win" in os, 3389)):
        text = request.text(name) or ""
        if needed and not text.isdigit():
            if not public_ip:
                raise RefusedError(1, f"{name} is empty" if not text else f"{name} is not digit")
            text = str(default)
        ports[name] = leading_int(text) % 65536
        if needed and not public_ip:
            capacity.check_port(ports[name], others)
    return ports["ssh_port"], ports["rdp_port"]


def _vnc_port(request: Request, others: list[Vm]) -> int:
    text = request.text("vnc_port") or ""
    if not text:
        raise RefusedError(1, "vnc_port is empty")
    if not text.isdigit():
        raise RefusedError(1, "vnc_port is not digit")
    port = int(text)
    if not 5900 <= port <= 65535:
        raise RefusedError(1, "vnc_port is invalid (usage: [5900, 65535])")
    capacity.check_port(port, others)
    return port


def _cores_and_memory(node: GpuNode, caller: Caller, request: Request, others: list[Vm]) -> tuple[int, int]:
    cores = leading_int(request.text("cpu_cores") or "")
    if cores <= 0:
        raise RefusedError(1, "cpu_cores is invalid")
    if not capacity.cores_fit(node.spec, caller.order, cores, others):
        raise RefusedError(1, "allocate cpu failed")
    memory = leading_int(request.text("mem_size") or "")
    if memory <= 0:
        raise RefusedError(1, "mem_size is invalid")
    if not capacity.memory_fits(node.spec, caller.order, gib(memory), others):
        raise RefusedError(1, "allocate mem failed")
    return cores, gib(memory)


def _disk_size(node: GpuNode, request: Request, bios: str) -> int:
    if bios == "pxe":
        return 0
    size = leading_int(request.text("disk_size") or "")
    if size <= 0:
        raise RefusedError(1, "disk_size is invalid (usage: disk_size > 0)")
    if size > node.spec.disk - SYSTEM_DISK_GIB:
        raise RefusedError(1, "allocate disk failed")
    return size


def _data_file(node: GpuNode, request: Request, bios: str) -> str:
    name = request.text("data_file_name") or ""
    if bios == "pxe" or not name:
        return ""
    if name not in node.files and name not in node.images:
        raise RefusedError(1, f"data_file_name is not exist, path: /data/{name}")
    return name


def _check_multicast(group: str) -> None:
    parts = group.split(":")
    if len(parts) != 2:
        raise RefusedError(1, "multicast format: ip:port")
    try:
        address = ipaddress.IPv4Address(parts[0])
    except ValueError:
        raise ProcessDiedError("an address that does not parse throws on the request thread") from None
    if not address.is_multicast:
        raise RefusedError(1, "address is not a multicast address")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", parts[1]) or int(parts[1]) > 65535:
        raise RefusedError(1, "invalid multicast port")


def _password(node: GpuNode) -> str:
    letters = _PASSWORD_LETTERS
    return node.random.choice(letters[:48]) + "".join(node.random.choices(letters, k=15))
