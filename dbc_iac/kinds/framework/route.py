"""Routes to target processes: id, identity, rent order and client nodes."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.json import Json


class Route(Struct, frozen=True):
    """A route to one target. Two nodes may share a `target` (two orders on one machine).

    `name` is the address of the Node or BareMetalManager, for people. `rent_order` is empty without one. With `url` the
    target is asked at its own port, and through no client node.
    """

    name: str
    target: str
    identity: str
    clients: tuple[str, ...] = ()
    rent_order: str = ""
    url: str = ""

    def under(self, rent_order: str) -> Route:
        """The same route under another rent order; `none` and empty text mean without one."""
        order = "" if rent_order == "none" else rent_order
        return Route(self.name, self.target, self.identity, self.clients, order, self.url)

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "target": self.target,
            "identity": self.identity,
            "clients": list(self.clients),
            "rentOrder": self.rent_order,
            **({"url": self.url} if self.url else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Route:
        """Back from `to_json`. Raises KeyError or ValueError on a value of another shape."""
        names = value["clients"]
        clients = names if isinstance(names, list | tuple) else [None]
        order, url = value.get("rentOrder") or "", value.get("url") or ""
        parts = (value["name"], value["target"], value["identity"], *clients, order, url)
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("a part of the route is not text")
        name, target, identity, *known, rent_order, address = map(str, parts)
        return cls(name, target, identity, tuple(known), rent_order, address)
