"""The kinds of resources, one file each. Importing this package registers them all."""

from dbc_iac.kinds import bare_metal_manager, bare_metal_server, disk, network, node, virtual_machine
from dbc_iac.kinds.kind import Kind, Observation, kind_of, kinds, models
from dbc_iac.kinds.resource import Inventory, Resource

__all__ = [
    "Inventory",
    "Kind",
    "Observation",
    "Resource",
    "bare_metal_manager",
    "bare_metal_server",
    "disk",
    "kind_of",
    "kinds",
    "models",
    "network",
    "node",
    "virtual_machine",
]
