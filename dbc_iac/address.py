"""Addresses of resources: the only place that joins or splits one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_KIND, _KEY, _GENERATION = "/", ".", "~"


class Address(str):
    """`Kind/name`, `Kind/name.key` of one instance of a `forEach`, or `Kind/name~generation` of a deposed object.

    A deposed object is one that is not the current object of its resource, and is not deleted yet.
    """

    __slots__ = ()

    @classmethod
    def of(cls, kind: str, name: str) -> Address:
        """The address of a resource. `name` includes the key of an instance."""
        return cls(f"{kind}{_KIND}{name}")

    @classmethod
    def given(cls, kind: str, text: str) -> Address:
        """The address of a resource of a kind, by its name or its address."""
        return cls.of(kind, text.removeprefix(kind + _KIND))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickle as plain text: the process of templates imports nothing of dbc-iac."""
        return str, (str(self),)

    @property
    def kind(self) -> str:
        return self.partition(_KIND)[0]

    @property
    def name(self) -> str:
        """Name of the resource, with the key of an instance."""
        return self.partition(_KIND)[2].partition(_GENERATION)[0]

    @property
    def label(self) -> str:
        """Name of the resource, with the key of an instance and the generation of a deposed object."""
        return self.partition(_KIND)[2]

    @property
    def key(self) -> str:
        """Key of an instance of a `forEach`; empty for any other resource."""
        return self.name.partition(_KEY)[2]

    @property
    def generation(self) -> int | None:
        """Generation of a deposed object; None for the current one."""
        generation = self.partition(_GENERATION)[2]
        return int(generation) if generation else None

    @property
    def deposed(self) -> bool:
        """Whether this is the address of a deposed object."""
        return _GENERATION in self

    @property
    def resource(self) -> Address:
        """The address of the resource, without the generation of a deposed object."""
        return Address(self.partition(_GENERATION)[0])

    @property
    def group(self) -> Address:
        """The common address of all instances of a `forEach`; without a key, the address itself."""
        return Address(self.resource.partition(_KEY)[0])

    def depose(self, generation: int) -> Address:
        """The address of an object of this resource that is no longer the current one."""
        return Address(f"{self.resource}{_GENERATION}{generation}")


def close_address(text: str, known: Iterable[str]) -> str:
    """The address that a mistyped one, or a name without its kind, most resembles; empty if there is none."""
    addresses = [Address(a) for a in sorted(known)]
    if not (alike := [a for a in addresses if a.kind == Address(text).kind]):
        if close := difflib.get_close_matches(text, addresses, 1):
            return close[0]
        alike = addresses
    by_name = {a.label: a for a in reversed(alike)}
    close = difflib.get_close_matches(Address(text).label or text, by_name, 1)
    return by_name[close[0]] if close else ""
