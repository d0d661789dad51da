"""Capacity of a VM by its fields."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.json import Json
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.kinds.framework.types import forward_ranges, parse_gib


def capacity_of(fields: Mapping[str, Json]) -> Capacity:
    """Capacity by desired or applied fields. With a public IP only the screen's port is on the host, but the node
    compares the ssh port (with windows the rdp port) at each start anyway."""
    ports: set[tuple[str, int]] = set()
    for path in ("ports.ssh", "ports.rdp", "ports.vnc"):
        port = fields.get(path)
        if isinstance(port, int) and (path == "ports.vnc" or not fields.get("publicIp")):
            ports.add(("tcp", port))
    forward = fields.get("ports.forward")
    if isinstance(forward, list) and not fields.get("publicIp"):
        for text in forward:
            protocol, host, _ = forward_ranges(str(text))
            ports.update((protocol, port) for port in host)
    remote = "ports.rdp" if fields.get("os") == "windows" else "ports.ssh"
    at_start = (fields.get(path) for path in (remote, "ports.vnc"))
    public_ip = fields.get("publicIp")
    return Capacity(
        gpus=_int(fields.get("gpus")),
        cpus=_int(fields.get("cpus")),
        memory=_gib(fields.get("memory")),
        space={} if fields.get("dataDisk.file") else {"/data": _gib(fields.get("dataDisk.size"))},
        ports=frozenset(ports),
        start_ports=frozenset(("tcp", port) for port in at_start if isinstance(port, int)),
        addresses=frozenset({public_ip} if isinstance(public_ip, str) and public_ip else ()),
    )


def _int(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _gib(value: Json) -> int:
    return parse_gib(value) if isinstance(value, str) else 0
