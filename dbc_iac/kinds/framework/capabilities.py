"""Capabilities of kinds: questions that only some kinds answer. A kind has one by inheriting from its class.

The functions below give the answer of any kind, that of a kind without the capability included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from dbc_iac.diagnostics import Diagnostic, SourceRange
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capacity import Capacity, Machine
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import Kind, kind_of
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation, Unmanaged
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.state.document import Binding


class Host(ABC):
    """A machine that others live on, and that can be powered off and on. Power-off windows are of hosts."""

    order_field: ClassVar[str] = "rentOrder"
    """The field with its rent order."""
    ports_field: ClassVar[str] = "ports"
    """The field with its ports."""
    address_field: ClassVar[str] = "publicIp"
    """The field with its public address."""

    @abstractmethod
    def power(self, task: GoalInput, *, to: str, temporary: bool = False) -> Goal:
        """The goal that it is `on` or `off`; `temporary`: off only until this apply starts it again."""

    @abstractmethod
    async def others(self, route: Route, ours: frozenset[str], reader: CachedReader) -> Mapping[str, Capacity]:
        """Capacity of visible hosts on a machine besides `ours`, by id."""

    @abstractmethod
    async def recovery_goals(self, task: GoalInput, refused: str, reader: CachedReader) -> Iterable[Goal]:
        """Goals that may help a host whose start was refused with a text, before the next try."""

    @abstractmethod
    async def explain_shortage(self, task: GoalInput, refused: str, reader: CachedReader) -> str:
        """Holders of the resources that a refused start needs; empty if unknown."""


class Child:
    """Lives on a host and is deleted with it."""

    parent_field: ClassVar[str]
    max_per_parent: ClassVar[int] = 0
    """Limit of children on one host; 0: none."""

    def kept_parent_id(self, resolved: Mapping[str, Json]) -> str:
        """Id of its host among its resolved values, if they have it: it may outlive the record of its host."""
        return ""

    async def free_slots(self, lookup: Lookup, reader: CachedReader) -> int | None:
        """Number that can still be created on `lookup.parent_id`; None if there is no limit or it was not read."""
        return None

    def part_of(self, seen: Observation) -> str:
        """The part of its host that it is; empty if it is an object of its own, which can be imported."""
        return ""


class Marked(ABC):
    """Has an ownership marker in the description of its object."""

    @abstractmethod
    def marker(self, resource: Resource[Any], inventory: Inventory, generation: int) -> str:
        """The ownership marker of the object."""

    def matches(self, marker: Marker, resource: Resource[Any], inventory: Inventory) -> bool:
        """Whether an object with that marker was created with the hidden fields of the manifest."""
        expected = parse_marker(self.marker(resource, inventory, marker.generation))
        return expected is not None and expected.digest == marker.digest


class Recoverable(ABC):
    """Is found again when the state was lost."""

    def places(self, inventory: Inventory) -> Iterable[Route]:
        """Routes to every machine that may have its objects."""
        return ()

    @abstractmethod
    async def unmanaged(self, lookup: Lookup, inventory: Inventory, reader: CachedReader) -> Mapping[str, Unmanaged]:
        """Objects on a target, or on `lookup.parent_id`, that may belong to a resource outside the state, by id."""


class IdFromNode(ABC):
    """Gets its id with the answer to its creation."""

    @abstractmethod
    async def trace(
        self, lookup: Lookup, sent: Binding, detail: Mapping[str, Json], taken: frozenset[str], reader: CachedReader
    ) -> Observation:
        """The object of a creation whose answer was lost.

        `sent` is the binding that was sent, `detail` the pre-image in the journal, `taken` are ids of other objects.
        """


class FileProvider(ABC):
    """Provides image files, or is made from them."""

    file_field: ClassVar[str] = ""
    """The spec field that names the file that it is made from; empty without one."""

    def provides(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files that an object with these fields provides, as sources for others."""
        return frozenset()

    @abstractmethod
    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files that have to exist when an object with these fields is created."""

    def runtime_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files without which an existing object with these fields is broken."""
        return frozenset()


class UsesCapacity:
    """Takes a part of a GPU node. Preflight checks it against the node."""

    def capacity(self, fields: Mapping[str, Json]) -> Capacity:
        """Part of its machine that an object with these fields takes."""
        return Capacity()

    def networks_of(self, desired: Mapping[str, Json]) -> frozenset[str]:
        """Names of LANs that its machine must know before it is created."""
        return frozenset()

    def preflight(
        self, resource: Resource[Any], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        """New or changed fields that the machine would refuse."""
        return ()


class UsesImageServer(UsesCapacity):
    """Names an image server. Its calls go through the client node for image servers."""

    def fetched_from(self, desired: Mapping[str, Json]) -> str:
        """The image server that has its file before it is created; empty if none has to."""
        return ""


def host(name: str) -> Host:
    """The kind of that name, which is a host. Raises TypeError if it is not."""
    kind = kind_of(name)
    if not isinstance(kind, Host):
        raise TypeError(f"{name} cannot be powered on and off")
    return kind


def power_of(kind: Kind[Any], fields: Mapping[str, Json]) -> str:
    """`on`, `off` or another power state in the fields of an object; empty if they have none."""
    return str(fields.get(kind.power_field) or "")


def provided_files(kind: Kind[Any], values: Mapping[str, Json]) -> frozenset[FileAt]:
    """Files that exist once an object with these fields does."""
    return kind.provides(values) if isinstance(kind, FileProvider) else frozenset()


def build_files(kind: Kind[Any], values: Mapping[str, Json]) -> frozenset[FileAt]:
    """Files that have to exist when an object with these fields is created."""
    return kind.build_files(values) if isinstance(kind, FileProvider) else frozenset()


def runtime_files(kind: Kind[Any], values: Mapping[str, Json]) -> frozenset[FileAt]:
    """Files without which an existing object with these fields is broken."""
    return kind.runtime_files(values) if isinstance(kind, FileProvider) else frozenset()


def made_from(resource: Resource[Any]) -> SourceRange | None:
    """Place in the manifest of the name of the file that a resource is made from, else of the manifest itself."""
    kind = kind_of(resource.kind)
    return resource.where(kind.file_field if isinstance(kind, FileProvider) else "") or resource.where("")


def capacity(kind: Kind[Any], fields: Mapping[str, Json]) -> Capacity:
    """Part of its machine that an object with these fields takes."""
    return kind.capacity(fields) if isinstance(kind, UsesCapacity) else Capacity()
