"""ImageExport: a node's image file in an image server. API: /images/{upload,uploadprogress}.

Files on image servers cannot be deleted. The end of an upload may end the node's process (with one build of 0.4.1.8
each time, with another never): it restarts some seconds later, and its queued jobs are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.api import requests
from dbc_iac.api.endpoints import images
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.storage_responses import StoredImage, stored_size
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import FileProvider, UsesImageServer
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, register
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import once, replaced
from dbc_iac.kinds.framework.spec import Reference, Spec
from dbc_iac.kinds.framework.types import FileName, Token
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, unread
from dbc_iac.kinds.images.files import FileAt, files_at, image_file
from dbc_iac.kinds.images.image_server import (
    SIZE,
    UNKNOWN_SIZE,
    broken_off,
    check_file,
    check_image_server,
    incomplete,
    through_image_client,
    why_stalled,
)
from dbc_iac.kinds.node import node_route

_OTHER = "other"
"""Observed value: the image server has a part of the file, or another one of that name."""


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


@dataclass(frozen=True, kw_only=True)
class ExportExists(Goal):
    """The image server lists the file with the size that the node has. `source`: an Image whose file it is."""

    name = "export-exists"
    call_class = CallClass.IDEMPOTENT
    ends_process = True
    creates = True
    image_server: str
    source: str = ""
    started: bool = False

    @property
    def action_text(self) -> str:
        return f"uploading {self.id or f'the file of {self.source}'} to {self.image_server}"

    def informed(self, known: Callable[[str], Mapping[str, Json]]) -> Goal:
        file = str(known(self.source).get("id", "")) if self.source and not self.id else ""
        return replace(self, id=file, fields={**self.fields, "file": file}) if file else self

    async def look(self, reader: CachedReader) -> GoalState:
        if not self.id:
            return GoalState(GoalStatus.FAILED, f"the file of {self.source} is not known")
        progress = await reader.upload(self.route, f"/data/{self.id}")
        if isinstance(progress, Known) and progress.value.active:
            silent = await why_stalled(reader, self.route, self.image_server, progress.value.percent)
            return GoalState(GoalStatus.WAITING, f"uploading ({progress.value.percent} %){silent}")
        mine = await _on_node(reader, self.route, self.id, self.image_server)
        if isinstance(mine, Unreadable):
            return unseen(mine)
        if mine is None:
            return GoalState(GoalStatus.FAILED, f"{self.id} is not listed on the node")
        stored = await reader.image_server(self.route, self.image_server)
        found = stored.value.get(self.id) if isinstance(stored, Known) else None
        if found is not None and UNKNOWN_SIZE in {stored_size(found.size_gib), stored_size(mine.size_gib)}:
            return GoalState(GoalStatus.UNKNOWN, f"the size of {self.id} is not reported")
        # An empty image server looks like an unreachable one: a file is sent to it all the same.
        if self.started and isinstance(stored, Unreadable):
            return GoalState(GoalStatus.FAILED, f"the upload ended, and what arrived is not known: {stored.reason}")
        if found is None or found.size_gib != mine.size_gib:
            broken = broken_off("upload", self.id, found, mine, f"in {self.image_server}")
            return GoalState(GoalStatus.FAILED, broken) if self.started else GoalState(GoalStatus.UNMET)
        return GoalState(GoalStatus.MET, id=self.id, resolved={SIZE: stored_size(found.size_gib)})

    def begins(self) -> Goal:
        return replace(self, started=True)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        body = requests.ImageUpload(image_filename=f"/data/{self.id}", image_server=self.image_server)
        return await images.upload_image(await context.connect(self.route), body)


@dataclass(frozen=True, kw_only=True)
class ExportSent(ExportExists):
    """The file is sent again, though one of that name and size exists."""

    name = "export-sent"
    creates = False

    @property
    def action_text(self) -> str:
        return f"uploading {self.id} again to {self.image_server}"

    async def look(self, reader: CachedReader) -> GoalState:
        return await super().look(reader) if self.started else GoalState(GoalStatus.UNMET)


@dataclass(frozen=True, kw_only=True)
class ExportWhole(ExportExists):
    """A partial file is completed to the size on the node."""

    name = "export-whole"
    creates = False


async def _on_node(reader: CachedReader, route: Route, file: str, server: str) -> StoredImage | Unreadable | None:
    """The file on the node. A file made from another is listed only for an image server that has it too."""
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
class ImageExport(Kind[ImageExportSpec], FileProvider, UsesImageServer):
    name = "ImageExport"
    spec = ImageExportSpec

    def route(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> Route:
        return through_image_client(node_route(resource.spec.node, inventory, None), inventory)

    def identity(self, resource: Resource[ImageExportSpec], inventory: Inventory, generation: int) -> str:
        file = image_file(resource.spec.file, inventory)
        return "" if file.startswith("Image/") else file

    def desired(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> dict[str, Json]:
        file = image_file(resource.spec.file, inventory)
        target = self.route(resource, inventory).target
        return super().desired(resource, inventory) | {"file": file, "node": target}

    def provides(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("imageServer"), values.get("file"))

    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("node"), values.get("file"))

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "the file stays in the image server: nothing can delete it there"

    def check(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        file = resource.spec.file
        yield from check_file(resource, "file", file if file.endswith(".qcow2") else None)
        key = (resource.spec.node, file, resource.spec.image_server)
        for other in inventory.of(self.name):
            assert isinstance(other.spec, ImageExportSpec)  # noqa: S101 - of this kind
            if other.address < resource.address and key == (other.spec.node, other.spec.file, other.spec.image_server):
                yield resource.problem(
                    "duplicate-identity",
                    "file",
                    f"{other.address} sends this file of this node to the same image server already",
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
            "node-ends",
            "",
            f"the upload may restart the process of {resource.spec.node}",
            detail="Some builds of 0.4.1.8 do that. VMs keep running; queued jobs of the node would be lost.",
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
        made = lookup.binding.resolved.get(SIZE) if lookup.binding is not None else None
        unfinished, notes = incomplete(stored.value[lookup.id], source, made, lookup.route.name)
        if unfinished:
            values[_OTHER] = True
            notes = (f"the {lookup.id} in {server} will be overwritten with that of {lookup.route.name}",)
        return Observation(
            True, id=lookup.id, values=values, notes=notes, unfinished=unfinished, partial=bool(unfinished)
        )

    def natural_key(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> str:
        return resource.spec.image_server

    def create(self, task: GoalInput) -> Iterator[Goal]:
        file = str(task.desired["file"])
        later = file.startswith("Image/")
        yield ExportExists(
            address=task.address, route=task.route, id="" if later else file, generation=task.generation,
            fields=task.desired, image_server=str(task.desired["imageServer"]), source=file if later else "",
            timeout_seconds=task.timeout_seconds or 7200.0,
        )  # fmt: skip

    def update(self, task: GoalInput) -> Iterator[Goal]:
        if "refresh" in task.changed:
            yield ExportSent(
                address=task.address, route=task.route, id=task.id, image_server=str(task.desired["imageServer"]),
                fields={"refresh": task.desired.get("refresh")}, timeout_seconds=task.timeout_seconds or 7200.0,
            )  # fmt: skip
        elif task.observed.get(_OTHER):
            yield ExportWhole(
                address=task.address, route=task.route, id=task.id, image_server=str(task.desired["imageServer"]),
                timeout_seconds=task.timeout_seconds or 7200.0,
            )  # fmt: skip
