"""BareMetalManager: the process that owns bare-metal servers; looked at. API: /bare_metal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.kinds.kind import Kind, Observation, Sought, register, unread
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Reader, Unreadable
from dbc_iac.kinds.resource import Inventory, Resource
from dbc_iac.kinds.rules import access
from dbc_iac.kinds.spec import Spec
from dbc_iac.kinds.types import Hex64


class BareMetalManagerSpec(Spec):
    """A bare-metal manager: how it is reached, with its owner's node key."""

    id: Annotated[Hex64, access] = Field(description="the manager's node id, 64 lower-case hex digits")
    identity: Annotated[str, access] = Field(description="an identity with the manager's nodeKey")
    clients: Annotated[tuple[str, ...], access] = Field(default=(), description="client nodes to ask; default: all")


@register
class BareMetalManager(Kind[BareMetalManagerSpec]):
    name = "BareMetalManager"
    spec = BareMetalManagerSpec
    looked_at = True

    def reach(self, resource: Resource[BareMetalManagerSpec], inventory: Inventory) -> Reach:
        spec = resource.spec
        return Reach(resource.address, spec.id, spec.identity, spec.clients or inventory.clients)

    def check(self, resource: Resource[BareMetalManagerSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        for name in resource.spec.clients:
            if name not in inventory.clients:
                yield resource.problem("unknown-client", "clients", f"there is no client node named {name}")

    async def observe(self, sought: Sought, reader: Reader) -> Observation:
        servers = await reader.servers(sought.reach)
        if isinstance(servers, Unreadable):
            return unread("", servers)
        return Observation(True, id=sought.reach.target)
