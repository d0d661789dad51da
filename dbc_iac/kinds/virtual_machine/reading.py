"""Observation of a VM: field values by its details, which are not always exact."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from msgspec.structs import replace

from dbc_iac.api.responses import VmDetails, VmSummary
from dbc_iac.json import Json
from dbc_iac.kinds.current_route import target_of
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.ownership_marker import read_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.types import gib_text
from dbc_iac.kinds.framework.values import Lookup, Observation, unread
from dbc_iac.kinds.node import node_route
from dbc_iac.kinds.virtual_machine.creation import NO_AGENT
from dbc_iac.kinds.virtual_machine.goals import CREATE_ERROR, POWER, READ_SIZES, SENT, TRANSITIONAL, no_size, why_stuck

_DETAILS = set(VmDetails.__struct_fields__)
_SHOWN = {path: sent.key for path, sent in SENT.items() if sent.key in _DETAILS}
"""Fields that the details show under the name by which they were sent."""
_ACCOUNT = ("login.username", "login.password")


async def observe(lookup: Lookup, reader: CachedReader) -> Observation:
    """Observe a VM by the list, whose absence alone proves absence, and by its details."""
    status = await reader.vm_status(lookup.route, lookup.id)
    if isinstance(status, Unreadable):
        return unread("", status)
    if status.value is None:
        return Observation(False, id=lookup.id)
    details = await reader.vm(lookup.route, lookup.id)
    if isinstance(details, Unreadable):
        return unread(lookup.id, details)
    if details.value is None:
        if await reader.vm_went(lookup.route, lookup.id):
            return Observation(False, id=lookup.id)
        return Observation(None, id=lookup.id, reason="the node lists the VM, but says that it does not exist")
    observed = seen(lookup, status.value, details.value, await machine_ip(reader, lookup.route))
    if status.value == CREATE_ERROR:
        return replace(observed, stuck=await why_stuck(reader, lookup.route, lookup.id))
    return observed


CHECK_VM = "vm_check_"
"""Prefix of the ids of VMs of verifiers."""


async def vms_of(
    node: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
) -> list[tuple[VmSummary, VmDetails]]:
    """VMs of a Node, except those of verifiers and those deleted meanwhile. Adds reasons to `unread`."""
    route = node_route(node.name, inventory, None)
    listing = await reader.vms(route)
    if isinstance(listing, Unreadable):
        unread[node.address] = listing.reason
        return []
    nodes = inventory.having(node.kind, target_of, route.target)
    orders = {node_route(n.name, inventory, None).rent_order for n in nodes}
    here: list[tuple[VmSummary, VmDetails]] = []
    for task_id, summary in sorted(listing.value.items()):
        details = None if task_id.startswith(CHECK_VM) else await reader.vm(route, task_id)
        if isinstance(details, Known) and details.value is not None and _is_of(details.value, route, orders):
            here.append((summary, details.value))
    return here


def _is_of(details: VmDetails, route: Route, orders: Collection[str]) -> bool:
    """Whether a VM belongs to this Node: the one with its order, else any. `orders`: of all on its machine."""
    order = details.rent_order or ""
    return order == route.rent_order or order not in orders


async def machine_ip(reader: CachedReader, route: Route) -> str | None:
    """The node's masked address, which differs from a VM's public IP."""
    hardware = await reader.hardware(route)
    return hardware.value.ip if isinstance(hardware, Known) else None


def seen(lookup: Lookup, status: str, details: VmDetails, masked_ip: str | None) -> Observation:
    """The observation of a VM that exists. `masked_ip` is the node's address as masked (`*.51.*.142`), if known."""
    description, marker = read_marker(details.desc)
    values: dict[str, Json] = {
        "description": description,
        "os": "windows" if "win" in details.os else "linux",
        "rentOrder": details.rent_order or "none",
        "network": details.network_name or None,
        "login.username": details.user_name,
    }
    for path, key in _SHOWN.items():
        if (value := getattr(details, key)) is not None:
            plain = list(value) if isinstance(value, tuple) else value
            values[path] = gib_text(value) if isinstance(value, Fraction) else plain
    _data_disk(lookup, details, values)
    # `ssh_ip` is the public IP where there is one, else the machine's own: decidable only when they differ.
    applied = lookup.binding.applied.get("publicIp") if lookup.binding else None
    if details.ssh_ip and details.ssh_ip == applied:
        values["publicIp"] = applied
    elif details.ssh_ip and masked_ip and "." in masked_ip:
        values["publicIp"] = None if fnmatchcase(details.ssh_ip, masked_ip) else details.ssh_ip
    if status in POWER:
        values["power"] = POWER[status]
    notes: tuple[str, ...] = ()
    if details.user_name == NO_AGENT and status not in TRANSITIONAL:
        notes = ("the guest has no agent: its account and password are unknown and cannot be set",)
    notes += tuple(f"{no_size(d.source_file)}; {READ_SIZES}" for d in details.disks if not d.size_gib)
    made_with: dict[str, Json] = {}
    if lookup.binding is None and details.disks:
        made_with["dataDisk.file"] = attached_file(details) or None
    path = next((d.source_file for d in details.disks if d.name == "vdb"), "")
    return Observation(
        True,
        id=lookup.id,
        values=values,
        secrets={"login.password": details.login_password} if details.user_name != NO_AGENT else {},
        status=status,
        busy=status in TRANSITIONAL,
        failed_creation=status == CREATE_ERROR,
        blocked=dict.fromkeys(_ACCOUNT, "the guest has no agent") if details.user_name == NO_AGENT else {},
        marker=str(marker) if marker else "",
        notes=notes,
        made_with=made_with,
        resolved={"dataDisk.path": path} if path else {},
    )


