"""Capability of kinds whose existing objects can be described in a manifest."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from msgspec import Struct, field

from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import SpecField


class Existing(Struct, frozen=True):
    """An object as the API shows it. `marker` is the text of its owner marker; `parent_id` the id of its host.

    An object without a marker of its own has the owner of its host. `secrets` are paths of secrets that it has.
    """

    id: str
    route: Route
    marker: str = ""
    status: str = ""
    parent_id: str = ""
    owner: str | None = None
    """The wallet that it belongs to, if the API shows it."""
    fields: Mapping[str, Json] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


class Found(Struct, frozen=True):
    """An object without a manifest, with the names that its manifest refers to.

    `name` is that of its manifest, `place` that of its Node or BareMetalManager, `parent` that of its VM; `names` are
    those of the manifests of other objects, by kind and id. `secrets` are paths of secrets that it has.
    """

    id: str
    name: str
    place: str
    fields: Mapping[str, Json]
    secrets: frozenset[str] = frozenset()
    parent: str = ""
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Json]:
        """Fields with a value."""
        return {path: value for path, value in self.fields.items() if value not in (None, "", [])}


class Importable(ABC):
    """Its existing objects can be described in a manifest."""

    name: ClassVar[str]
    place: ClassVar[str] = "Node"
    """The kind of the resources on which its objects are discovered."""
    name_prefix: ClassVar[str] = ""
    """Prefix of manifest names made from ids."""

    @abstractmethod
    async def existing(
        self, place: Resource[Any], inventory: Inventory, reader: CachedReader, unread: dict[str, str]
    ) -> Iterable[Existing]:
        """Objects on a place, of this project or not. Adds the reasons for what could not be read to `unread`."""

    def uses(self, fields: Mapping[str, Json]) -> frozenset[tuple[str, str]]:
        """Kind and id of objects that have no owner marker and belong to their user."""
        return frozenset()

    async def completed(self, fields: Mapping[str, Json], route: Route, reader: CachedReader) -> Mapping[str, Json]:
        """The fields with those that only further calls show."""
        return fields

    def describable(self, fields: Mapping[str, Json]) -> bool:
        """Whether the API shows every required field."""
        return True

    @abstractmethod
    def manifest(self, found: Found) -> dict[str, Any]:
        """The spec of an existing object. Secrets are references to environment variables."""


def importable(name: str) -> Importable:
    """The kind of that name, whose objects can be imported. Raises TypeError if they cannot."""
    kind = kind_of(name)
    if not isinstance(kind, Importable):
        raise TypeError(f"{name} cannot be imported")
    return kind


def nested(fields: Iterable[SpecField], values: Mapping[str, Json]) -> dict[str, Any]:
    """Values by path as a spec, in the order of its fields: `ports.ssh` is `ssh` in `ports`."""
    spec: dict[str, Any] = {}
    for path in (f.path for f in fields if f.path in values):
        *parts, key = path.split(".")
        part = spec
        for name in parts:
            part = part.setdefault(name, {})
        part[key] = values[path]
    return spec


def environment_reference(text: str) -> dict[str, str]:
    """A secret reference to the environment variable of that name."""
    return {"env": re.sub(r"[^A-Z0-9]+", "_", text.upper())}
