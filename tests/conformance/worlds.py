"""The world line of a recording as a world file of the emulator."""

from __future__ import annotations

import hashlib
from typing import Any


def world_of(line: dict[str, Any]) -> dict[str, Any]:
    nodes, hardware = line["nodes"], line["hardware"]["gpu"]
    gpu, manager = nodes["gpu"], nodes["bare_metal"]
    chain = line["chain"]
    address = {name: w["ss58"] for name, w in line["wallets"].items()}
    ids = {"gpu": gpu["node_id"], "bare_metal": manager["node_id"]}
    count = int(hardware["gpu"]["gpu_count"])
    return {
        "wallets": [{"name": n, "seed": w["seed"]} for n, w in line["wallets"].items()],
        "imageServers": line.get("image_servers_of_client", []),
        "gpuNodes": [
            {
                "id": gpu["node_id"],
                "name": gpu["name"],
                "gpus": count,
                "cpus": int(hardware["cpu"]["cores"]),
                "sockets": int(hardware["cpu"]["physical_cpus"]),
                "threads": 1,
                "memory": float(hardware["mem"]["size"].rstrip("G")),
                "disk": 1024,
                "ip": gpu.get("public_ip", ""),
                "hostIp": gpu.get("host_ip", ""),
                "os": hardware["os"],
                "cpuType": hardware["cpu"]["type"],
                "cpuHz": hardware["cpu"]["hz"],
                "hearsLan": "LAN multicast: heard" in hardware.get("note", ""),
                "passthrough": "cannot be given" not in hardware.get("note", ""),
                "images": [{"name": i["name"], "size": i["bytes"]} for i in line["images"].get("gpu:/data", [])],
                "systemDisk": 0.0625,
                "guest": {
                    "agent": (line.get("guest") or {}).get("guest_agent", True),
                    "setsPassword": (line.get("guest") or {}).get("password_can_be_set", True),
                },
            }
        ],
        "bmcs": [{k: b[k] for k in ("host", "port", "user", "password", "power")} for b in line["bmcs"]],
        "managers": [
            {
                "seed": manager["seed"],
                "name": manager["name"],
                "servers": [
                    {_SERVER.get(k, k): v for k, v in s.items() if k in _SERVER and v is not None}
                    for s in line["bare_metal_servers"]
                ],
            }
        ]
        if manager["state"] == "running"
        else [],
        "orders": {key: _order(o, address, chain, gpu["node_id"], count) for key, o in chain.get("orders", {}).items()},
        "machines": {
            m: {
                "status": s["status"],
                "orders": [str(o) for o in s.get("orders", [])],
                "renter": (s.get("order") or {}).get("renter", ""),
                "end": (s.get("order") or {}).get("rentEnd", chain.get("block", 0) + 100_000),
                "rentStatus": (s.get("order") or {}).get("rentStatus", "renting"),
            }
            for m, s in chain.get("machines", {}).items()
        },
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


def _order(order: dict[str, Any], address: dict[str, str], chain: dict[str, Any], machine: str, gpus: int) -> Any:
    return {
        "renter": address.get(order["renter"], order["renter"]),
        "machine": machine,
        "status": order.get("rentStatus", "renting"),
        "gpus": [g for g in order.get("gpuIndex", []) if g < gpus],
        "end": order.get("rentEnd", chain.get("block", 0) + 100_000),
    }
