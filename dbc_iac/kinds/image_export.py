"""ImageExport: a node's image file in an image centre. API: /images/{upload,uploadprogress}.

Nothing deletes a file in a centre. When a plain upload ends, the node's process may end with it (one build of 0.4.1.8
did each time, another never): it is started again some seconds later, and what was queued on it is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.api import wire
from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.storage import StoredImage, stored_size
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.kinds.centre import (
    SIZE,
    UNTOLD_SIZE,
    broken_off,
    check_centre,
    check_file,
    incomplete,
    through_image_client,
)
from dbc_iac.kinds.files import FileAt, files_at, image_file
from dbc_iac.kinds.goal import Goal, Hands, Seen, Sight
from dbc_iac.kinds.kind import Kind, Machine, Observation, Sought, Task, register, unread
from dbc_iac.kinds.node import node_reach
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.kinds.resource import Inventory, Resource
from dbc_iac.kinds.rules import once, replaced
from dbc_iac.kinds.spec import Reference, Spec
from dbc_iac.kinds.types import FileName, Token
from dbc_iac.values import Json

_OTHER = "other"
"""Observed where the image centre has another file of that name, or a part of this one."""


class ImageExportSpec(Spec):
    """A copy of a node's image file in an image centre. It is never deleted there.

    Every plan compares its size with that on the node: what a broken transfer has cut is sent again.
    """

    node: Annotated[str, replaced, Reference("Node")] = Field(description="name of the Node that has the file")
    file: Annotated[FileName, replaced, Reference("Image", unless=".qcow2")] = Field(
        description="a *.qcow2 file in the node's /data, or the name of an Image"
    )
    image_server: Annotated[Token, replaced] = Field(description="id of the image centre that it is sent to")
    refresh: Annotated[Token | None, once] = Field(
        default=None, description="any text; when it changes, the file is sent again and overwritten there"
    )


@dataclass(frozen=True, kw_only=True)
class ExportExists(Goal):
    """The image centre lists the file with the size that the node has. `source`: an Image whose file it is."""

    name = "export-exists"
    call_class = CallClass.IDEMPOTENT
    ends_process = True
    creates = True
    image_server: str
    source: str = ""
    begun: bool = False

    @property
    def text(self) -> str:
        return f"{self.id or f'the file of {self.source}'} is in {self.image_server}, as on the node"

    @property
    def deed(self) -> str:
        return f"sends {self.id or f'the file of {self.source}'} to {self.image_server}"

    def informed(self, known: Callable[[str], Mapping[str, Json]]) -> Goal:
        file = str(known(self.source).get("id", "")) if self.source and not self.id else ""
        return replace(self, id=file, fields={**self.fields, "file": file}) if file else self

    async def look(self, reader: Reader) -> Seen:
        if not self.id:
            return Seen(Sight.FAILED, f"the file of {self.source} is not known")
        progress = await reader.upload(self.reach, f"/data/{self.id}")
        if isinstance(progress, Known) and progress.value.active:
            return Seen(Sight.WAITING, f"is uploading ({progress.value.percent}%)")
        mine = await _on_node(reader, self.reach, self.id, self.image_server)
        if isinstance(mine, Unreadable):
            return Seen(Sight.UNKNOWN, mine.reason)
        if mine is None:
            return Seen(Sight.FAILED, f"{self.id} is not listed on the node")
        stored = await reader.centre(self.reach, self.image_server)
        found = stored.value.get(self.id) if isinstance(stored, Known) else None
        if found is not None and UNTOLD_SIZE in {stored_size(found.size_gib), stored_size(mine.size_gib)}:
            return Seen(Sight.UNKNOWN, f"the size of {self.id} is not told")
        # An empty centre cannot be told from one that is not reached: a file is sent to it all the same.
        if self.begun and isinstance(stored, Unreadable):
            return Seen(Sight.FAILED, f"the upload ended, and what arrived is not known: {stored.reason}")
        if found is None or found.size_gib != mine.size_gib:
            broken = broken_off("upload", self.id, found, mine, f"in {self.image_server}")
            return Seen(Sight.FAILED, broken) if self.begun else Seen(Sight.UNMET)
        return Seen(Sight.MET, id=self.id, resolved={SIZE: stored_size(found.size_gib)})

    def begins(self) -> Goal:
        return replace(self, begun=True)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        body = wire.ImageUpload(image_filename=f"/data/{self.id}", image_server=self.image_server)
        return await images.upload_image(hands.connect(self.reach), body)


@dataclass(frozen=True, kw_only=True)
class ExportSent(ExportExists):
    """The file has been sent again, though one of that name and size is there."""

    name = "export-sent"
    creates = False

    @property
    def text(self) -> str:
        return f"{self.id} has been sent again to {self.image_server}"

    @property
    def deed(self) -> str:
        return f"sends {self.id} again to {self.image_server}"

    async def look(self, reader: Reader) -> Seen:
        return await super().look(reader) if self.begun else Seen(Sight.UNMET)


@dataclass(frozen=True, kw_only=True)
class ExportWhole(ExportExists):
    """The file of which only a part is there has the size that the node has."""

    name = "export-whole"
    creates = False


async def _on_node(reader: Reader, reach: Reach, file: str, server: str) -> StoredImage | Unreadable | None:
    """The file on the node. One that is made from another is listed only with a centre that has it, too."""
    centres = await reader.image_servers(reach)
    others = centres.value if isinstance(centres, Known) else ()
    for one in dict.fromkeys((server, *others)):
        there = await reader.node_images(reach, one)
        if isinstance(there, Unreadable):
            return there
        if file in there.value:
            return there.value[file]
    return None


@register
class ImageExport(Kind[ImageExportSpec]):
    name = "ImageExport"
    spec = ImageExportSpec
    on_a_machine = True
    uses_centres = True

    def reach(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> Reach:
        return through_image_client(node_reach(resource.spec.node, inventory, None), inventory)

    def identity(self, resource: Resource[ImageExportSpec], inventory: Inventory, generation: int) -> str:
        file = image_file(resource.spec.file, inventory)
        return "" if file.startswith("Image/") else file

    def desired(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> dict[str, Json]:
        file = image_file(resource.spec.file, inventory)
        target = self.reach(resource, inventory).target
        return super().desired(resource, inventory) | {"file": file, "node": target}

    def brings(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("imageServer"), values.get("file"))

    def made_of(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        return files_at(values.get("node"), values.get("file"))

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "the file stays in the image centre: nothing can delete it there"

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
                    f"{other.address} sends this file of this node to the same image centre already",
                    remedy="Remove one of them.",
                )

    def preflight(
        self,
        resource: Resource[ImageExportSpec],
        desired: Mapping[str, Json],
        changed: frozenset[str],
        machine: Machine,
    ) -> Iterable[Diagnostic]:
        yield from check_centre(resource, resource.spec.image_server, machine)
        yield resource.problem(
            "node-ends",
            "",
            f"{resource.spec.node}'s process may end when the upload ends, and is started again then",
            detail="One build of 0.4.1.8 did, another not. VMs run on; what is queued on the node would be lost.",
            severity=Severity.WARNING,
        )

    async def observe(self, sought: Sought, reader: Reader) -> Observation:
        if not sought.id:
            return Observation(False)
        server = str(sought.binding.applied.get("imageServer", "")) if sought.binding is not None else sought.key
        stored = await reader.centre(sought.reach, server)
        if isinstance(stored, Unreadable):
            if sought.binding is None:
                return Observation(False, id=sought.id)
            return unread(sought.id, stored)
        if sought.id not in stored.value:
            return Observation(False, id=sought.id)
        values: dict[str, Json] = {"file": sought.id, "imageServer": server}
        mine = await _on_node(reader, sought.reach, sought.id, server)
        source = mine if isinstance(mine, StoredImage) else None
        made = sought.binding.resolved.get(SIZE) if sought.binding is not None else None
        unfinished, notes = incomplete(stored.value[sought.id], source, made, sought.reach.name)
        if unfinished:
            values[_OTHER] = True
            notes = (f"the {sought.id} that is in {server} is overwritten with that of {sought.reach.name}",)
        return Observation(
            True, id=sought.id, values=values, notes=notes, unfinished=unfinished, partial=bool(unfinished)
        )

    def natural_key(self, resource: Resource[ImageExportSpec], inventory: Inventory) -> str:
        return resource.spec.image_server

    def create(self, task: Task) -> Iterator[Goal]:
        file = str(task.desired["file"])
        later = file.startswith("Image/")
        yield ExportExists(
            address=task.address, reach=task.reach, id="" if later else file, generation=task.generation,
            fields=task.desired, image_server=str(task.desired["imageServer"]), source=file if later else "",
            patience=task.patience or 7200.0,
        )  # fmt: skip

    def update(self, task: Task) -> Iterator[Goal]:
        if "refresh" in task.changed:
            yield ExportSent(
                address=task.address, reach=task.reach, id=task.id, image_server=str(task.desired["imageServer"]),
                fields={"refresh": task.desired.get("refresh")}, patience=task.patience or 7200.0,
            )  # fmt: skip
        elif task.observed.get(_OTHER):
            yield ExportWhole(
                address=task.address, reach=task.reach, id=task.id, image_server=str(task.desired["imageServer"]),
                patience=task.patience or 7200.0,
            )  # fmt: skip
