"""ImageExport: a copy of a node's image file in an image server. API: /images/{upload,uploadprogress}.

Files on image servers cannot be deleted. At the end of an upload the node's process may restart (with one build of
0.4.1.8 always, with another never), which loses its queued jobs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.address import Address
from dbc_iac.api import requests
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.responses import StoredImage
from dbc_iac.api.storage_responses import Progress
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.goal import ActContext, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import once, replaced
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import FileName, Token
from dbc_iac.kinds.framework.values import Lookup, Observation, unread
from dbc_iac.kinds.images.files import FileAt, files_at, image_file
from dbc_iac.kinds.images.image_server import check_file, check_image_server
from dbc_iac.kinds.images.transfer import CopyKind, Transfer, observed_copy


class ImageExportSpec(Spec):
    """A copy of a node's image file in an image server. It is never deleted there.

    Every plan compares its size with that on the node. A file cut by a broken transfer is sent again.
    """

    node: Annotated[str, replaced, Reference("Node")] = Field(description="name of the Node that has the file")
    file: Annotated[FileName, replaced, Reference("Image", unless=".qcow2")] = Field(
        description="a *.qcow2 file in the node's /data, or the name of an Image"
    )
    image_server: Annotated[Token, replaced] = Field(description="id of the image server that it is sent to")
    refresh: Annotated[Token | None, once] = Field(
        default=None, description="any text; when it changes, the file is sent again and overwritten there"
    )


class ExportExists(Transfer, frozen=True, kw_only=True):
    """The image server lists the file with its size on the node. `source`: address of the Image that provides it."""

    name = "export-exists"
    name_of_file = "id"
    direction = "upload"
    ends_process = True

    @property
    def action_text(self) -> str:
        return f"uploading {self.file}{' again' if self.again else ''} to image server {self.image_server}"

    @property
    def place(self) -> str:
        return f"in image server {self.image_server}"

    async def progress(self, reader: CachedReader) -> Known[Progress] | Unreadable:
        return await reader.upload(self.route, f"/data/{self.id}")

    async def files(self, reader: CachedReader) -> tuple[StoredImage, StoredImage | None] | GoalState:
        source = await _on_node(reader, self.route, self.id, self.image_server)
        if isinstance(source, Unreadable):
            return unseen(source)
        if source is None:
            return GoalState(GoalStatus.FAILED, f"{self.id} is not listed on the node")
        stored = await reader.image_server(self.route, self.image_server)
        # An unreadable image server may be an empty one, so the upload is tried.
        if self.started and isinstance(stored, Unreadable):
            return GoalState(GoalStatus.FAILED, f"the upload ended, but its copy cannot be read: {stored.reason}")
        return source, stored.value.get(self.id) if isinstance(stored, Known) else None

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        body = requests.ImageUpload(image_filename=f"/data/{self.id}", image_server=self.image_server)
        return await images.upload_image(await context.connect(self.route), body)


class ExportSent(ExportExists, frozen=True, kw_only=True):
    """The file is sent again, although a copy of that size exists."""

    name = "export-sent"
    creates = False
    again = True


class ExportWhole(ExportExists, frozen=True, kw_only=True):
    """A partial file is completed to the size on the node."""

    name = "export-whole"
    creates = False


async def _on_node(reader: CachedReader, route: Route, file: str, server: str) -> StoredImage | Unreadable | None:
    """The file as the node lists it.

    The list for an image server omits files with a base image, unless that server has them too.
    """
    image_servers = await reader.image_servers(route)
    others = image_servers.value if isinstance(image_servers, Known) else ()
    for one in dict.fromkeys((server, *others)):
        there = await reader.node_images(route, one)
        if isinstance(there, Unreadable):
            return there
        if file in there.value:
            return there.value[file]
    return None


@register
class ImageExport(CopyKind[ImageExportSpec]):
    name = "ImageExport"
    spec = ImageExportSpec
    source_kind = "Image"
    exists, again, whole = ExportExists, ExportSent, ExportWhole

    def identity(self, resource: Resource[ImageExportSpec], inventory: Inventory, generation: int) -> str:
        file = image_file(resource.spec.file, inventory)
        return "" if Address(file).kind == "Image" else file

    def _desired(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> dict[str, Json]:
        file = image_file(resource.spec.file, inventory)
        target = self.route(resource, inventory).target
        return super()._desired(resource, inventory) | {"file": file, "node": target}

    def provides(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("imageServer"), values.get("file"))

    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("node"), values.get("file"))

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "the file stays in the image server: nothing can delete it there"

    def check(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        file = resource.spec.file
        yield from check_file(resource, "file", file if file.endswith(".qcow2") else None)
        for other in inventory.before(resource, _transfer)[:1]:
            yield resource.problem(
                "duplicate-identity",
                "file",
                f"{other.address} already sends this file to the image server",
                remedy="Remove one of them.",
            )

    def preflight(
        self,
        resource: Resource[ImageExportSpec],
        desired: Mapping[str, Json],
        changed: frozenset[str],
        machine: Machine,
    ) -> Iterable[Diagnostic]:
        yield from check_image_server(resource, resource.spec.image_server, machine)
        yield resource.problem(
            "node-may-restart",
            "",
            f"the upload may restart the process of {resource.spec.node}",
            detail="Some builds of 0.4.1.8 do that. VMs keep running; queued jobs of the node would be lost.",
            remedy=f"Use --exclude {resource.address} to upload it later, when no other change runs on the node.",
            severity=Severity.WARNING,
        )

    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        if not lookup.id:
            return Observation(False)
        server = str(lookup.binding.applied.get("imageServer", "")) if lookup.binding is not None else lookup.key
        stored = await reader.image_server(lookup.route, server)
        if isinstance(stored, Unreadable):
            if lookup.binding is None:
                return Observation(False, id=lookup.id)
            return unread(lookup.id, stored)
        if lookup.id not in stored.value:
            return Observation(False, id=lookup.id)
        values: dict[str, Json] = {"file": lookup.id, "imageServer": server}
        mine = await _on_node(reader, lookup.route, lookup.id, server)
        source = mine if isinstance(mine, StoredImage) else None
        return observed_copy(
            lookup, values, stored.value[lookup.id], source, lookup.route.name, f"in image server {server}"
        )


def _transfer(export: Resource[Any], inventory: Inventory) -> Hashable:
    return export.spec.node, export.spec.file, export.spec.image_server
