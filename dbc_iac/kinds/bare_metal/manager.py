"""BareMetalManager: the process that owns bare-metal servers, which is only read. API: /bare_metal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.inventory import Inventory, Resource, unknown_clients
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import access
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.types import Flag, Hex64
from dbc_iac.kinds.framework.values import Lookup, Observation, unread
from dbc_iac.manifest.project import Url, check_url
from dbc_iac.manifest.validators import wrong


class BareMetalManagerSpec(Spec):
    """A bare-metal manager and its owner's identity."""

    id: Annotated[Hex64, access] = Field(description="the manager's node id, 64 lower-case hex digits")
    identity: Annotated[str, access] = Field(description="an identity with the manager's nodeKey")
    clients: Annotated[tuple[str, ...], access] = Field(default=(), description="client nodes to ask; default: all")
    url: Annotated[Url | None, access] = Field(
        default=None, description="the manager's own port, such as https://rack1:5051: asked in place of client nodes"
    )
    insecure_http: Annotated[Flag, access] = Field(default=False, description="allow plain http to another machine")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.url is not None:
            # Unlike a client node, the manager does not check at its own port whether a signature was used before.
            check_url(self.url, "reusable signatures and BMC passwords", insecure_http=self.insecure_http)
            if self.clients:
                raise wrong(
                    "expected one of clients and url",
                    "Remove one of them: with url no client node is asked.",
                    at="clients",
                )
        return self


@register
class BareMetalManager(Kind[BareMetalManagerSpec]):
    name = "BareMetalManager"
    spec = BareMetalManagerSpec
    read_only = True
    identified_by = ("nodeKey",)

    def route(self, resource: Resource[BareMetalManagerSpec], inventory: Inventory) -> Route:
        spec = resource.spec
        if spec.url is not None:
            return Route(resource.address, spec.id, spec.identity, (), url=spec.url)
        return Route(resource.address, spec.id, spec.identity, spec.clients or inventory.clients)

    def check(self, resource: Resource[BareMetalManagerSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        return unknown_clients(resource, resource.spec.clients, inventory)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        servers = await reader.servers(lookup.route)
        if isinstance(servers, Unreadable):
            return unread("", servers)
        return Observation(True, id=lookup.route.target)
