"""Conversion of a recording's world line to a world file, and of its chain events to orders and machines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BLOCK = 1_000_000
_OVERLAY = re.compile(r"(snap|vm)_\d+_\d{14}")

_KINDS = {"client": "client node", "bare_metal": "bare metal manager", "gpu": "compute node"}


def nodes_of(line: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    """Nodes of a role. A world may lack one."""
    return {key: node for key, node in line["nodes"].items() if node.get("kind", _KINDS.get(key)) == _KINDS[name]}


def world_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """World of a recording. Without recorded timing it is quiet: no maintenance and no automatic restarts,
    which are events of the recordings.
    """
    clients, gpus = nodes_of(line, "client"), nodes_of(line, "gpu")
    shares = "share one /data" in line.get("replay_notes", "")
    host = next((node["node_id"] for node in gpus.values()), "") if shares else ""
    return {
        "start": line["recorded"],
        "block": _chain(line).get("block", _BLOCK),
        "restartSeconds": 0,
        "clients": [{"name": name, "id": node["node_id"], "hostOf": host} for name, node in clients.items()],
        "wallets": [{"name": name, **_wallet(wallet)} for name, wallet in line.get("wallets", {}).items()],
        "imageServers": [
            {"id": key, "images": [_image(line, image) for image in _images(line).get(key, [])]}
            for key in line.get("image_servers_of_client", [])
        ],
        "gpuNodes": [_gpu_node(line, name, node) for name, node in gpus.items()],
        "bmcs": [_given(bmc, _SAME_BMC) for bmc in line.get("bmcs") or []],
        "managers": [
            _manager(node, line.get("bare_metal_servers") or []) for node in nodes_of(line, "bare_metal").values()
        ],
        **chain_of(line, _chain(line)),
        "sessions": [_session(line, session) for session in line.get("sessions") or []],
        "seed": int(hashlib.sha256(line["recorded"].encode()).hexdigest()[:8], 16),
    }


def chain_of(line: Mapping[str, Any], chain: Mapping[str, Any]) -> dict[str, Any]:
    """`orders` and `machines` of a world or of a chain event."""
    address = addresses(line)
    machine = next((node["node_id"] for node in nodes_of(line, "gpu").values()), "")
    initial = _chain(line)
    end = initial.get("block", _BLOCK) + 100_000
    windows = tuple(chain.get("verify_time_of_everyone", initial.get("verify_time_of_everyone", ())))
    return {
        "orders": {
            key: {
                "renter": address.get(order["renter"], order["renter"]),
                "machine": machine,
                "status": order.get("rentStatus", "renting"),
                "gpus": list(order.get("gpuIndex", [])),
                "gpuNum": order.get("gpuNum", 0),
                "end": order.get("rentEnd", end),
            }
            for key, order in (chain.get("orders") or {}).items()
        },
        "machines": {
            m: {
                "status": s["status"],
                "orders": [str(o) for o in s["orders"]] if "orders" in s else None,
                "renter": address.get(
                    (s.get("order") or {}).get("renter", ""), (s.get("order") or {}).get("renter", "")
                ),
                "end": (s.get("order") or {}).get("rentEnd", end),
                "rentStatus": (s.get("order") or {}).get("rentStatus", "renting"),
                "verifiers": dict.fromkeys(address.values(), windows),
            }
            for m, s in (chain.get("machines") or {}).items()
        },
    }


def addresses(line: Mapping[str, Any]) -> dict[str, str]:
    """Wallets by name."""
    wallets = line.get("wallets", {})
    return {name: str(wallet.get("ss58") or wallet.get("address") or "") for name, wallet in wallets.items()}


def _chain(line: Mapping[str, Any]) -> Mapping[str, Any]:
    return line.get("chain") or {}


def _images(line: Mapping[str, Any]) -> Mapping[str, Any]:
    return line.get("images") or {}


def _wallet(wallet: Mapping[str, Any]) -> dict[str, Any]:
    """Wallet by its seed, or by its address if it never signs."""
    return {"seed": wallet["seed"]} if wallet.get("seed") else {"address": wallet["ss58"]}


def _session(line: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    """A multisig accepts the signature of any member."""
    multisig, address = line.get("multisig") or {}, addresses(line)
    wallet = address.get(session["wallet"], session["wallet"])
    members = [address[name] for name in multisig.get("members", []) if name in address]
    return {
        "target": line["nodes"][session["node"]]["node_id"],
        "wallet": wallet,
        "id": session["session_id"],
        "issued": session.get("issued_before_the_first_line", False),
        "signers": members if wallet == multisig.get("account") else [],
    }


def _manager(node: Mapping[str, Any], servers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Server ids follow from their keys, if those are recorded."""
    key = {"seed": node["seed"]} if node.get("seed") else {"id": node["node_id"]}
    shown = [
        _given(one, _SERVER) | ({} if one.get("node_private_key") else _given(one, {"node_id": "nodeId"}))
        for one in servers
    ]
    return {**key, **_given(node, {"name": "name"}), "maintenance": {"every": 0}, "servers": shown}


