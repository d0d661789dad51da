"""Snapshot: an export of a VM's system disk to an image server. API: /snapshot/*, /images.

The node keeps its record with the VM. Its file on the image server cannot be deleted, and alone proves a complete
upload: the record's status only shows whether a transfer runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from msgspec.structs import asdict
from pydantic import Field

from dbc_iac.api import requests
from dbc_iac.api.endpoints import snapshots
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import Child, Marked, Recoverable, UsesImageServer
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, Needs, unseen
from dbc_iac.kinds.framework.importable import Existing, Found, Importable, nested
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.ownership_marker import Marker, read_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Rule, replaced, sent_once
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import Description, SnapshotName, Token
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, Unmanaged, unread
from dbc_iac.kinds.images.files import BASE, root_of_snapshot, with_base
from dbc_iac.kinds.images.image_server import check_image_server, through_image_client
from dbc_iac.kinds.node import node_route
from dbc_iac.kinds.snapshots.snapshot_upload import (
    ARRIVED,
    CREATING,
    IDLE,
    UNSEEN,
    UNVERIFIED,
    UPLOADING,
    SnapshotArrived,
    SnapshotSent,
    find_snapshot,
)
from dbc_iac.kinds.virtual_machine.reading import vms_of
from dbc_iac.kinds.virtual_machine.spec import vm_of

_MAX_NAME_LENGTH = 64
_STATUS = "status"
_NOT_VERIFIED = "the end of its upload was not seen: its file in the image server may be incomplete"
_ARCHIVED = "taken of an earlier VM: its record was deleted with that VM, its file is in the image server"


class SnapshotSpec(Spec):
    """A snapshot of a VM's system disk. It is taken in an offline window of the VM."""

    vm: Annotated[str, replaced, Reference("VirtualMachine")] = Field(description="name of the VM")
    name: Annotated[SnapshotName | None, replaced] = Field(
        default=None, description="default: metadata.name; kept by `moved`"
    )
    description: Annotated[Description | None, Rule(Behaviour.CREATE_ONLY)] = None
    image_server: Annotated[Token, sent_once] = Field(description="id of the image server that it is uploaded to")
    trigger: Annotated[Token | None, Rule(Behaviour.REPLACE, not_reported=True)] = Field(
        default=None, description="any text; when it changes, a new snapshot is taken and the old record deleted"
    )


class SnapshotTaken(Goal, frozen=True, kw_only=True):
    """The system disk is copied, and the VM may run again. The call is blind, but its name is listed at once."""

    name = "snapshot-taken"
    call_class = CallClass.BLIND
    needs = Needs.OFF
    creates = True
    description: str
    image_server: str
    base: str = ""

    @property
    def action_text(self) -> str:
        return f"creating snapshot {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        found = await find_snapshot(reader, self.route, self.vm, self.id)
        if isinstance(found, Unreadable):
            return unseen(found)
        if found.value is None:
            return GoalState(GoalStatus.UNMET)
        if found.value.status == CREATING:
            return GoalState(GoalStatus.WAITING, "converting the disk")
        resolved: dict[str, Json] = {"file": PurePosixPath(found.value.file).name, "vm": self.vm}
        resolved |= {BASE: self.base} if self.base else {}
        return GoalState(GoalStatus.MET, id=self.id, resolved=resolved)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        body = requests.SnapshotCreate(snapshot_name=self.id, image_server=self.image_server, desc=self.description)
        return await snapshots.create_snapshot(await context.connect(self.route), self.vm, body)


class SnapshotKnown(SnapshotTaken, frozen=True, kw_only=True):
    """An existing snapshot is adopted. No call is made."""

    name = "snapshot-known"
    call_class = CallClass.READ
    needs = Needs.ANY

    @property
    def action_text(self) -> str:
        return f"adopting snapshot {self.id}"

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)


class SnapshotAbsent(Goal, frozen=True, kw_only=True):
    """The snapshot's record is deleted. Waits while the disk is converted: the call would end the node's process."""

    name = "snapshot-absent"
    call_class = CallClass.KEYED
    deletes = True

    @property
    def action_text(self) -> str:
        return f"deleting the record of snapshot {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        found = await find_snapshot(reader, self.route, self.vm, self.id)
        if isinstance(found, Unreadable):
            return unseen(found)
        if found.value is None:
            return GoalState(GoalStatus.MET)
        return GoalState(GoalStatus.WAITING if found.value.status == CREATING else GoalStatus.UNMET, found.value.status)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await snapshots.delete_snapshot(await context.connect(self.route), self.vm, self.id)


