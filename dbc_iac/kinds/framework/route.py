"""Routes to target processes: id, identity, rent order and client nodes."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.json import Json


class Route(Struct, frozen=True, rename="camel"):
    """A route to one target. Two nodes may share a `target` (two orders on one machine).

    `name` is the address of the Node or BareMetalManager, for people. `rent_order` is empty without one. With `url` the
    target is asked at its own port, and through no client node. `msgspec.convert` reads it from JSON.
    """

    name: str
    target: str
    identity: str
    clients: tuple[str, ...]
    rent_order: str = ""
    url: str = ""

    def under(self, rent_order: str) -> Route:
        """The same route under another rent order; `none` and empty text mean without one."""
        return replace(self, rent_order="" if rent_order == "none" else rent_order)

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "target": self.target,
            "identity": self.identity,
            "clients": list(self.clients),
            "rentOrder": self.rent_order,
            **({"url": self.url} if self.url else {}),
        }
