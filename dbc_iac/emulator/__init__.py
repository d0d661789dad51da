"""Emulated DBC network: client nodes, GPU nodes, bare-metal managers, a chain, image servers, BMCs, DeepLink.

It reproduces the wire behaviour of the real software, bugs included, and shares no code or constant with the product
that it tests. `network.Network` is a running world; `world.WorldSpec` is its description file; `http` serves requests,
`gpu` and `bare_metal` process them; `admin` inspects and changes the world outside of the API.
"""

from dbc_iac.emulator.embedded import EmbeddedNetwork
from dbc_iac.emulator.network import Network
from dbc_iac.emulator.world import FaultSpec, WorldSpec, load_world

__all__ = ["EmbeddedNetwork", "FaultSpec", "Network", "WorldSpec", "load_world"]
