"""VirtualMachine: a VM on a rented GPU node. API: /tasks/*, and /disk/resize for its first data disk."""

from dbc_iac.kinds.virtual_machine.kind import VirtualMachine
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec

__all__ = ["VirtualMachine", "VirtualMachineSpec"]
