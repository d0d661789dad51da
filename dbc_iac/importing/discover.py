"""Discovery of unmanaged objects on the machines of a project: VMs, disks, snapshots, LANs, bare-metal servers.

VMs of verifiers are skipped. The marker in a VM's description names its owner, if it has one. Image files are not
discovered: a file in /data, which all tenants share, has no owner.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from dbc_iac.api.responses import VmDetails
from dbc_iac.json import Json
from dbc_iac.kinds.bare_metal.server import entry_fields
from dbc_iac.kinds.disk import OF_THE_VM
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker, read_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.types import gib_text
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.kinds.node import node_route
from dbc_iac.kinds.virtual_machine import reading
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object, object_of, objects

CHECK_VM = "vm_check_"

Whose = Literal["ours", "another project's", "another stack's", "nobody's"]
MAY_BE_TAKEN: frozenset[Whose] = frozenset({"ours", "nobody's"})


@dataclass(frozen=True, slots=True)
class UnmanagedObject:
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


@dataclass(frozen=True, slots=True)
class Findings:
    """Unmanaged objects, and the reasons for places that could not be read."""

    found: tuple[UnmanagedObject, ...]
    unread: Mapping[str, str]


async def find_unbound(context: PlanContext, reader: CachedReader, held: Mapping[Object, str]) -> Findings:
    """Discover objects on every Node and BareMetalManager of the manifests. `held`: objects of other stacks."""
    inventory = context.inventory
    places = [*inventory.of("Node"), *inventory.of("BareMetalManager")]
    unread: dict[str, str] = {}
    looks = ((_of_node if r.kind == "Node" else _of_manager)(r, context, reader, unread) for r in places)
    bound = objects(context.state)
    found: dict[Object, UnmanagedObject] = {}
    for one in itertools.chain(*await asyncio.gather(*looks)):
        key = object_of(one.kind, one.id, one.route.target, one.parent_id)
        if key not in bound:
            found.setdefault(key, replace(one, whose="another stack's") if key in held else one)
    users = _users_of_lans(found.values())
    owned = (
        replace(one, whose=users.get(one.id, one.whose)) if one.kind == "Network" else one for one in found.values()
    )
    placed = [await _with_image_server(one, reader) for one in owned]
    return Findings(tuple(sorted(placed, key=lambda f: (f.kind, f.place, f.id))), unread)


async def _of_node(
    resource: Resource[Spec], context: PlanContext, reader: CachedReader, unread: dict[str, str]
) -> list[UnmanagedObject]:
    route = node_route(resource.name, context.inventory, None)
    listing = await reader.vms(route)
    if isinstance(listing, Unreadable):
        unread[resource.address] = listing.reason
        return []
    found: list[UnmanagedObject] = []
    machine_ip = await reading.machine_ip(reader, route)
    for task_id, summary in sorted(listing.value.items()):
        details = None if task_id.startswith(CHECK_VM) else await reader.vm(route, task_id)
        if not isinstance(details, Known) or details.value is None:
            continue
        if not _is_here(details.value, route, context.inventory):
            continue
        seen = reading.seen(Lookup(resource.address, route, task_id, 1), summary.status, details.value, machine_ip)
        vm = UnmanagedObject(
            "VirtualMachine", task_id, resource.address, route, whose(parse_marker(seen.marker), context), seen.marker,
            details.value.status, fields={**seen.values, **seen.made_with},
            secrets=frozenset(p for p, secret in seen.secrets.items() if secret.reveal()),
        )  # fmt: skip
        found += [vm, *_disks(details.value, vm)]
        found += await _snapshots(vm, context, reader, unread) if details.value.disks else []
    return found + await _lans(resource.address, route, context, reader)


def _is_here(details: VmDetails, route: Route, inventory: Inventory) -> bool:
    """Whether a VM belongs to this Node: of several Nodes on one machine that with its order, else the first."""
    orders = {
        node_route(r.name, inventory, None).rent_order
        for r in inventory.of("Node")
        if getattr(r.spec, "id", "") == route.target
    }
    order = details.rent_order or ""
    return order == route.rent_order or order not in orders


def whose(marker: Marker | None, context: PlanContext) -> Whose:
    """Owner of an object by its marker."""
    if marker is None:
        return "nobody's"
    project, stack = context.inventory.project, context.inventory.stack
    if marker.is_of(project, stack):
        return "ours"
    return "another stack's" if marker.project == project else "another project's"


def _disks(details: VmDetails, vm: UnmanagedObject) -> Iterable[UnmanagedObject]:
    for disk in details.disks:
        if disk.name in OF_THE_VM:
            continue
        size = gib_text(int(disk.size_gib)) if disk.size_gib is not None and disk.size_gib.denominator == 1 else ""
        fields: dict[str, Json] = {"size": size, "hostDir": str(PurePosixPath(disk.source_file).parent)}
        yield UnmanagedObject("Disk", disk.source_file, vm.place, vm.route, vm.whose, parent_id=vm.id, fields=fields)


async def _snapshots(
    vm: UnmanagedObject, context: PlanContext, reader: CachedReader, unread: dict[str, str]
) -> list[UnmanagedObject]:
    """Records of a VM's snapshots, with the names of their files in an image server."""
    route = through_image_client(vm.route, context.inventory)
    listing = await reader.snapshots(route, vm.id)
    if isinstance(listing, Unreadable):
        unread[f"snapshots of {vm.id}"] = listing.reason
        return []
    found: list[UnmanagedObject] = []
    for view in listing.value:
        text, marker = read_marker(view.description)
        fields: dict[str, Json] = {"description": text, "file": PurePosixPath(view.file).name}
        owner = vm.whose if marker is None else whose(marker, context)
        found.append(
            UnmanagedObject(
                "Snapshot", view.name, vm.place, route, owner, str(marker or ""), view.status, vm.id, fields
            )
        )
    return found


