"""A GPU node behind authorisation: VM records and domains, one worker, disks, LANs, and what it tells of itself."""

from dbc_iac.sim.gpu.node import GpuNode
from dbc_iac.sim.gpu.record import Request

__all__ = ["GpuNode", "Request"]