def _gpu_node(line: Mapping[str, Any], name: str, gpu: Mapping[str, Any]) -> dict[str, Any]:
    hardware = (line.get("hardware") or {}).get(name) or {}
    note = hardware.get("note", "")
    prefix = f"{name}:/data"
    images = _images(line)
    elsewhere = {key: found for key, found in images.items() if key.startswith(f"{prefix}/")}
    mine = name == "gpu"
    return {
        "id": gpu["node_id"],
        **_given(gpu, {"name": "name", "version": "version"}),
        **_hardware(hardware),
        "ip": gpu.get("public_ip") or str(hardware.get("ip", "")).replace("*", "0"),
        **_given({**hardware, **line, **gpu}, {"host_ip": "hostIp"}),
        "hearsLan": "LAN multicast: heard" in note,
        "passthrough": "cannot be given" not in note,
        "images": [_image(line, image) for image in images.get(prefix, [])],
        "directories": [key.removeprefix(f"{name}:") for key in elsewhere],
        "files": [f"{key.removeprefix(f'{name}:')}/{one['name']}" for key, found in elsewhere.items() for one in found],
        "guest": _guest(line.get("guest") or {}),
        "vms": [_vm(vm) for vm in line.get("vms") or []] if mine else [],
        "lans": [_lan(lan) for lan in line.get("lans") or []] if mine else [],
    }


def _hardware(hardware: Mapping[str, Any]) -> dict[str, Any]:
    cpu, mem = hardware.get("cpu") or {}, hardware.get("mem") or {}
    counts = {"cores": "cpus", "physical_cpus": "sockets"}
    recorded: dict[str, Any] = {
        **_given(hardware, {"os": "os"}),
        **_given(cpu, {"type": "cpuType", "hz": "cpuHz"}),
        **{mine: int(cpu[theirs]) for theirs, mine in counts.items() if theirs in cpu},
    }
    if "gpu_pci" in hardware:
        recorded["gpuPci"] = [gpu.split(" ")[0] for gpu in hardware["gpu_pci"]]
        recorded["gpus"] = len(recorded["gpuPci"])
    if "size" in mem:
        recorded["memory"] = _gib(mem["size"])
        recorded["memoryUsed"] = max(0.0, recorded["memory"] - _gib(mem.get("free", mem["size"])))
    if "disk_data" in hardware:
        recorded["data"] = [_data(disk) for disk in hardware["disk_data"]]
    return recorded


def _guest(guest: Mapping[str, Any]) -> dict[str, Any]:
    """The node reports an address one poll of three seconds after it exists."""
    recorded = _given(guest, _GUEST)
    after = guest.get("dhcp_address_after_s")
    if after is not None:
        recorded["bootSeconds"] = max(0.0, float(str(after).removeprefix("about ")) - 3)
    return recorded


def _lan(lan: Mapping[str, Any]) -> dict[str, Any]:
    vni = {"vni": int(lan["vxlan_vni"])} if lan.get("vxlan_vni") else {}
    return {**_given(lan, _LAN), **vni}


