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
            }
            for m, s in chain.get("machines", {}).items()
        },
    }


def _gpu_node(line: Mapping[str, Any]) -> dict[str, Any]:
    gpu, hardware, guest = line["nodes"]["gpu"], line["hardware"]["gpu"], line.get("guest") or {}
    note = hardware.get("note", "")
    memory = float(hardware["mem"]["size"].rstrip("G"))
    free = float(hardware["mem"]["free"].removeprefix("about ").rstrip("G"))
    disk = next(d for d in hardware["disk_data"] if d["path"] == "/data")
    prefix = "gpu:/data"
    return {
        "id": gpu["node_id"],
        "name": gpu["name"],
        "gpuPci": [card.split(" ")[0] for card in hardware["gpu_pci"]],
        "cpus": int(hardware["cpu"]["cores"]),
        "sockets": int(hardware["cpu"]["physical_cpus"]),
        "memory": memory,
        "memoryUsed": max(0.0, memory - free),
        "disk": float(disk["size"].rstrip("G")),
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
        "guest": {
            "agent": guest.get("guest_agent", True),
            "setsPassword": guest.get("password_can_be_set", True),
            "starts": guest.get("starts", True),
        },
        "vms": [
            {
                "taskId": vm["task_id"],
                "createTime": vm["create_time"],
                "desc": vm["desc"],
                "status": vm["status"],
                "domain": "shut_off",
            }
            for vm in line.get("vms", [])
        ],
        "lans": [
            {
                "networkName": lan["network_name"],
                "ipCidr": lan["ip_cidr"],
                "wallet": lan["rent_wallet"],
                "vni": int(lan["vxlan_vni"]),
                "dhcpInterface": lan["dhcp_interface"],
                "lastUseTime": lan["lastUseTime"],
            }
            for lan in line.get("lans", [])
        ],
    }


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
    return {"name": image["name"], "size": image["bytes"], "virtualSize": image.get("virtual_bytes", 20 << 30)}
