"""Transfers of image files between nodes and image servers: goals and observations of downloads and uploads.

The end of a transfer proves nothing: an interrupted one leaves a part of the file under its final name. A copy is
taken as complete if it has the size of its source. Both sizes are rounded, so small differences stay unnoticed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from msgspec import field
from msgspec.structs import replace

from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.responses import StoredImage
from dbc_iac.api.storage_responses import Progress, stored_size
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.capabilities import FileProvider, UsesImageServer
from dbc_iac.kinds.framework.goal import Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation
from dbc_iac.kinds.images.image_server import through_image_client, why_stalled
from dbc_iac.kinds.node import node_route
from dbc_iac.state.document import Binding

S = TypeVar("S", bound=Spec)

SIZE = "size"
"""Resolved path of the size of a copy when it was created."""
INCOMPLETE = "other"
"""Observed value: the copy is a part of the source, or another file of that name."""
_UNKNOWN_SIZE = stored_size(None)


class Transfer(Goal, frozen=True, kw_only=True):
    """The copy of a file has the size of its source. `source`: address of the file's
    resource, if the name of the file is known only during the apply."""

    call_class = CallClass.IDEMPOTENT
    creates = True
    again: ClassVar[bool] = False
    """Whether the file is transferred although a complete copy exists."""
    name_of_file: ClassVar[str]
    """Resolved value of `source` with the name of the file."""
    direction: ClassVar[str]
    """`download` or `upload`."""
    image_server: str
    source: str = ""
    started: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    """Users of the existing copy, which have to be deleted before it is overwritten: id by address."""
    overwrites: bool = False

    @property
    def file(self) -> str:
        return self.id or f"the file of {self.source}"

    def informed(self, bindings: Mapping[str, Binding]) -> Goal:
        bound = bindings.get(self.source) if not self.id else None
        file = str(bound.known.get(self.name_of_file, "")) if bound is not None else ""
        return replace(self, id=file, fields={**self.fields, "file": file}) if file else self

    async def look(self, reader: CachedReader) -> GoalState:
        if self.again and not self.started:
            return await still_used(reader, self.route, self.users) or GoalState(GoalStatus.UNMET)
        if not self.id:
            return GoalState(GoalStatus.FAILED, f"{self.file} is not known")
        progress = await self.progress(reader)
        if isinstance(progress, Known) and progress.value.active:
            silent = await why_stalled(reader, self.route, self.image_server, progress.value.percent)
            return GoalState(GoalStatus.WAITING, f"{self.direction}ing ({progress.value.percent} %){silent}")
        files = await self.files(reader)
        if isinstance(files, GoalState):
            return files
        source, copy = files
        if copy is not None and _UNKNOWN_SIZE in {stored_size(copy.size_gib), stored_size(source.size_gib)}:
            return GoalState(GoalStatus.UNKNOWN, f"the size of {self.id} is not reported")
        if copy is None or copy.size_gib != source.size_gib:
            if self.started:
                return GoalState(GoalStatus.FAILED, self._interruption(copy, source))
            return await still_used(reader, self.route, self.users) or GoalState(GoalStatus.UNMET)
        return GoalState(GoalStatus.MET, id=self.id, resolved={**self.base(), SIZE: stored_size(copy.size_gib)})

    def begins(self) -> Goal:
        return replace(self, started=True)

    def base(self) -> Mapping[str, Json]:
        """Further resolved values of the copy."""
        return {}

    @property
    @abstractmethod
    def place(self) -> str:
        """Location of the copy, for people: `on the node`."""

    @abstractmethod
    async def progress(self, reader: CachedReader) -> Known[Progress] | Unreadable:
        """Progress of the transfer."""

    @abstractmethod
    async def files(self, reader: CachedReader) -> tuple[StoredImage, StoredImage | None] | GoalState:
        """The source and its copy, or the state of the goal if they cannot be compared."""

    def _interruption(self, copy: StoredImage | None, source: StoredImage) -> str:
        if copy is None:
            return f"the {self.direction} ended, but {self.id} is not {self.place}"
        sizes = f"{stored_size(copy.size_gib)} of {stored_size(source.size_gib)}"
        return f"the {self.direction} was interrupted: {sizes} of {self.id} are {self.place}"


async def still_used(reader: CachedReader, route: Route, users: Mapping[str, str]) -> GoalState | None:
    """The failure of a goal whose file is still in use. Checked right before the call, which the node never refuses."""
    listed = await reader.vms(route) if users else Known({})
    if isinstance(listed, Unreadable):
        return unseen(listed)
    left = sorted(address for address, identity in users.items() if identity in listed.value)
    return GoalState(GoalStatus.FAILED, f"still in use by {', '.join(left)}") if left else None


class CopyKind(Kind[S], FileProvider, UsesImageServer):
    """A copy of an image file, on a node or in an image server. `exists`, `again` and `whole` are its transfers."""

    ids_in_paths = False
    source_kind: ClassVar[str]
    """The kind of resources whose files may become known only during the apply."""
    exists: ClassVar[type[Transfer]]
    again: ClassVar[type[Transfer]]
    whole: ClassVar[type[Transfer]]

    def route(self, resource: Resource[Any], inventory: Inventory) -> Route:
        return through_image_client(node_route(resource.spec.node, inventory, None), inventory)

    def natural_key(self, resource: Resource[Any], inventory: Inventory) -> str:
        """The image server: files made from another image are listed only if it has them too."""
        return str(resource.spec.image_server)

    def create(self, task: GoalInput) -> Iterator[Goal]:
        file, overwrites = str(task.desired["file"]), bool(task.observed.get(INCOMPLETE))
        later = file.startswith(f"{self.source_kind}/")
        yield self.exists(
            address=task.address, route=task.route, id="" if later else file, generation=task.generation,
            fields=task.desired, image_server=str(task.desired["imageServer"]), source=file if later else "",
            users=task.users if overwrites else {}, overwrites=overwrites,
            timeout_seconds=task.timeout_seconds or 7200.0,
        )  # fmt: skip

    def update(self, task: GoalInput) -> Iterator[Goal]:
        refreshed = "refresh" in task.changed
        if refreshed or task.observed.get(INCOMPLETE):
            yield (self.again if refreshed else self.whole)(
                address=task.address, route=task.route, id=task.id, image_server=str(task.desired["imageServer"]),
                fields={"refresh": task.desired.get("refresh")} if refreshed else {}, users=task.users,
                timeout_seconds=task.timeout_seconds or 7200.0,
            )  # fmt: skip


def observed_copy(
    lookup: Lookup, values: dict[str, Json], copy: StoredImage, source: StoredImage | None, origin: str, where: str
) -> Observation:
    """The observation of a copy. `origin` is the location of its source, `where` that of the copy (`on the node`)."""
    applied_size = lookup.binding.resolved.get(SIZE) if lookup.binding is not None else None
    copy_size, source_size = stored_size(copy.size_gib), stored_size(source.size_gib if source is not None else None)
    unfinished, notes = "", tuple[str, ...]()
    if _UNKNOWN_SIZE in {copy_size, source_size} or copy_size == source_size:
        pass
    elif copy_size == applied_size:
        notes = (
            f"{origin} has another version ({source_size}, the copy {copy_size}); change `refresh` to transfer it",
        )
    else:
        unfinished = f"{copy_size} of {source_size} from {origin}: the transfer was interrupted, or the file replaced"
        values = {**values, INCOMPLETE: True}
        notes = (f"the {lookup.id} {where} will be overwritten with that of {origin}",)
    return Observation(True, id=lookup.id, values=values, notes=notes, unfinished=unfinished, partial=bool(unfinished))
