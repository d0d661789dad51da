"""The kinds of resources. Importing this package registers all of them."""

from dbc_iac.kinds import disk, network, node, virtual_machine
from dbc_iac.kinds.bare_metal import instance, manager, server
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, kind_of, kinds, models
from dbc_iac.kinds.framework.values import Observation
from dbc_iac.kinds.images import image, image_export
from dbc_iac.kinds.snapshots import snapshot

__all__ = [
    "Inventory",
    "Kind",
    "Observation",
    "Resource",
    "disk",
    "image",
    "image_export",
    "instance",
    "kind_of",
    "kinds",
    "manager",
    "models",
    "network",
    "node",
    "server",
    "snapshot",
    "virtual_machine",
]
