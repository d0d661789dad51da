"""The state document: which address is bound to which object, and what the last apply set. Frozen values; no I/O.

Never holds a secret. `generations` outlives its bindings: an id is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

FORMAT_VERSION = 1
DEPOSED_SEPARATOR = "~"
"""Between an address and the generation of an object that is not the one of its document, and is not gone yet."""


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class PendingOperation(_Document):
    """A call that was about to be made, and whose outcome is not known for certain."""

    number: int
    address: str
    goal: str
    id: str
    generation: int
    call_class: str
    creates: bool = False
    late: bool = False
    """A creation without an answer whose repeat has made the object: it may be carried out yet, once that is gone."""
    detail: dict[str, Any] = Field(default_factory=dict)


class Binding(_Document):
    """One object that is ours."""

    address: str
    kind: str
    id: str
    generation: int
    where: dict[str, Any] = Field(default_factory=dict)
    applied: dict[str, Any] = Field(default_factory=dict)
    uncertain: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    protected: bool = False
    parent: str = Field(default="", validation_alias=AliasChoices("parent", "holder"), serialization_alias="holder")
    resolved: dict[str, Any] = Field(default_factory=dict)


class State(_Document):
    """All of one stack."""

    format_version: int = FORMAT_VERSION
    lineage: str
    serial: int = 0
    project: str
    uid: str
    stack: str
    bindings: dict[str, Binding] = Field(default_factory=dict)
    generations: dict[str, int] = Field(default_factory=dict)
    pending: tuple[PendingOperation, ...] = ()
    environment: str | None = Field(default=None, description="that the last apply was made with; empty: none")

    @property
    def open(self) -> tuple[PendingOperation, ...]:
        """The calls of which the outcome itself is not known."""
        return tuple(i for i in self.pending if not i.late)

    def with_binding(self, binding: Binding) -> State:
        generation = max(self.generations.get(binding.address, 0), binding.generation)
        return self.model_copy(
            update={
                "bindings": {**self.bindings, binding.address: binding},
                "generations": {**self.generations, binding.address: generation},
            }
        )

    def without_binding(self, address: str) -> State:
        kept: Mapping[str, Binding] = {a: b for a, b in self.bindings.items() if a != address}
        return self.model_copy(update={"bindings": dict(kept)})
