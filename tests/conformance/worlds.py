"""The world line of a recording as a world file of the emulator, and its chain events as orders and machines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def world_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """What the recording says of the world; what it does not say about timing is a quiet world: no maintenance, no
    restarts by themselves (both are events of the recordings)."""
    nodes = line["nodes"]
    manager = nodes["bare_metal"]
    ids = {name: node["node_id"] for name, node in nodes.items()}
    multisig = line.get("multisig") or {}
    members = [line["wallets"][name]["ss58"] for name in multisig.get("members", []) if name in line["wallets"]]
    return {
        "start": line["recorded"],
        "block": line["chain"].get("block", 1_000_000),
        "restartSeconds": 0,
        "clients": [
            {
                "name": "client",
                "id": nodes["client"]["node_id"],
                "hostOf": nodes["gpu"]["node_id"] if "share one /data" in line.get("replay_notes", "") else "",
            }
        ],
        "wallets": [{"name": n, "seed": w["seed"]} for n, w in line["wallets"].items()],
        "imageCentres": [
            {"id": key, "images": [_image(image) for image in line["images"].get(key, [])]}
            for key in line.get("image_servers_of_client", [])
        ],
        "gpuNodes": [_gpu_node(line)],
        "bmcs": [{k: b[k] for k in ("host", "port", "user", "password", "power")} for b in line["bmcs"]],
        "managers": [
            {
                "seed": manager["seed"],
                "name": manager["name"],
                "maintenance": {"every": 0},
                "servers": [
                    {_SERVER.get(k, k): v for k, v in s.items() if k in _SERVER and v is not None}
                    for s in line["bare_metal_servers"]
                ],
            }
        ],
        **chain_of(line, line["chain"]),
        "sessions": [
            {
                "target": ids[s["node"]],
                "wallet": s["wallet"],
                "id": s["session_id"],
                "issued": s["issued_before_the_first_line"],
                "signers": members if s["wallet"] == multisig.get("account") else [],
            }
            for s in line.get("sessions", [])
        ],
        "seed": int(hashlib.sha256(line["recorded"].encode()).hexdigest()[:8], 16),
    }


def chain_of(line: Mapping[str, Any], chain: Mapping[str, Any]) -> dict[str, Any]:
    """`orders` and `machines` of a world or of a chain event."""
    address = {name: w["ss58"] for name, w in line["wallets"].items()}
    machine = line["nodes"]["gpu"]["node_id"]
    end = line["chain"].get("block", 1_000_000) + 100_000
    windows = tuple(line["chain"].get("verify_time_of_everyone", ()))
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
            for key, order in chain.get("orders", {}).items()
        },
        "machines": {
            m: {
                "status": s["status"],
                "orders": [str(o) for o in s["orders"]] if "orders" in s else None,
                "renter": (s.get("order") or {}).get("renter", ""),
                "end": (s.get("order") or {}).get("rentEnd", end),
                "rentStatus": (s.get("order") or {}).get("rentStatus", "renting"),
                "verifiers": dict.fromkeys(address.values(), windows),
            }
            for m, s in chain.get("machines", {}).items()
        },
    }


def _gpu_node(line: Mapping[str, Any]) -> dict[str, Any]:
    gpu, hardware = line["nodes"]["gpu"], line["hardware"]["gpu"]
    note = hardware.get("note", "")
    memory = _gib(hardware["mem"]["size"])
    prefix = "gpu:/data"
    return {
        "id": gpu["node_id"],
        "name": gpu["name"],
        "gpuPci": [card.split(" ")[0] for card in hardware["gpu_pci"]],
        "cpus": int(hardware["cpu"]["cores"]),
        "sockets": int(hardware["cpu"]["physical_cpus"]),
        "memory": memory,
        "memoryUsed": max(0.0, memory - _gib(hardware["mem"]["free"])),
        "data": [_data(disk) for disk in hardware["disk_data"]],
        "ip": gpu.get("public_ip", ""),
        "hostIp": gpu.get("host_ip", ""),
        "os": hardware["os"],
        "cpuType": hardware["cpu"]["type"],
        "cpuHz": hardware["cpu"]["hz"],
        "hearsLan": "LAN multicast: heard" in note,
        "passthrough": "cannot be given" not in note,
        "images": [_image(image) for image in line["images"].get(prefix, [])],
        "directories": [key.removeprefix("gpu:") for key in line["images"] if key.startswith(f"{prefix}/")],
        "files": [
            f"{key.removeprefix('gpu:')}/{image['name']}"
            for key, images in line["images"].items()
            if key.startswith(f"{prefix}/")
            for image in images
        ],
        "guest": _given(line.get("guest") or {}, _GUEST),
        "vms": [_vm(vm) for vm in line.get("vms", [])],
        "lans": [
            {
                "networkName": lan["network_name"],
                "ipCidr": lan["ip_cidr"],
                "wallet": lan["rent_wallet"],
                "vni": int(lan["vxlan_vni"]),
                "dhcpInterface": lan["dhcp_interface"],
                "lastUseTime": lan["lastUseTime"],
                "members": lan.get("members", []),
            }
            for lan in line.get("lans", [])
        ],
    }


def _vm(vm: Mapping[str, Any]) -> dict[str, Any]:
    """A VM in the words of its details. Its domain is told in words, or follows from the status."""
    told = str(vm.get("domain", "running" if vm["status"] == "running" else "off"))
    domain = next((state for word, state in _DOMAINS.items() if word in told), "shut_off")
    counts = {
        "gpus": int(vm.get("gpu_count", 0)),
        "cpus": int(vm.get("cpu_cores", 1)),
        "memory": int(_gib(str(vm.get("mem_size", "1")))),
    }
    return {**_given(vm, _VM), **counts, "domain": domain}


def _given(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Those that a recording tells, by the emulator's names."""
    return {mine: values[theirs] for theirs, mine in names.items() if values.get(theirs) is not None}


def _data(disk: Mapping[str, Any]) -> dict[str, Any]:
    free = {"free": _gib(disk["free"])} if disk.get("free") else {}
    return {"path": disk["path"], "type": disk["type"], "size": _gib(disk["size"]), **free}


def _gib(size: str) -> float:
    """A size such as `about 22.5G`; a bare number is GiB already."""
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
}
_DOMAINS = {"no domain": None, "none": None, "running": "running", "paused": "paused"}
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


def _image(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": image["name"],
        "size": image["bytes"],
        "virtualSize": image.get("virtual_bytes", 20 << 30),
        "base": image.get("base", ""),
    }