@register
class Snapshot(Kind[SnapshotSpec], Child, Marked, Recoverable, UsesImageServer, Importable):
    name = "Snapshot"
    name_prefix = "snapshot"
    spec = SnapshotSpec
    parent_field = "vm"
    survives_parent = True

    def route(self, resource: Resource[SnapshotSpec], inventory: Inventory) -> Route:
        vm = vm_of(resource.spec.vm, inventory)
        return through_image_client(node_route(vm.node, inventory, vm.rent_order), inventory)

    def identity(self, resource: Resource[SnapshotSpec], inventory: Inventory, generation: int) -> str:
        return _name(resource, inventory)

    def _desired(self, resource: Resource[SnapshotSpec], inventory: Inventory) -> dict[str, Json]:
        values = super()._desired(resource, inventory) | {"name": self.identity(resource, inventory, 0)}
        values[ARRIVED] = True
        return with_base(values, root_of_snapshot(resource.name, inventory), None)

    def marker(self, resource: Resource[SnapshotSpec], inventory: Inventory, generation: int) -> str:
        return str(Marker(inventory.project, inventory.stack, resource.name, generation, "0"))

    async def unmanaged(self, lookup: Lookup, inventory: Inventory, reader: CachedReader) -> Mapping[str, Unmanaged]:
        listing = await reader.snapshots(lookup.route, lookup.parent_id)
        found: dict[str, Unmanaged] = {}
        for snapshot in listing.value if not isinstance(listing, Unreadable) else ():
            marker = read_marker(snapshot.description)[1]
            if marker is not None and marker.is_of(inventory.project, inventory.stack):
                found[snapshot.name] = Unmanaged({"name": snapshot.name}, marker)
        return found

    def check(self, resource: Resource[SnapshotSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        if vm_of(resource.spec.vm, inventory).bios_mode == "pxe":
            yield resource.problem(
                "ignored-by-node",
                "vm",
                "a VM with biosMode pxe has no disk to take a snapshot of",
                remedy="Remove the Snapshot, or use another boot mode.",
            )
        name = self.identity(resource, inventory, 0)
        if len(name) > _MAX_NAME_LENGTH:
            yield resource.problem(
                "invalid-name",
                "name",
                f"{name} has more than {_MAX_NAME_LENGTH} characters",
                detail="Without `name`, a Snapshot has the name of its manifest.",
                remedy="Add a shorter `name:` to the spec.",
            )
        for other in inventory.before(resource, _name_on_vm)[:1]:
            yield resource.problem(
                "duplicate-identity",
                "name",
                f"{other.address} already has the name {name} on this VM",
                detail="The node accepts several snapshots of one name; a deletion removes the oldest.",
                remedy="Give one of them another name.",
            )

    def preflight(
        self, resource: Resource[SnapshotSpec], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        yield from check_image_server(resource, resource.spec.image_server, machine)
        if machine.observed.get(_STATUS) == IDLE:
            yield resource.problem(
                "node-may-restart",
                "",
                f"repeating the upload of {resource.address} may restart the node's process",
                detail="Some builds of 0.4.1.8 do that. VMs keep running; queued jobs of the node would be lost.",
                remedy=f"Use --exclude {resource.address} to upload it later, when no other change runs on the node.",
                severity=Severity.WARNING,
            )

    def kept_parent_id(self, resolved: Mapping[str, Json]) -> str:
        return str(resolved.get("vm", ""))

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        if not lookup.parent_id:  # its VM is gone, and the record with it
            return Observation(False, id=lookup.id)
        taken_of = self.kept_parent_id(lookup.binding.resolved) if lookup.binding is not None else ""
        unproven = lookup.binding is None or not lookup.binding.applied.get(ARRIVED)
        if lookup.binding is not None and taken_of and taken_of != lookup.parent_id:
            return Observation(True, id=lookup.id, notes=(_ARCHIVED, *([UNSEEN] if unproven else [])))
        found = await find_snapshot(reader, lookup.route, lookup.parent_id, lookup.id)
        if isinstance(found, Unreadable):
            return unread(lookup.id, found)
        snapshot = found.value
        if snapshot is None:
            return Observation(False, id=lookup.id)
        text, marker = read_marker(snapshot.description)
        values: dict[str, Json] = {"name": snapshot.name, "description": text or None}
        if unproven:
            values[_STATUS] = snapshot.status
        unverified = lookup.binding is not None and lookup.binding.resolved.get(UNVERIFIED)
        notes = (_NOT_VERIFIED,) if unverified and not unproven else ()
        return Observation(
            True, id=snapshot.name, values=values, status=snapshot.status, marker=str(marker or ""),
            resolved={"file": PurePosixPath(snapshot.file).name, "vm": lookup.parent_id}, notes=notes,
            unfinished=(UNSEEN if snapshot.status == IDLE else "upload in progress") if unproven else "",
        )  # fmt: skip

    def create(self, task: GoalInput) -> Iterator[Goal]:
        text = str(task.desired.get("description") or "")
        server = str(task.desired["imageServer"])
        taken = SnapshotTaken(
            address=task.address, route=task.route, id=task.id, generation=task.generation, vm=task.parent_id,
            fields={k: v for k, v in task.desired.items() if k != ARRIVED}, image_server=server,
            timeout_seconds=task.timeout_seconds or 7200.0,
            description=f"{text} [{task.marker}]" if text else f"[{task.marker}]",
            base=str(task.desired.get(BASE) or ""),
        )  # fmt: skip
        yield taken
        yield self._arrived(task)

    def _arrived(self, task: GoalInput) -> Goal:
        """The goal of its upload. One of an earlier apply is watched to its end, or repeated if it has ended."""
        ended = task.observed.get(_STATUS) == IDLE
        server = str(task.applied.get("imageServer") or task.desired["imageServer"])
        timeout_seconds = task.timeout_seconds or 7200.0
        if task.applied:
            return SnapshotSent(
                address=task.address, route=task.route, id=task.id, vm=task.parent_id, image_server=server,
                timeout_seconds=timeout_seconds, ended=ended,
            )  # fmt: skip
        return SnapshotArrived(
            address=task.address, route=task.route, id=task.id, vm=task.parent_id, image_server=server,
            timeout_seconds=timeout_seconds, believed=ended,
        )  # fmt: skip

    def update(self, task: GoalInput) -> Iterator[Goal]:
        """The goal that completes its upload: no field of a snapshot can be changed."""
        yield self._arrived(task)

    def adopt(self, task: GoalInput) -> Iterator[Goal]:
        """Goals without a power-off window, unless the conversion of an earlier apply may still run."""
        taken, *later = self.create(task)
        assert isinstance(taken, SnapshotTaken)  # noqa: S101 - the first is always that
        yield taken if task.applied else SnapshotKnown(**asdict(taken))
        yield from later

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        yield SnapshotAbsent(
            address=task.address, route=task.old_route or task.route, id=task.old_id, vm=task.old_parent_id,
            timeout_seconds=task.timeout_seconds or 3600.0,
        )  # fmt: skip

    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        """Records of the snapshots of VMs, with the names of their files in an image server."""
        route = through_image_client(node_route(place.name, inventory, None), inventory)
        found: list[Existing] = []
        for summary, details in await vms_of(place, inventory, reader, unread):
            listing = await reader.snapshots(route, summary.task_id) if details.disks else None
            if isinstance(listing, Unreadable):
                unread[f"snapshots of {summary.task_id}"] = listing.reason
            for view in listing.value if isinstance(listing, Known) else ():
                text, marker = read_marker(view.description)
                fields: dict[str, Json] = {"description": text, "file": PurePosixPath(view.file).name}
                found.append(Existing(view.name, route, str(marker or ""), view.status, summary.task_id, fields=fields))
        return found

    async def completed(self, fields: Mapping[str, Json], route: Route, reader: CachedReader) -> Mapping[str, Json]:
        """The image server, which no record names, is the only one with the file."""
        servers = await reader.image_servers(route)
        known = servers.value if isinstance(servers, Known) else ()
        stored = {server: await reader.image_server(route, server) for server in known}
        having = [s for s, files in stored.items() if isinstance(files, Known) and fields["file"] in files.value]
        return {**fields, "imageServer": having[0] if len(having) == 1 else None}

    def not_shown(self, fields: Mapping[str, Json]) -> str:
        return "" if fields["imageServer"] else "imageServer"

    def manifest(self, found: Found) -> dict[str, Any]:
        return nested(self.fields, {**found.shown, "vm": found.parent, "name": found.id})


def _name(snapshot: Resource[Any], inventory: Inventory) -> str:
    """Without `name` that of its record, so that a renamed manifest keeps it; of a new one that of the manifest."""
    return str(snapshot.spec.name or inventory.bound.get(snapshot.address) or snapshot.name.replace(".", "-"))


def _name_on_vm(snapshot: Resource[Any], inventory: Inventory) -> Hashable:
    return snapshot.spec.vm, _name(snapshot, inventory)


__all__ = ["CREATING", "UPLOADING", "Snapshot", "SnapshotAbsent", "SnapshotTaken", "find_snapshot"]
