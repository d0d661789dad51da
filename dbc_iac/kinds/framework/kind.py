"""A kind of resource as the planner and the engine see it. The module of a kind is imported with its first use.

A kind decides and reads; it never writes: the calls are in the goals that it yields. Questions that only some kinds
answer are in `capabilities`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Behaviour, Facts
from dbc_iac.kinds.framework.spec import Spec, spec_fields
from dbc_iac.kinds.framework.values import GoalInput, Lookup, Observation

S = TypeVar("S", bound=Spec)

_PACKAGE = "dbc_iac.kinds"
_MODULES = {
    "BareMetalInstance": "bare_metal.instance",
    "BareMetalManager": "bare_metal.manager",
    "BareMetalServer": "bare_metal.server",
    "Disk": "disk",
    "Image": "images.image",
    "ImageExport": "images.image_export",
    "Network": "network",
    "Node": "node",
    "Snapshot": "snapshots.snapshot",
    "VirtualMachine": "virtual_machine.kind",
}
"""The module of each kind, which registers it."""


class Kind(ABC, Generic[S]):
    """One kind of resource."""

    name: ClassVar[str]
    spec: type[S]
    identified_by: ClassVar[tuple[str, ...]] = ("wallet", "multisig", "sessions")
    """Forms that its `identity` may have."""
    read_only: ClassVar[bool] = False
    """Whether it is only read: never created, changed or deleted."""
    replace_in_place_last: ClassVar[bool] = False
    """Whether its replacement is created after the old one was powered off, and the old one deleted last."""
    irreplaceable: ClassVar[bool] = False
    """Whether a deletion is irreversible: it is never replaced, and protected by default."""
    location_independent: ClassVar[bool] = False
    """Whether it is the same object on every machine of its room."""

    ids_in_paths: ClassVar[bool] = True
    """Whether calls have its id as a part of their path."""

    power_field: ClassVar[str] = ""
    """Path of the field with the power state; empty for kinds without one."""
    parent_field: ClassVar[str] = ""
    """The spec field that names the host of a child; empty for other kinds."""
    survives_parent: ClassVar[bool] = False
    """Whether the product of a child stays when its host goes: it is replaced only when its own fields change."""

    def __init__(self) -> None:
        self.fields = spec_fields(self.spec)
        self.secret_fields = tuple(f for f in self.fields if f.rule.secret)
        self.reference_fields = tuple(f for f in self.fields if f.reference is not None)
        """Fields that may name another resource."""
        access = (f.reference for f in self.reference_fields if f.rule.behaviour is Behaviour.ACCESS)
        self.found_by = frozenset(reference.kind for reference in access if reference is not None)
        """Kinds of the resources that its id or route follows from, and none of its fields."""
        self.port_fields = frozenset(f.path for f in self.fields if f.rule.host_port)
        """Paths of fields that take ports of the host."""

    @abstractmethod
    def route(self, resource: Resource[S], inventory: Inventory) -> Route:
        """Route to its target. References have been checked."""

    def protected(self, resource: Resource[S]) -> bool:
        """`preventDestroy` with its default, for plans and imports."""
        setting = resource.spec.lifecycle.prevent_destroy
        return self.irreplaceable if setting is None else setting

    def facts(self, resource: Resource[S], whole_machine: bool | None) -> Facts:
        """Facts that the rules of its fields depend on."""
        return Facts(whole_machine=whole_machine)

    def desired(self, resource: Resource[S], inventory: Inventory) -> Mapping[str, Json]:
        """Fields that the manifest manages, as plain values by path. Without secrets; `auto` is kept.

        Computed once for each resource of an inventory, and shared by all that use it.
        """
        owner, values = inventory.desired.get(resource.address, (None, {}))
        if owner is not resource:
            values = self._desired(resource, inventory)
            inventory.desired[resource.address] = resource, values
        return values

    def _desired(self, resource: Resource[S], inventory: Inventory) -> dict[str, Json]:
        dumped = resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        found: dict[str, Json] = {}
        for field in self.fields:
            if not field.rule.secret and field.rule.behaviour is not Behaviour.ACCESS:
                part: Any = dumped
                for key in field.keys[:-1]:
                    part = part.get(key, {})
                if field.keys[-1] in part:
                    found[field.path] = part[field.keys[-1]]
        return found

    def identity(self, resource: Resource[S], inventory: Inventory, generation: int) -> str:
        """The id that the object will have; empty if the node chooses it."""
        return ""

    def natural_key(self, resource: Resource[S], inventory: Inventory) -> str:
        """Key by which an object outside the state is found (a name, a uuid); empty if the API has none."""
        return ""

    def check(self, resource: Resource[S], inventory: Inventory) -> Iterable[Diagnostic]:
        """Problems that the manifests alone show."""
        return ()

    @abstractmethod
    async def observe(self, lookup: Lookup, reader: CachedReader) -> Observation:
        """The object as the API shows it now."""

    def create(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def adopt(self, task: GoalInput) -> Iterable[Goal]:
        """Goals that bind an existing object and complete its creation."""
        return self.create(task)

    def update(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def delete(self, task: GoalInput) -> Iterable[Goal]:
        return ()

    def loss(self, had: Mapping[str, Json]) -> str:
        """Irreversible loss by deleting an object with these fields; empty if there is none."""
        return ""

    def keeps_data(self, had: Mapping[str, Json]) -> bool:
        """Whether an object with these fields exists for data that cannot be recreated."""
        return False

    def left_behind(self, applied: Mapping[str, Json]) -> str:
        """The remains after removal of its manifest, which makes no call; empty if it is deleted."""
        return ""


_KINDS: dict[str, Kind[Any]] = {}


def register(kind: type[Kind[Any]]) -> type[Kind[Any]]:
    """Class decorator that registers a kind under its name."""
    _KINDS[kind.name] = kind()
    return kind


def kind_of(name: str) -> Kind[Any]:
    """The kind of that name. Raises KeyError if there is none."""
    if name not in _KINDS:
        import_module(f"{_PACKAGE}.{_MODULES[name]}")
    return _KINDS[name]


class _Models(Mapping[str, type[Spec]]):
    def __getitem__(self, name: str) -> type[Spec]:
        return kind_of(name).spec

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


MODELS: Mapping[str, type[Spec]] = _Models()
"""The spec model of every kind by its name, for the manifest loader and the JSON Schemas."""
