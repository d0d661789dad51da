"""Capability of kinds whose existing objects can be described in a manifest."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct, field

from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import SpecField
from dbc_iac.kinds.framework.types import nearest_size


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

    def not_shown(self, fields: Mapping[str, Json]) -> str:
        """A required field that the API does not show; empty if it shows all."""
        return ""

    @abstractmethod
    def manifest(self, found: Found) -> dict[str, Any]:
        """The spec of an existing object. Secrets are references to environment variables."""


def importable(name: str) -> Importable:
    """The kind of that name, whose objects can be imported. Raises TypeError if they cannot."""
    kind = kind_of(name)
    if not isinstance(kind, Importable):
        raise TypeError(f"{name} cannot be imported")
    return kind


def nested(fields: Sequence[SpecField], values: Mapping[str, Json]) -> dict[str, Any]:
    """Values by path as a spec, in the order of its fields: `ports.ssh` is `ssh` in `ports`.

    A size that no manifest can have, such as 7.81Gi, is replaced by the nearest one, and its changes are ignored.
    """
    spec: dict[str, Any] = {}
    written = {**values, **unwritable_sizes(fields, values)}
    for path in (f.path for f in fields if f.path in values):
        *parts, key = path.split(".")
        part = spec
        for name in parts:
            part = part.setdefault(name, {})
        part[key] = written[path]
    ignored = [path for path, value in values.items() if written[path] != value]
    return {**spec, "lifecycle": {"ignoreChanges": ignored}} if ignored else spec


def unwritable_sizes(fields: Iterable[SpecField], values: Mapping[str, Json]) -> dict[str, str]:
    """The nearest size of a manifest for each size that no manifest can have, by path."""
    sizes = {f.path: str(values[f.path]) for f in fields if f.is_size and values.get(f.path)}
    return {path: nearest for path, size in sizes.items() if (nearest := nearest_size(size)) != size}


def environment_reference(text: str) -> dict[str, str]:
    """A secret reference to the environment variable of that name."""
    return {"env": re.sub(r"[^A-Z0-9]+", "_", text.upper())}
