"""Image: an image file on a node, fetched from an image server. API: /images/{download,downloadprogress,delete}.

Status `done` proves nothing: a download has succeeded if the node lists the file with the size on the image server. A
broken download leaves a partial file of that name, so every plan compares the sizes. A download overwrites a file of
the same name, also one in use.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from msgspec import field
from pydantic import Field

from dbc_iac.address import Address
from dbc_iac.api import requests
from dbc_iac.api.endpoints import images
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.responses import StoredImage
from dbc_iac.api.storage_responses import Progress
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import register
from dbc_iac.kinds.framework.rules import Behaviour, Rule, access, once, replaced, sent_once
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import FileName, Flag, Token
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, unread
from dbc_iac.kinds.images.files import BASE, FileAt, files_at, image_file, root_of_snapshot, with_base
from dbc_iac.kinds.images.image_server import (
    check_file,
    check_image_server,
    is_fetched,
    unknown_image_server,
)
from dbc_iac.kinds.images.transfer import CopyKind, Transfer, observed_copy, still_used


class ImageSpec(Spec):
    """An image file in a node's /data: a file of an image server, or the file of a snapshot.

    Every plan compares its size with that in the image server. A file cut by a broken transfer is completed.
    """

    node: Annotated[str, replaced, Reference("Node")] = Field(description="name of the Node")
    file: Annotated[FileName | None, replaced] = Field(default=None, description="name of the file; or `snapshot`")
    snapshot: Annotated[str | None, access, Reference("Snapshot")] = Field(
        default=None, description="name of a Snapshot whose file it is; the node needs the snapshot's base image"
    )
    image_server: Annotated[Token, sent_once] = Field(description="id of the image server that it is fetched from")
    refresh: Annotated[Token | None, once] = Field(
        default=None, description="any text; when it changes, the file is fetched again"
    )
    retain: Annotated[Flag, Rule(Behaviour.ONLINE, not_reported=True)] = Field(
        default=True, description="false: the file is deleted with its resource"
    )
    external: Annotated[Flag, access] = Field(default=False, description="must exist; is never fetched or deleted")


class ImageExists(Transfer, frozen=True, kw_only=True):
    """The node lists the file, with the size that the image server has. `source`: a Snapshot whose file it is."""

    name = "image-exists"
    name_of_file = "file"
    direction = "download"

    @property
    def spoils(self) -> FileAt | None:
        return FileAt(self.route.target, self.id) if self.overwrites else None

    @property
    def action_text(self) -> str:
        return f"downloading {self.file}{' again' if self.again else ''} from image server {self.image_server}"

    @property
    def place(self) -> str:
        return "on the node"

    async def progress(self, reader: CachedReader) -> Known[Progress] | Unreadable:
        return await reader.download(self.route, self.id)

    async def files(self, reader: CachedReader) -> tuple[StoredImage, StoredImage | None] | GoalState:
        there = await reader.node_images(self.route, self.image_server)
        stored = await reader.image_server(self.route, self.image_server)
        if isinstance(there, Unreadable) or isinstance(stored, Unreadable):
            return unseen(there if isinstance(there, Unreadable) else stored)
        source = stored.value.get(self.id)
        if source is None:
            return GoalState(GoalStatus.FAILED, f"{self.id} is not in image server {self.image_server}")
        return source, there.value.get(self.id)

    def base(self) -> Mapping[str, Json]:
        base = self.fields.get(BASE)
        return {"file": self.id, BASE: base} if base else {}

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        body = requests.ImageDownload(image_filename=self.id, image_server=self.image_server)
        return await images.download_image(await context.connect(self.route), body)


class ImageFetched(ImageExists, frozen=True, kw_only=True):
    """The file is fetched again, though one of that name and size exists."""

    name = "image-fetched"
    creates = False
    again = True
    overwrites: bool = True


class ImageWhole(ImageExists, frozen=True, kw_only=True):
    """A partial file is completed to the size on the image server."""

    name = "image-whole"
    creates = False
    overwrites: bool = True


class ImageAbsent(Goal, frozen=True, kw_only=True):
    """The file is deleted on the node."""

    name = "image-absent"
    call_class = CallClass.IDEMPOTENT
    deletes = True
    image_server: str
    users: Mapping[str, str] = field(default_factory=dict)
    """Users of the file, which have to be deleted before it: id by address."""

    @property
    def spoils(self) -> FileAt | None:
        return FileAt(self.route.target, self.id)

    @property
    def action_text(self) -> str:
        return f"deleting {self.id} from the node"

    async def look(self, reader: CachedReader) -> GoalState:
        there = await reader.node_images(self.route, self.image_server)
        if isinstance(there, Unreadable):
            return unseen(there)
        if self.id not in there.value:
            return GoalState(GoalStatus.MET)
        return await still_used(reader, self.route, self.users) or GoalState(GoalStatus.UNMET)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return await images.delete_image(
            await context.connect(self.route), requests.ImageDelete(image_filename=self.id)
        )


@register
class Image(CopyKind[ImageSpec]):
    name = "Image"
    spec = ImageSpec
    source_kind = "Snapshot"
    exists, again, whole = ImageExists, ImageFetched, ImageWhole

    def identity(self, resource: Resource[ImageSpec], inventory: Inventory, generation: int) -> str:
        spec = resource.spec
        return spec.file or str(inventory.known_of("Snapshot", spec.snapshot).get("file", ""))

    def _desired(self, resource: Resource[ImageSpec], inventory: Inventory) -> dict[str, Json]:
        file = self.identity(resource, inventory, 0) or Address.of("Snapshot", str(resource.spec.snapshot))
        target = self.route(resource, inventory).target
        values = super()._desired(resource, inventory) | {"file": file, "node": target}
        snapshot = resource.spec.snapshot
        return with_base(values, root_of_snapshot(snapshot, inventory) if snapshot else "", file)

    def provides(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("node"), values.get("file"))

    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return self.runtime_files(values) | files_at(values.get("imageServer"), values.get("file"))

    def runtime_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("node"), values.get(BASE))

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "" if applied.get("retain") is False else "the file stays on the node (retain: true)"

    def check(self, resource: Resource[ImageSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        spec = resource.spec
        if (spec.file is None) == (spec.snapshot is None):
            yield resource.problem(
                "missing-field" if spec.file is None else "exclusive-fields",
                "file",
                "expected exactly one of file and snapshot",
                remedy="Set file to a file in the image server, or snapshot to the name of a Snapshot.",
            )
        yield from check_file(resource, "file", spec.file)
        taken = inventory.find("Snapshot", spec.snapshot) if spec.snapshot is not None else None
        sent_to = getattr(taken.spec, "image_server", None) if taken is not None else None
        if taken is not None and sent_to not in {None, spec.image_server}:
            yield resource.problem(
                "other-image-server",
                "imageServer",
                f"{taken.address} is uploaded to image server {sent_to}, not to {spec.image_server}",
                remedy=f"Set imageServer to {sent_to}; an ImageExport can send the file on from this node.",
            )
        for other in inventory.before(resource, _node_and_file)[:1] if spec.file is not None else ():
            yield resource.problem(
                "duplicate-identity",
                "file",
                f"{other.address} is the same file on this node",
                remedy="Remove one of them.",
            )

    def fetched_from(self, desired: Mapping[str, Json]) -> str:
        return "" if Address(str(desired["file"])).kind == "Snapshot" else str(desired["imageServer"])

    def preflight(
        self, resource: Resource[ImageSpec], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        yield from check_image_server(resource, resource.spec.image_server, machine)
        if changed & {"file", "refresh"}:
            yield from _missing(resource, str(desired["file"]), machine)
            yield from _without_base(resource, str(desired.get(BASE) or ""), machine)

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        if not lookup.id:
            return Observation(False)
        server = str(lookup.binding.applied.get("imageServer", "")) if lookup.binding is not None else lookup.key
        there = await reader.node_images(lookup.route, server)
        if isinstance(there, Unreadable):
            if lookup.binding is None and unknown_image_server(there):
                return Observation(False, id=lookup.id)
            return unread(lookup.id, there)
        if lookup.id not in there.value:
            return Observation(False, id=lookup.id)
        values: dict[str, Json] = {"file": lookup.id, "node": lookup.route.target}
        stored = await reader.image_server(lookup.route, server)
        source = stored.value.get(lookup.id) if isinstance(stored, Known) else None
        return observed_copy(lookup, values, there.value[lookup.id], source, server, "on the node")

    def update(self, task: GoalInput) -> Iterator[Goal]:
        yield from super().update(task)
        if "retain" in task.changed:
            yield ImageKept(
                address=task.address, route=task.route, id=task.id, fields={"retain": task.desired.get("retain")}
            )

    def delete(self, task: GoalInput) -> Iterator[Goal]:
        if task.applied.get("retain") is False:
            yield ImageAbsent(
                address=task.address, route=task.old_route or task.route, id=task.old_id,
                image_server=str(task.applied.get("imageServer", "")), users=task.users,
                timeout_seconds=task.timeout_seconds or 600.0,
            )  # fmt: skip


class ImageKept(Goal, frozen=True, kw_only=True):
    """`retain` is recorded in the state. No call is made."""

    name = "image-kept"
    call_class = CallClass.READ

    @property
    def action_text(self) -> str:
        return f"setting retain to {'true' if self.fields['retain'] else 'false'}"

    async def look(self, reader: CachedReader) -> GoalState:
        return GoalState(GoalStatus.MET)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)


def _node_and_file(resource: Resource[Any], inventory: Inventory) -> Hashable:
    return resource.spec.node, resource.spec.file


def _server_and_file(export: Resource[Any], inventory: Inventory) -> Hashable:
    return export.spec.image_server, image_file(export.spec.file, inventory)


def _missing(resource: Resource[ImageSpec], file: str, machine: Machine) -> Iterator[Diagnostic]:
    """The problem of a file that is not in the image server, and that no manifest sends there."""
    server, there, inventory = resource.spec.image_server, machine.image_server_files, machine.inventory
    if there is None or file in there or inventory is None:
        return
    if inventory.having("ImageExport", _server_and_file, (server, file)):
        return
    close = difflib.get_close_matches(file, there, n=1)
    yield resource.problem(
        "node-would-refuse",
        "file",
        f"the image server {server} has no {file}",
        remedy=f"Did you mean {close[0]}?"
        if close
        else "Check the name: `dbc-iac image list --image-server` lists them.",
        exit_code=ExitCode.REFUSED,
    )


def _without_base(resource: Resource[ImageSpec], base: str, machine: Machine) -> Iterator[Diagnostic]:
    """The problem of a snapshot's file whose root image is missing on the machine."""
    hardware, inventory = machine.hardware, machine.inventory
    if not base or hardware is None or inventory is None or any(i.name == base for i in hardware.images):
        return
    if is_fetched(FileAt(machine.route.target, base), inventory):
        return
    unlisted = "data" in base  # the node hides such names
    yield resource.problem(
        "node-may-refuse" if unlisted else "node-would-refuse",
        "snapshot",
        f"{resource.spec.node} does not list {base}, the base image of {resource.spec.snapshot}",
        detail="A snapshot contains only the differences from its base image; without that image no VM starts.",
        remedy=f"Add an Image with file: {base} on {resource.spec.node}.",
        severity=Severity.WARNING if unlisted else Severity.ERROR,
        exit_code=ExitCode.OK if unlisted else ExitCode.REFUSED,
    )
