"""One callable an endpoint, its first argument a `Channel`, its result an `Outcome`. `ALL` is the table of them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dbc_iac.api.endpoints import bare_metal, disks, images, instances, networks, nodes, snapshots, vms
from dbc_iac.api.endpoints.endpoint import Asks, Endpoint

__all__ = [
    "ALL",
    "Asks",
    "Endpoint",
    "bare_metal",
    "disks",
    "images",
    "instances",
    "networks",
    "nodes",
    "snapshots",
    "vms",
]


def _endpoints(*modules: ModuleType) -> tuple[Endpoint[Any, Any], ...]:
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Endpoint))


ALL: tuple[Endpoint[Any, Any], ...] = _endpoints(nodes, vms, disks, snapshots, images, networks, bare_metal, instances)
