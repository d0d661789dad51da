"""Image: an image file on a node, fetched from an image centre. API: /images/{download,downloadprogress,delete}.

`done` says nothing: a download has succeeded when the node lists the file with the size that the centre has. A download
overwrites a file of the same name, whoever uses it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from dbc_iac.api import wire
from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Outcome
from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.kinds.centre import check_centre, check_file, image_file, through_image_client, unknown_centre
from dbc_iac.kinds.goal import Goal, Hands, Seen, Sight
from dbc_iac.kinds.kind import Kind, Machine, Observation, Sought, Task, register, unread
from dbc_iac.kinds.node import node_reach
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.kinds.resource import Inventory, Resource
from dbc_iac.kinds.rules import Behaviour, Rule, access, once, replaced
from dbc_iac.kinds.spec import Reference, Spec
from dbc_iac.kinds.types import FileName, Flag, Token
from dbc_iac.kinds.virtual_machine.spec import VirtualMachineSpec
from dbc_iac.values import Json

_sent_once = Rule(Behaviour.CREATE_ONLY, not_reported=True)


class ImageSpec(Spec):
    """An image file in a node's /data: a file of an image centre, or the file of a snapshot."""

    node: Annotated[str, replaced, Reference("Node")] = Field(description="name of the Node")
    file: Annotated[FileName | None, replaced] = Field(default=None, description="name of the file; or `snapshot`")
    snapshot: Annotated[str | None, access, Reference("Snapshot")] = Field(
        default=None, description="name of a Snapshot whose file it is; the node needs the snapshot's base image"
    )
    image_server: Annotated[Token, _sent_once] = Field(description="id of the image centre that it is fetched from")
    refresh: Annotated[Token | None, once] = Field(
        default=None, description="any text; when it changes, the file is fetched again"
    )
    retain: Annotated[Flag, Rule(Behaviour.ONLINE, not_reported=True)] = Field(
        default=True, description="false: the file is deleted when the document goes"
    )
    external: Annotated[Flag, access] = Field(default=False, description="must exist; is never fetched or deleted")


@dataclass(frozen=True, kw_only=True)
class ImageExists(Goal):
    """The node lists the file, with the size that the image centre has. `source`: a Snapshot whose file it is."""

    name = "image-exists"
    call_class = CallClass.IDEMPOTENT
    creates = True
    image_server: str
    source: str = ""
    begun: bool = False

    @property
    def text(self) -> str:
        return f"image {self.id or f'of {self.source}'} is on the node, as in {self.image_server}"

    @property
    def deed(self) -> str:
        return f"fetches image {self.id or f'of {self.source}'} from {self.image_server}"

    def informed(self, known: Callable[[str], Mapping[str, Json]]) -> Goal:
        file = str(known(self.source).get("file", "")) if self.source and not self.id else ""
        return replace(self, id=file, fields={**self.fields, "file": file}) if file else self

    async def look(self, reader: Reader) -> Seen:
        if not self.id:
            return Seen(Sight.FAILED, f"the file of {self.source} is not known")
        progress = await reader.download(self.reach, self.id)
        if isinstance(progress, Known) and progress.value.active:
            return Seen(Sight.WAITING, f"is downloading ({progress.value.percent}%)")
        there = await reader.node_images(self.reach, self.image_server)
        stored = await reader.centre(self.reach, self.image_server)
        if isinstance(there, Unreadable) or isinstance(stored, Unreadable):
            return Seen(Sight.UNKNOWN, there.reason if isinstance(there, Unreadable) else stored.reason)  # type: ignore[union-attr]
        wanted = stored.value.get(self.id)
        if wanted is None:
            return Seen(Sight.FAILED, f"{self.id} is not in image centre {self.image_server}")
        found = there.value.get(self.id)
        same = found is not None and found.size_gib == wanted.size_gib
        if not same and self.begun:
            return Seen(Sight.FAILED, f"the download ended, and {self.id} is not on the node as it is in the centre")
        return Seen(Sight.MET, id=self.id) if same else Seen(Sight.UNMET)

    def begins(self) -> Goal:
        return replace(self, begun=True)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        body = wire.ImageDownload(image_filename=self.id, image_server=self.image_server)
        return await images.download_image(hands.connect(self.reach), body)


