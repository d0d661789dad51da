"""VirtualMachine: a VM on a rented GPU node. API: /tasks/*, and /disk/resize for its first data disk."""
