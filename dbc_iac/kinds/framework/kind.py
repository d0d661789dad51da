"""What a kind is to the planner and the engine: six questions. Kinds register themselves; nothing else names them.

A kind decides and reads; it never writes: the calls are in the goals that it yields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from dbc_iac.api.responses import NodeHardware, RentOrder
from dbc_iac.api.secret import SecretText
from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Facts
from dbc_iac.kinds.framework.spec import Spec, SpecField, spec_fields, value_at
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.state.document import Binding

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class Observation:
    """What the API shows of one object.

    `present` is None where it could not be read (then `reason` says why). `values` are field paths with plain values;
    `secrets` are compared in memory only; `busy` is a transitional status that has to end first, `fault` an
    error status.
    """

    present: bool | None
    id: str = ""
    values: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, SecretText] = field(default_factory=dict)
    status: str = ""
    busy: bool = False
    fault: str = ""
    reason: str = ""
    authority: bool = False
    not_rented: bool = False
    marker: str = ""
    owner: str = ""
    members: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resolved: Mapping[str, Json] = field(default_factory=dict)
    made_with: Mapping[str, Json] = field(default_factory=dict)
    """Fields that are told from names: enough to ask about when it is taken in, not to make it anew for."""
    unfinished: str = ""
    """What of its creation is left to prove or to do, though it is there; empty where nothing is."""
    partial: bool = False
    """Only a part of it is there, and is made whole by the same call that makes it."""
    stuck: str = ""
    """Why the node cannot delete it, and the remedy; empty where it can."""
    hidden: frozenset[str] = frozenset()
    """Paths of secrets that are not shown just now, and so not compared."""


def unread(identity: str, reading: Unreadable) -> Observation:
    """What is seen of an object that could not be read: nothing, and why."""
    return Observation(
        None, id=identity, reason=reading.reason, authority=reading.authority, not_rented=reading.not_rented
    )


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where an object is looked for: its id as far as known, the way to it, and what state keeps of it."""

    address: str
    route: Route
    id: str
    generation: int
    binding: Binding | None = None
    key: str = ""
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """An object that may be a resource's, though no binding tells so. `values` are fields that tell it from others.

    `marker` is its birth certificate, where that is of this project and stack; `derived` tells that its id proves it.
    """

    values: Mapping[str, Json] = field(default_factory=dict)
    marker: Marker | None = None
    derived: bool = False


@dataclass(frozen=True, slots=True)
class GoalInput:
    """What goals are to be made for: one change of one resource, as the plan froze it."""

    address: str
    route: Route
    id: str
    old_id: str
    generation: int
    parent_id: str
    old_parent_id: str
    desired: Mapping[str, Json]
    applied: Mapping[str, Json]
    observed: Mapping[str, Json]
    changed: tuple[str, ...]
    secrets: Mapping[str, Json] = field(default_factory=dict)
    """References of secrets by path, never values. State keeps what was set: with the same one, no document moved."""
    old_route: Route | None = None
    marker: str = ""
    known: frozenset[str] = frozenset()
    timeout_seconds: float | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    """What is made from the file that it takes away, and goes before it: id by address."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A GPU node as preflight sees it; None where it could not be read. `whole`: the order covers every GPU."""

    route: Route
    hardware: NodeHardware | None
    orders: tuple[RentOrder, ...] | None
    whole: bool | None
    observed: Mapping[str, Json] = field(default_factory=dict)
    """What the API shows of the resource that is asked about."""
    image_servers: tuple[str, ...] | None = None
    """Ids of the image servers that the client node for them knows; None where not asked or not told."""
    inventory: Inventory | None = None
    image_server_files: frozenset[str] | None = None
    """What the image server has from which the resource is to be fetched; None where not asked or not told."""
    unheard_lans: frozenset[str] = frozenset()
    """Of the LANs that the resource joins those that exist and that this machine does not know."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a resource takes of its machine. Memory in GiB; `space` too, of directories of the host, as disk files may
    grow; `ports` as (protocol, host port)."""

    gpus: int = 0
    cpus: int = 0
    memory: int = 0
    space: Mapping[str, int] = field(default_factory=dict)
    ports: frozenset[tuple[str, int]] = frozenset()
    start_ports: frozenset[tuple[str, int]] = frozenset()
    """Ports that no other may have on the host whenever it starts, whether or not they are its own there."""
    addresses: frozenset[str] = frozenset()
    """Public addresses: nobody else can have them, also while it is off."""

    def less(self, other: Capacity) -> Capacity:
        """The ports and addresses of this one that the other does not have."""
        return Capacity(
            ports=self.ports - other.ports,
            start_ports=self.start_ports - other.start_ports,
            addresses=self.addresses - other.addresses,
        )

    def contested(self, other: Capacity) -> frozenset[int]:
        """The ports that keep two resources of one machine from running both."""
        return frozenset(port for _, port in self._contested(other))

    def clashes(self, other: Capacity) -> tuple[str, ...]:
        """The same with public addresses, in words."""
        ports = (f"{protocol} port {port}" for protocol, port in sorted(self._contested(other)))
        return (*ports, *(f"public address {address}" for address in sorted(self.addresses & other.addresses)))

    def _contested(self, other: Capacity) -> frozenset[tuple[str, int]]:
        both = self.ports & other.ports
        return both | (self.start_ports & other.ports) | (self.ports & other.start_ports)


