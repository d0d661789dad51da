"""An emulated DBC network: client nodes, GPU nodes, bare-metal managers, a chain, image servers, BMCs, DeepLink.

It behaves as the real software does on the wire, down to its bugs, and shares no code and no constant with the product
that it tests. `network.Network` is a world that runs; `world.WorldSpec` is the file that describes it; `http` is what
callers meet, `gpu` and `bare_metal` what is behind; `admin` looks behind everybody's back.
"""

from dbc_iac.emulator.http.asgi import port_app
from dbc_iac.emulator.network import Network
from dbc_iac.emulator.world import FaultSpec, WorldSpec, load_world

__all__ = ["FaultSpec", "Network", "WorldSpec", "load_world", "port_app"]