async def _with_image_server(one: UnmanagedObject, reader: CachedReader) -> UnmanagedObject:
    """Add the image server of a snapshot, which its record does not name: the one with its file."""
    if one.kind != "Snapshot":
        return one
    servers = await reader.image_servers(one.route)
    stored = {s: await reader.image_server(one.route, s) for s in (servers.value if isinstance(servers, Known) else ())}
    having = [s for s, files in stored.items() if isinstance(files, Known) and one.fields["file"] in files.value]
    return replace(one, fields={**one.fields, "imageServer": having[0] if len(having) == 1 else None})


async def _lans(place: str, route: Route, context: PlanContext, reader: CachedReader) -> list[UnmanagedObject]:
    """LANs of the project's wallets."""
    listing, wallets = await reader.networks(route), context.wallets(route.identity)
    if not isinstance(listing, Known):
        return []
    return [
        UnmanagedObject("Network", lan.network_name, place, route, "nobody's", fields={"cidr": lan.ip_cidr})
        for lan in listing.value
        if lan.rent_wallet in wallets
    ]


def _users_of_lans(found: Iterable[UnmanagedObject]) -> dict[str, Whose]:
    """The owners of LANs by name, derived from the VMs that use them: a LAN has no owner marker."""
    return {
        str(one.fields["network"]): one.whose
        for one in found
        if one.kind == "VirtualMachine" and one.fields.get("network") and one.whose not in MAY_BE_TAKEN
    }


async def _of_manager(
    resource: Resource[Spec], context: PlanContext, reader: CachedReader, unread: dict[str, str]
) -> list[UnmanagedObject]:
    route = kind_of("BareMetalManager").route(resource, context.inventory)
    servers = await reader.servers(route)
    if isinstance(servers, Unreadable):
        unread[resource.address] = servers.reason
        return []
    return [
        UnmanagedObject(
            "BareMetalServer", s.node_id, resource.address, route, "nobody's",
            fields=entry_fields(s),
        )
        for s in servers.value.values()
    ]  # fmt: skip