@dataclass(frozen=True, kw_only=True)
class ImageFetched(ImageExists):
    """The file has been fetched again, though one of that name and size is there."""

    name = "image-fetched"
    creates = False

    @property
    def text(self) -> str:
        return f"image {self.id} has been fetched again from {self.image_server}"

    @property
    def deed(self) -> str:
        return f"fetches image {self.id} again from {self.image_server}"

    async def look(self, reader: Reader) -> Seen:
        return await super().look(reader) if self.begun else Seen(Sight.UNMET)


@dataclass(frozen=True, kw_only=True)
class ImageAbsent(Goal):
    """The file is gone from the node."""

    name = "image-absent"
    call_class = CallClass.IDEMPOTENT
    deletes = True
    image_server: str

    @property
    def text(self) -> str:
        return f"image {self.id} is deleted on the node (VMs of other tenants that use it are not seen)"

    @property
    def deed(self) -> str:
        return f"deletes image {self.id} on the node"

    async def look(self, reader: Reader) -> Seen:
        there = await reader.node_images(self.reach, self.image_server)
        if isinstance(there, Unreadable):
            return Seen(Sight.UNKNOWN, there.reason)
        return Seen(Sight.UNMET if self.id in there.value else Sight.MET)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return await images.delete_image(hands.connect(self.reach), wire.ImageDelete(image_filename=self.id))


