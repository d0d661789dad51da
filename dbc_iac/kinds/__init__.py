"""The kinds of resources, one file each. Importing this package registers them all."""

from dbc_iac.kinds import (
    bare_metal_instance,
    bare_metal_manager,
    bare_metal_server,
    disk,
    image,
    image_export,
    network,
    node,
    snapshot,
    virtual_machine,
)
from dbc_iac.kinds.kind import Kind, Observation, kind_of, kinds, models
from dbc_iac.kinds.resource import Inventory, Resource

__all__ = [
    "Inventory",
    "Kind",
    "Observation",
    "Resource",
    "bare_metal_instance",
    "bare_metal_manager",
    "bare_metal_server",
    "disk",
    "image",
    "image_export",
    "kind_of",
    "kinds",
    "models",
    "network",
    "node",
    "snapshot",
    "virtual_machine",
]
