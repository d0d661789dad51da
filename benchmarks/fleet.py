"""The fleet: VMs from one `forEach`, spread over 20 nodes that are each rented whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.projects import SEED, Emulated, document, project

NODES = 20
_IDS = [hashlib.sha256(f"node {n}".encode()).hexdigest() for n in range(NODES)]


VM = {
    "node": "{{ each.value }}",
    "image": "ubuntu.qcow2",
    "gpus": 0,
    "cpus": 1,
    "memory": "1Gi",
    "dataDisk": {"size": "10Gi"},
    "ports": {"ssh": "auto", "vnc": "auto"},
}
"""The spec of each VM, in a `forEach` from its name to its node."""


def nodes() -> list[str]:
    """The manifests of the nodes."""
    return [
        document("Node", f"node-{n}", {"id": i, "identity": "tenant", "rentOrder": str(n), "portRange": "20000-39999"})
        for n, i in enumerate(_IDS)
    ]


def documents(count: int) -> list[str]:
    """The manifests of `count` VMs and of their nodes."""
    return [
        *nodes(),
        document("VirtualMachine", "fleet", VM, forEach={f"vm-{n}": f"node-{n % NODES}" for n in range(count)}),
    ]


def world(count: int) -> dict[str, Any]:
    """An emulated network with room for `count` VMs."""
    room = count // NODES + 2
    return {
        "gpuNodes": [{"id": i, "cpus": max(64, room), "memory": max(256, 2 * room)} for i in _IDS],
        "wallets": [{"name": "tenant", "seed": SEED}],
        "orders": {str(n): {"renter": "tenant", "machine": i} for n, i in enumerate(_IDS)},
    }


def fleet(directory: Path, count: int) -> Emulated:
    """The fleet on the emulator, in process and on a virtual clock."""
    return Emulated(project(directory, *documents(count)), world(count))
