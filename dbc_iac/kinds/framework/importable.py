"""Capability of kinds whose existing objects can be described in a manifest."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dbc_iac.json import Json
from dbc_iac.kinds.framework.spec import SpecField


@dataclass(frozen=True, slots=True)
class Found:
    """An object without a manifest, with the names that its manifest refers to.

    `name` is that of its manifest, `place` that of its Node or BareMetalManager, `parent` that of its VM; `networks`
    are the names of Network manifests by LAN. `secrets` are paths of secrets that it has.
    """

    id: str
    name: str
    place: str
    fields: Mapping[str, Json]
    secrets: frozenset[str] = frozenset()
    parent: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Json]:
        """Fields with a value."""
        return {path: value for path, value in self.fields.items() if value not in (None, "", [])}


class Importable(ABC):
    """Its existing objects can be described in a manifest."""

    name_prefix: ClassVar[str] = ""
    """Prefix of manifest names made from ids."""

    def describable(self, fields: Mapping[str, Json]) -> bool:
        """Whether the API shows every required field."""
        return True

    @abstractmethod
    def manifest(self, found: Found) -> dict[str, Any]:
        """The spec of an existing object. Secrets are references to environment variables."""


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