@register
class Image(Kind[ImageSpec]):
    name = "Image"
    spec = ImageSpec
    on_a_machine = True
    uses_centres = True

    def reach(self, resource: Resource[ImageSpec], inventory: Inventory) -> Reach:
        return through_image_client(node_reach(resource.spec.node, inventory, None), inventory)

    def identity(self, resource: Resource[ImageSpec], inventory: Inventory, generation: int) -> str:
        spec = resource.spec
        return spec.file or str(inventory.known.get(f"Snapshot/{spec.snapshot}", {}).get("file", ""))

    def desired(self, resource: Resource[ImageSpec], inventory: Inventory) -> dict[str, Json]:
        file = self.identity(resource, inventory, 0) or f"Snapshot/{resource.spec.snapshot}"
        target = self.reach(resource, inventory).target
        return super().desired(resource, inventory) | {"file": file, "node": target}

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        return "" if applied.get("retain") is False else "the file stays on the node (retain: true)"

    def check(self, resource: Resource[ImageSpec], inventory: Inventory) -> Iterable[Diagnostic]:
        spec = resource.spec
        if (spec.file is None) == (spec.snapshot is None):
            yield resource.problem(
                "missing-field" if spec.file is None else "exclusive-fields",
                "file",
                "exactly one of file and snapshot is needed",
                remedy="Give the name of a file in the image centre, or of a Snapshot.",
            )
        yield from check_file(resource, "file", spec.file)
        for other in inventory.of(self.name):
            assert isinstance(other.spec, ImageSpec)  # noqa: S101 - of this kind
            same = other.spec.node == spec.node and spec.file is not None and other.spec.file == spec.file
            if same and other.address < resource.address:
                yield resource.problem(
                    "duplicate-identity",
                    "file",
                    f"{other.address} is the same file on this node",
                    remedy="Remove one of them.",
                )

    def fetched_from(self, desired: Mapping[str, Json]) -> str:
        return "" if str(desired["file"]).startswith("Snapshot/") else str(desired["imageServer"])

    def preflight(
        self, resource: Resource[ImageSpec], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        yield from check_centre(resource, resource.spec.image_server, machine)
        if changed & {"file", "refresh"}:
            yield from _missing(resource, str(desired["file"]), machine)
        if "refresh" in changed and machine.inventory is not None:
            for vm in _users(resource, desired, machine.inventory):
                yield resource.problem(
                    "image-in-use",
                    "refresh",
                    f"{vm} is made from {desired['file']}: fetching it again overwrites the disk under it",
                    remedy="Use another file name for the new image, and replace the VM.",
                    exit_code=ExitCode.REFUSED,
                )

    async def observe(self, sought: Sought, reader: Reader) -> Observation:
        if not sought.id:
            return Observation(False)
        server = str(sought.binding.applied.get("imageServer", "")) if sought.binding is not None else sought.key
        there = await reader.node_images(sought.reach, server)
        if isinstance(there, Unreadable):
            if sought.binding is None and unknown_centre(there):
                return Observation(False, id=sought.id)
            return unread(sought.id, there)
        if sought.id not in there.value:
            return Observation(False, id=sought.id)
        values: dict[str, Json] = {"file": sought.id, "node": sought.reach.target}
        return Observation(True, id=sought.id, values=values)

    def natural_key(self, resource: Resource[ImageSpec], inventory: Inventory) -> str:
        """The image centre: files made from another image are listed only where it has them too."""
        return resource.spec.image_server

    def create(self, task: Task) -> Iterator[Goal]:
        file = str(task.desired["file"])
        later = file.startswith("Snapshot/")
        yield ImageExists(
            address=task.address, reach=task.reach, id="" if later else file, generation=task.generation,
            fields=task.desired, image_server=str(task.desired["imageServer"]), source=file if later else "",
            patience=task.patience or 7200.0,
        )  # fmt: skip

    def update(self, task: Task) -> Iterator[Goal]:
        if "refresh" in task.changed:
            yield ImageFetched(
                address=task.address, reach=task.reach, id=task.id, image_server=str(task.desired["imageServer"]),
                fields={"refresh": task.desired.get("refresh")}, patience=task.patience or 7200.0,
            )  # fmt: skip
        if "retain" in task.changed:
            yield ImageKept(
                address=task.address, reach=task.reach, id=task.id, fields={"retain": task.desired.get("retain")}
            )

    def delete(self, task: Task) -> Iterator[Goal]:
        if task.applied.get("retain") is False:
            yield ImageAbsent(
                address=task.address, reach=task.old_reach or task.reach, id=task.old_id,
                image_server=str(task.applied.get("imageServer", "")), patience=task.patience or 600.0,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImageKept(Goal):
    """Whether the file stays when its document goes is kept in state. No call is made."""

    name = "image-kept"
    call_class = CallClass.READ

    @property
    def text(self) -> str:
        return "stays on the node when its document goes" if self.fields["retain"] else "goes with its document"

    async def look(self, reader: Reader) -> Seen:
        return Seen(Sight.MET)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        raise AssertionError("never needed: it holds when it is looked at")


def _missing(resource: Resource[ImageSpec], file: str, machine: Machine) -> Iterator[Diagnostic]:
    """The file is not in the centre, and nothing in these documents puts it there."""
    server, there, inventory = resource.spec.image_server, machine.centre_files, machine.inventory
    if there is None or file in there or inventory is None:
        return
    exports = ((getattr(r.spec, "image_server", ""), getattr(r.spec, "file", "")) for r in inventory.of("ImageExport"))
    if any((to, image_file(name, inventory)) == (server, file) for to, name in exports):
        return
    close = difflib.get_close_matches(file, there, n=1)
    yield resource.problem(
        "node-would-refuse",
        "file",
        f"the image centre {server} has no {file}",
        remedy=f"Did you mean {close[0]}?" if close else "Check the name: `dbc-iac image list --centre` lists them.",
        exit_code=ExitCode.REFUSED,
    )


def _users(resource: Resource[ImageSpec], desired: Mapping[str, Json], inventory: Inventory) -> Iterator[str]:
    """The VMs of the manifests that are made from this file on this node."""
    for vm in inventory.of("VirtualMachine"):
        assert isinstance(vm.spec, VirtualMachineSpec)  # noqa: S101 - of that kind
        if vm.spec.node == resource.spec.node and vm.spec.image in {desired["file"], resource.name}:
            yield vm.address