class Kind(ABC, Generic[S]):
    """One kind of resource."""

    name: ClassVar[str]
    spec: type[S]
    identified_by: ClassVar[tuple[str, ...]] = ("wallet", "multisig", "sessions")
    """What its `identity` may be made of, where it has one."""
    read_only: ClassVar[bool] = False
    """Only read: never created, changed or deleted."""
    parent: ClassVar[str] = ""
    """The spec field that names the VM it lives and dies with."""
    max_per_parent: ClassVar[int] = 0
    """How many of them one VM can have; 0: as many as may be. `room` tells of one that is there."""
    replace_in_place_last: ClassVar[bool] = False
    """Replaced by park, create, delete: the old one is powered off, and comes back if the new one fails."""
    irreplaceable: ClassVar[bool] = False
    """Destroying one takes what no money gives back: it is never replaced, and protected by default."""
    host: ClassVar[bool] = False
    """Is a machine that others live on, and that can be powered off and on: offline windows are its own."""

    power_field: ClassVar[str] = ""
    """Path of the field with its power, if it can be powered on and off."""
    survives_parent: ClassVar[bool] = False
    """What it made stays when its VM goes: it is kept as it was, and made anew only when its own fields change."""

    location_independent: ClassVar[bool] = False
    """Is the same object whichever machine it is asked through, not only on the one where it was made."""
    on_a_machine: ClassVar[bool] = False
    """Takes something of a GPU node, which preflight then looks at."""
    uses_image_servers: ClassVar[bool] = False
    """Names an image server, which preflight then looks for."""

    def fetched_from(self, desired: Mapping[str, Json]) -> str:
        """The image server that has its file already, when one is made; empty where none is to."""
        return ""

    def provides(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files that are there once one with these fields is, and that others may be made from."""
        return frozenset()

    def build_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files that have to be there when one with these fields is made."""
        return self.runtime_files(values)

    def runtime_files(self, values: Mapping[str, Json]) -> frozenset[FileAt]:
        """Files without which one with these fields is broken, for as long as it is there."""
        return frozenset()

    def networks_of(self, desired: Mapping[str, Json]) -> frozenset[str]:
        """Names of LANs that its machine must know before one is made."""
        return frozenset()

    @property
    def fields(self) -> tuple[SpecField, ...]:
        return spec_fields(self.spec)

    @property
    def secret_fields(self) -> tuple[SpecField, ...]:
        return tuple(f for f in self.fields if f.rule.secret)

    @abstractmethod
    def route(self, resource: Resource[S], inventory: Inventory) -> Route:
        """How the target is reached. References are known to be good."""

    def protected_by_default(self, spec: S) -> bool:
        """Whether it is protected where its document says nothing about that: what cannot be had again."""
        return self.irreplaceable

    def protected(self, resource: Resource[S]) -> bool:
        """`preventDestroy`, with its default. The one rule: for what is planned, and for what is taken in."""
        said = resource.spec.lifecycle.prevent_destroy
        return self.protected_by_default(resource.spec) if said is None else said

    def facts(self, resource: Resource[S], whole_machine: bool | None) -> Facts:
        return Facts(whole_machine=whole_machine)

    def desired(self, resource: Resource[S], inventory: Inventory) -> dict[str, Json]:
        """The fields that the document manages, by path, as plain values. Secrets are left out; `auto` stays."""
        dumped = resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        values: dict[str, Json] = {}
        for field_ in self.fields:
            value = value_at(dumped, field_.path)
            if value is not None and not field_.rule.secret and field_.rule.behaviour is not Behaviour.ACCESS:
                values[field_.path] = value
        return values

    def identity(self, resource: Resource[S], inventory: Inventory, generation: int) -> str:
        """The id that the object will have, empty where the node chooses it."""
        return ""

    def marker(self, resource: Resource[S], inventory: Inventory, generation: int) -> str:
        """The birth certificate that the object carries where the API lets it; empty otherwise."""
        return ""

    def matches(self, marker: Marker, resource: Resource[S], inventory: Inventory) -> bool:
        """Whether an object of ours with that marker was made with the hidden fields of the document."""
        wanted = parse_marker(self.marker(resource, inventory, marker.generation))
        return wanted is not None and wanted.digest == marker.digest

    def natural_key(self, resource: Resource[S], inventory: Inventory) -> str:
        """What finds an object that state does not know, where the API has such a key (a name, a uuid); else empty."""
        return ""

    def places(self, inventory: Inventory) -> Iterable[Route]:
        """Where its objects may be, whichever machine their documents name by now."""
        return ()

    async def others(self, route: Route, ours: frozenset[str], reader: CachedReader) -> Mapping[str, Capacity]:
        """What is visible on a machine besides `ours`, by id, and what it takes there. Only hosts are looked for."""
        return {}

    async def trace(
        self, lookup: Lookup, begun: Binding, detail: Mapping[str, Json], taken: frozenset[str], reader: CachedReader
    ) -> Observation:
        """What a creation has made whose id only its answer would have told.

        `begun`: what was sent; `detail`: what was written down before (a pre-image); `taken`: ids that are others'.
        """
        return await self.observe(lookup, reader)

    async def unmanaged(self, lookup: Lookup, inventory: Inventory, reader: CachedReader) -> Mapping[str, Unmanaged]:
        """Objects at a place, or on `sought.holder_id`, that may belong to a document which no state knows, by id."""
        return {}

    async def free_slots(self, lookup: Lookup, reader: CachedReader) -> int | None:
        """How many more can be made on `sought.holder_id` as it is now; None where there is no limit, or none seen."""
        return None

    def capacity(self, desired: Mapping[str, Json]) -> Capacity:
        """What a resource takes of its machine, for the books."""
        return Capacity()

    def check(self, resource: Resource[S], inventory: Inventory) -> Iterable[Diagnostic]:
        """What can be decided from the manifests alone."""
        return ()

    def preflight(
        self, resource: Resource[S], desired: Mapping[str, Json], changed: frozenset[str], machine: Machine
    ) -> Iterable[Diagnostic]:
        """What the machine would refuse, of fields that are new or changed."""
        return ()

    @abstractmethod
    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        """What the API shows of the object now."""

    def create(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def adopt(self, task: GoalInput) -> Iterable[Goal]:
        """For what exists already: goals that bind it, and finish what its creation left open."""
        return self.create(task)

    def update(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def delete(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def loss(self, had: Mapping[str, Json]) -> str:
        """What is irreversibly gone with an object that has these fields; a plan says it first. Empty: nothing is."""
        return ""

    def keeps_data(self, had: Mapping[str, Json]) -> bool:
        """Whether an object with these fields is there for data that nothing makes anew."""
        return False

    def part_of(self, seen: Observation) -> str:
        """What it is of something else, where it is no object of its own and cannot be taken in; empty otherwise."""
        return ""

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        """What stays where the object is, when its document goes without a call; empty where it is deleted."""
        return ""

    async def recovery_goals(self, task: GoalInput, refused: str, reader: CachedReader) -> Iterable[Goal]:
        """What may help a host that was not started for what the node said, before it is tried again."""
        return ()

    async def explain_shortage(self, task: GoalInput, refused: str, reader: CachedReader) -> str:
        """Who has what a host lacks that was not started for what the node said; empty where nothing tells."""
        return ""

    def power_of(self, values: Mapping[str, Json]) -> str:
        """`on`, `off` or another power state in the fields of an object; empty if they have none."""
        return str(values.get(self.power_field) or "") if self.power_field else ""

    def power(self, task: GoalInput, *, to: str, temporary: bool = False) -> Goal:
        """The goal that a host is `on` or `off`; `temporary`: off only until this apply starts it again."""
        raise NotImplementedError(f"{self.name} has no power")


_KINDS: dict[str, Kind[Any]] = {}


def register(kind: type[Kind[Any]]) -> type[Kind[Any]]:
    """Class decorator: makes a kind known under its name."""
    _KINDS[kind.name] = kind()
    return kind


def kind_of(name: str) -> Kind[Any]:
    """The kind of that name. Raises KeyError where there is none."""
    return _KINDS[name]


def kinds() -> Mapping[str, Kind[Any]]:
    return dict(_KINDS)


def models() -> dict[str, type[Spec]]:
    """The spec model of every kind, for the manifest loader and the JSON Schemas."""
    return {name: kind.spec for name, kind in sorted(_KINDS.items())}
