"""What lives on the machines of a project and is bound to nothing: VMs, disks, snapshots, LANs, bare-metal servers.

VMs of verifiers are passed over. The marker in a VM's description tells whose it is, as far as anything does. Image
files are not looked for: of a file in /data, which all tenants share, nothing tells whose it is.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from dbc_iac.api.reading import VmDetails
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.kind import Sought, kind_of
from dbc_iac.kinds.marker import Marker, parse_marker, read_marker
from dbc_iac.kinds.node import node_reach
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.kinds.resource import Inventory, Resource
from dbc_iac.kinds.spec import Spec
from dbc_iac.kinds.types import gib_text
from dbc_iac.kinds.virtual_machine import reading
from dbc_iac.plan.ownership import Object, object_of, objects
from dbc_iac.plan.session import Session
from dbc_iac.values import Json

CHECK_VM = "vm_check_"
SYSTEM_DISKS = frozenset({"vda", "vdb"})

Whose = Literal["ours", "another project's", "another stack's", "nobody's"]
MAY_BE_TAKEN: frozenset[Whose] = frozenset({"ours", "nobody's"})


@dataclass(frozen=True, slots=True)
class Found:
    """An object without a binding. `fields` are as the API shows them; `place` is the document it is reached by;
    `secrets` are the paths of secrets that it has.
    """

    kind: str
    id: str
    place: str
    reach: Reach
    whose: Whose
    marker: str = ""
    status: str = ""
    holder_id: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found, and why some places could not be looked at."""

    found: tuple[Found, ...]
    unread: Mapping[str, str]


async def find_unbound(session: Session, reader: Reader, held: Mapping[Object, str]) -> Findings:
    """Look at every Node and BareMetalManager of the manifests. `held`: what other stacks have."""
    inventory = session.inventory
    places = [*inventory.of("Node"), *inventory.of("BareMetalManager")]
    unread: dict[str, str] = {}
    looks = ((_of_node if r.kind == "Node" else _of_manager)(r, session, reader, unread) for r in places)
    bound = objects(session.state)
    found: dict[Object, Found] = {}
    for one in itertools.chain(*await asyncio.gather(*looks)):
        key = object_of(one.kind, one.id, one.reach.target, one.holder_id)
        if key not in bound:
            found.setdefault(key, replace(one, whose="another stack's") if key in held else one)
    placed = [await _with_centre(one, reader) for one in found.values()]
    return Findings(tuple(sorted(placed, key=lambda f: (f.kind, f.place, f.id))), unread)


async def _of_node(resource: Resource[Spec], session: Session, reader: Reader, unread: dict[str, str]) -> list[Found]:
    reach = node_reach(resource.name, session.inventory, None)
    listing = await reader.vms(reach)
    if isinstance(listing, Unreadable):
        unread[resource.address] = listing.reason
        return []
    found: list[Found] = []
    machine_ip = await reading.machine_ip(reader, reach)
    for task_id, summary in sorted(listing.value.items()):
        details = None if task_id.startswith(CHECK_VM) else await reader.vm(reach, task_id)
        if not isinstance(details, Known) or details.value is None:
            continue
        if not _is_here(details.value, reach, session.inventory):
            continue
        seen = reading.seen(Sought(resource.address, reach, task_id, 1), summary.status, details.value, machine_ip)
        vm = Found(
            "VirtualMachine", task_id, resource.address, reach, whose(parse_marker(seen.marker), session), seen.marker,
            details.value.status, fields={**seen.values, **seen.made_with},
            secrets=frozenset(p for p, secret in seen.secrets.items() if secret.reveal()),
        )  # fmt: skip
        found += [vm, *_disks(details.value, vm)]
        found += await _snapshots(vm, session, reader, unread) if details.value.disks else []
    return found + await _lans(resource.address, reach, session, reader)


def _is_here(details: VmDetails, reach: Reach, inventory: Inventory) -> bool:
    """Of several Nodes on one machine, the one whose order the VM is under has it; without one the first."""
    orders = {
        node_reach(r.name, inventory, None).rent_order
        for r in inventory.of("Node")
        if getattr(r.spec, "id", "") == reach.target
    }
    order = details.rent_order or ""
    return order == reach.rent_order or order not in orders


def whose(marker: Marker | None, session: Session) -> Whose:
    """By its marker alone."""
    if marker is None:
        return "nobody's"
    project, stack = session.inventory.project, session.inventory.stack
    if marker.is_of(project, stack):
        return "ours"
    return "another stack's" if marker.project == project else "another project's"


def _disks(details: VmDetails, vm: Found) -> Iterable[Found]:
    for disk in details.disks:
        if disk.name in SYSTEM_DISKS:
            continue
        size = gib_text(int(disk.size_gib)) if disk.size_gib is not None and disk.size_gib.denominator == 1 else ""
        fields: dict[str, Json] = {"size": size, "hostDir": str(PurePosixPath(disk.source_file).parent)}
        yield Found("Disk", disk.source_file, vm.place, vm.reach, vm.whose, holder_id=vm.id, fields=fields)


async def _snapshots(vm: Found, session: Session, reader: Reader, unread: dict[str, str]) -> list[Found]:
    """The records of a VM's snapshots, by the name that their file has in an image centre."""
    reach = through_image_client(vm.reach, session.inventory)
    listing = await reader.snapshots(reach, vm.id)
    if isinstance(listing, Unreadable):
        unread[f"snapshots of {vm.id}"] = listing.reason
        return []
    found: list[Found] = []
    for view in listing.value:
        text, marker = read_marker(view.description)
        fields: dict[str, Json] = {"description": text, "file": PurePosixPath(view.file).name}
        owner = vm.whose if marker is None else whose(marker, session)
        found.append(
            Found("Snapshot", view.name, vm.place, reach, owner, str(marker or ""), view.status, vm.id, fields)
        )
    return found


async def _with_centre(one: Found, reader: Reader) -> Found:
    """A snapshot's image centre, which its record does not tell: the one that has its file."""
    if one.kind != "Snapshot":
        return one
    servers = await reader.image_servers(one.reach)
    stored = {s: await reader.centre(one.reach, s) for s in (servers.value if isinstance(servers, Known) else ())}
    having = [s for s, files in stored.items() if isinstance(files, Known) and one.fields["file"] in files.value]
    return replace(one, fields={**one.fields, "imageServer": having[0] if len(having) == 1 else None})


async def _lans(place: str, reach: Reach, session: Session, reader: Reader) -> list[Found]:
    """LANs that our wallet owns, as far as that is known."""
    listing, wallets = await reader.networks(reach), session.wallets(reach.identity)
    if not isinstance(listing, Known):
        return []
    return [
        Found("Network", lan.network_name, place, reach, "nobody's", fields={"cidr": lan.ip_cidr})
        for lan in listing.value
        if lan.rent_wallet in wallets
    ]


async def _of_manager(
    resource: Resource[Spec], session: Session, reader: Reader, unread: dict[str, str]
) -> list[Found]:
    reach = kind_of("BareMetalManager").reach(resource, session.inventory)
    servers = await reader.servers(reach)
    if isinstance(servers, Unreadable):
        unread[resource.address] = servers.reason
        return []
    return [
        Found(
            "BareMetalServer", s.node_id, resource.address, reach, "nobody's",
            fields={
                "uuid": s.uuid, "ip": s.ip, "os": s.os or None, "description": s.description or None,
                "ipmi.host": s.ipmi_hostname, "ipmi.port": s.ipmi_port,
                "ipmi.username": None if s.masked else s.ipmi_username,
            },
        )
        for s in servers.value.values()
    ]  # fmt: skip
