"""The kinds of resources. The module of a kind is imported with its first use: see `framework.kind`."""

from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, kind_of, kinds, models
from dbc_iac.kinds.framework.values import Observation

__all__ = ["Inventory", "Kind", "Observation", "Resource", "kind_of", "kinds", "models"]
