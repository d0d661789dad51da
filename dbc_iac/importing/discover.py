"""Discovery of unmanaged objects on the machines of a project: VMs, disks, snapshots, LANs, bare-metal servers.

VMs of verifiers are skipped. The marker in a VM's description names its owner, if it has one. Image files are not
discovered: a file in /data, which all tenants share, has no owner.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.importable import Importable, importable
from dbc_iac.kinds.framework.inventory import Resource
from dbc_iac.kinds.framework.kind import MODELS, kind_of
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object, object_of, objects

_LOG = logging.getLogger("dbc_iac.importing")
Whose = Literal["ours", "another project's", "another stack's", "nobody's"]
MAY_BE_TAKEN: frozenset[Whose] = frozenset({"ours", "nobody's"})


class UnmanagedObject(Struct, frozen=True):
    """An object without a binding. `fields` are as the API shows them; `place` is the document it is reached by;
    `secrets` are the paths of secrets that it has.
    """

    kind: str
    id: str
    place: str
    route: Route
    whose: Whose
    marker: str = ""
    status: str = ""
    parent_id: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


class Findings(Struct, frozen=True):
    """Unmanaged objects, and the reasons for places that could not be read."""

    found: tuple[UnmanagedObject, ...]
    unread: Mapping[str, str]


async def find_unbound(context: PlanContext, reader: CachedReader, held: Mapping[Object, str]) -> Findings:
    """Discover objects on every Node and BareMetalManager of the manifests. `held`: objects of other stacks."""
    unread: dict[str, str] = {}
    kinds = [kind for name in MODELS if isinstance(kind := kind_of(name), Importable)]
    looks = [_on(kind, r, context, reader, unread) for kind in kinds for r in context.inventory.of(kind.place)]
    there = [*itertools.chain(*await asyncio.gather(*looks))]
    owners = {(one.place, one.id): one.whose for one in there if not one.parent_id}
    bound = objects(context.state)
    found: dict[Object, UnmanagedObject] = {}
    for one in there:
        key = object_of(one.kind, one.id, one.route.target, one.parent_id)
        if key not in bound:
            owner = one.whose if one.marker else owners.get((one.place, one.parent_id), one.whose)
            found.setdefault(key, replace(one, whose="another stack's" if key in held else owner))
    users = {
        used: one.whose
        for one in found.values()
        if one.whose not in MAY_BE_TAKEN
        for used in importable(one.kind).uses(one.fields)
    }
    owned = [replace(one, whose=users.get((one.kind, one.id), one.whose)) for one in found.values()]
    whole = [replace(o, fields=await importable(o.kind).completed(o.fields, o.route, reader)) for o in owned]
    _LOG.info("found %d objects, %d unmanaged, %d places not read", len(there), len(whole), len(unread))
    return Findings(tuple(sorted(whole, key=lambda f: (f.kind, f.place, f.id))), unread)


async def _on(
    kind: Importable, place: Resource[Spec], context: PlanContext, reader: CachedReader, unread: dict[str, str]
) -> list[UnmanagedObject]:
    """Objects of a kind on a place, without those of other wallets."""
    return [
        UnmanagedObject(
            kind.name, one.id, place.address, one.route, whose(parse_marker(one.marker), context), one.marker,
            one.status, one.parent_id, one.fields, one.secrets,
        )
        for one in await kind.existing(place, context.inventory, reader, unread)
        if one.owner is None or one.owner in context.wallets(one.route.identity)
    ]  # fmt: skip


def whose(marker: Marker | None, context: PlanContext) -> Whose:
    """Owner of an object by its marker."""
    if marker is None:
        return "nobody's"
    project, stack = context.inventory.project, context.inventory.stack
    if marker.is_of(project, stack):
        return "ours"
    return "another stack's" if marker.project == project else "another project's"
