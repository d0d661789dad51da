"""The kinds of resources. The module of a kind is imported with its first use: see `framework.kind`."""

from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import MODELS, Kind, kind_of
from dbc_iac.kinds.framework.values import Observation

__all__ = ["MODELS", "Inventory", "Kind", "Observation", "Resource", "kind_of"]
