"""One callable an endpoint, its first argument a `Channel`, its result an `Outcome`. `ALL` is the table of them.

A family of endpoints is imported when it is first used: a command needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbc_iac.api.endpoints.endpoint import Asks, Endpoint

if TYPE_CHECKING:
    from dbc_iac.api.endpoints import bare_metal, disks, images, instances, networks, nodes, snapshots, vms

    ALL: tuple[Endpoint[Any, Any], ...]

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

_FAMILIES = ("nodes", "vms", "disks", "snapshots", "images", "networks", "bare_metal", "instances")


def __getattr__(name: str) -> Any:
    if name == "ALL":
        modules = [import_module(f"{__name__}.{family}") for family in _FAMILIES]
        return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Endpoint))
    if name in _FAMILIES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(name)