def login_account(details: VmDetails, applied: Mapping[str, Json]) -> str:
    """The account to log in with: the one whose password is managed. The node only ever reports the image's own."""
    return str(applied.get("login.username") or details.user_name)


_OWN = re.compile(r"/data/(?:vm|data)_[0-9]{1,5}_([0-9]{14})\.qcow2")
_TOGETHER = 60
"""Seconds within which a node names the two files of one creation."""


def attached_file(details: VmDetails) -> str:
    """The name of the user's own file that is the data disk; empty if the node made it.

    A node generates both names together: `vm_N_STAMP` and `data_N_STAMP`. A data file of that form with another stamp
    is older: it is the data disk of an earlier VM, attached by its name.
    """
    named = {d.name: d.source_file for d in details.disks}
    path = PurePosixPath(named.get("vdb", ""))
    if str(path.parent) != "/data":
        return ""  # only files of /data can be attached: what has this name elsewhere was added later
    system, data = (_OWN.fullmatch(named.get(name, "")) for name in ("vda", "vdb"))
    if data is None:
        return path.name
    return "" if system is None or _seconds_between(system[1], data[1]) <= _TOGETHER else path.name


def _seconds_between(one: str, other: str) -> float:
    try:
        first, second = (datetime.strptime(stamp, "%Y%m%d%H%M%S") for stamp in (one, other))
    except ValueError:
        return 0.0  # not a date: only its form is known
    return abs((first - second).total_seconds())


def _data_disk(lookup: Lookup, details: VmDetails, values: dict[str, Json]) -> None:
    bound = lookup.binding.resolved.get("dataDisk.path") if lookup.binding else None
    names = {"name": "vdb"} if bound is None else {"source_file": bound}
    disk = next((d for d in details.disks if all(getattr(d, k) == v for k, v in names.items())), None)
    if disk is not None and disk.size_gib:
        values["dataDisk.size"] = gib_text(disk.size_gib)
    elif disk is None and bound is not None:
        values["dataDisk.size"] = "0Gi"  # its file is gone: visible drift