def _vm(vm: Mapping[str, Any]) -> dict[str, Any]:
    """A VM from its recorded details. The domain's state is recorded, or follows from the status."""
    recorded = str(vm.get("domain", "running" if vm["status"] == "running" else "off"))
    off = recorded.startswith(_OFF) or "not running" in recorded
    domain = "shut_off" if off else next((state for word, state in _DOMAINS.items() if word in recorded), "shut_off")
    counts = {
        "gpus": int(vm.get("gpu_count", 0)),
        "cpus": int(vm.get("cpu_cores", 1)),
        "memory": int(_gib(str(vm.get("mem_size", "1")))),
    }
    interfaces = vm.get("interface") or [{}]
    disks = {"disks": [_disk(disk) for disk in vm["disks"]]} if "disks" in vm else {}
    mac = _given({"mac": vm.get("mac_address") or interfaces[0].get("mac_address")}, {"mac": "mac"})
    return {**_given(vm, _VM), **counts, **disks, **mac, "domain": domain}


def _disk(disk: Mapping[str, Any]) -> dict[str, Any]:
    """Disks from details, or from the disk list."""
    size = {"size": _gib(str(disk["size"]))} if "size" in disk else {}
    return {"name": disk["name"], "file": disk.get("source_file") or disk.get("file") or "", **size}


def _given(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Recorded values by the emulator's field names."""
    return {mine: values[theirs] for theirs, mine in names.items() if values.get(theirs) is not None}


def _data(disk: Mapping[str, Any]) -> dict[str, Any]:
    free = {"free": _gib(disk["free"])} if disk.get("free") else {}
    return {"path": disk["path"], "type": disk["type"], "size": _gib(disk["size"]), **free}


def _gib(size: str) -> float:
    """GiB of a size such as `about 22.5G`; a bare number is GiB."""
    number, unit = size.removeprefix("about ").rstrip("KMGTP"), size[-1]
    return float(number) * {"K": 1 / 1024**2, "M": 1 / 1024, "T": 1024, "P": 1024**2}.get(unit, 1)


_GUEST = {
    "guest_agent": "agent",
    "password_can_be_set": "setsPassword",
    "starts": "starts",
    "start_error": "startError",
    "agent_error": "agentError",
    "dhcp": "dhcp",
    "users": "users",
}
_VM = {
    "task_id": "taskId",
    "create_time": "createTime",
    "desc": "desc",
    "status": "status",
    "wallet": "wallet",
    "rent_order": "rentOrder",
    "image_name": "image",
    "os": "operationSystem",
    "operation_system": "operationSystem",
    "bios_mode": "biosMode",
    "ssh_port": "sshPort",
    "rdp_port": "rdpPort",
    "vnc_port": "vncPort",
    "public_ip": "publicIp",
    "network_name": "networkName",
    "network_filters": "networkFilters",
    "custom_port": "customPort",
    "multicast": "multicast",
    "user_name": "user",
    "login_password": "password",
    "vnc_password": "vncPassword",
}
_OFF = ("off", "defined", "shut off", "shut_off", "closed")
_DOMAINS = {
    "no domain": None,
    "none": None,
    "shutting down": "being shutdown",
    "being shutdown": "being shutdown",
    "running": "running",
    "paused": "paused",
    "blocked": "blocked",
    "crashed": "crashed",
    "suspended": "suspended",
}
"""First known word of a text."""
_LAN = {
    "network_name": "networkName",
    "ip_cidr": "ipCidr",
    "rent_wallet": "wallet",
    "machine_id": "machineId",
    "dhcp_interface": "dhcpInterface",
    "lastUseTime": "lastUseTime",
    "members": "members",
}
_SAME_BMC = {key: key for key in ("host", "port", "user", "password", "power")}
_SERVER = {
    "uuid": "uuid",
    "ip": "ip",
    "os": "os",
    "description": "description",
    "ipmi_hostname": "ipmiHostname",
    "ipmi_username": "ipmiUsername",
    "ipmi_password": "ipmiPassword",
    "ipmi_port": "ipmiPort",
    "node_private_key": "nodePrivateKey",
}


def _image(line: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """Files created by the node are based on an image; a file of another size is a copy of it."""
    named = [one for found in _images(line).values() for one in found]
    copies = (one["virtual_bytes"] for one in named if "virtual_bytes" in one and one["bytes"] == image["bytes"])
    bases = [one["name"] for one in named if one.get("virtual_bytes") and not _OVERLAY.match(one["name"])]
    overlay = _OVERLAY.match(image["name"]) and bases
    return {
        "name": image["name"],
        "size": image["bytes"],
        "virtualSize": image.get("virtual_bytes") or next(copies, 20 << 30),
        "base": image.get("base") or (f"/data/{bases[0]}" if overlay else ""),
    }
