"""A client node with GPU nodes and bare-metal managers behind it, in one process. Shares nothing with the product."""

from dbc_iac.sim.emulator import Emulator
from dbc_iac.sim.world import FaultSpec, WorldSpec, load_world

__all__ = ["Emulator", "FaultSpec", "WorldSpec", "load_world"]
