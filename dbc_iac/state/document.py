"""The state document: the object of each address, and the fields of its last apply. Frozen values; no I/O.

Never holds a secret. `generations` outlives its bindings: an id is never used twice. States of format 1 are read by
way of `migration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

FORMAT_VERSION = 2
MAX_VALUES = 20_000_000
"""JSON values in a state, enough for 500,000 resources."""
VM = "vm"
"""The VM of a pending operation in its `detail`."""


class _Document(BaseModel):
    model_config = ConfigDict(
        defer_build=True, alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True
    )


class PendingOperation(_Document):
    """A call of an apply whose outcome is not known for certain."""

    number: int
    address: str
    goal: str
    id: str
    generation: int
    call_class: str
    creates: bool = False
    late: bool = False
    """A creation without an answer that nothing waits for: its repeat made the object, or no manifest wants it. It may
    still run: what it makes then is found."""
    detail: dict[str, Any] = Field(default_factory=dict)

    @property
    def noun(self) -> str:
        """Kind of the change, for people."""
        if self.creates:
            return "creation"
        return "deletion" if self.goal.endswith("-absent") else "change"

    @property
    def vm(self) -> str:
        """Id of the VM that it is for; empty if it is for none."""
        return str(self.detail.get(VM) or "")

    @property
    def powers_off(self) -> bool:
        """Whether it is the power-off of a VM that the same apply would start again."""
        return self.detail.get("poweredOffByApply") is True


class Binding(_Document):
    """A managed object and its address."""

    address: str
    kind: str
    id: str
    generation: int
    route: dict[str, Any] = Field(default_factory=dict)
    applied: dict[str, Any] = Field(default_factory=dict)
    uncertain: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    protected: bool = False
    parent: str = ""
    resolved: dict[str, Any] = Field(default_factory=dict)
    powered_off_by_apply: bool = False
    """Whether an apply powered the VM off to change it and has not started it again."""

    @property
    def known(self) -> dict[str, Any]:
        """Its `id` and resolved values, to which references resolve."""
        return {"id": self.id, **self.resolved}


class State(_Document):
    """State of one stack."""

    format_version: int = FORMAT_VERSION
    lineage: str
    serial: int = 0
    project: str
    uid: str
    stack: str
    bindings: dict[str, Binding] = Field(default_factory=dict)
    generations: dict[str, int] = Field(default_factory=dict)
    pending: tuple[PendingOperation, ...] = ()
    environment: str | None = Field(default=None, description="environment of the last apply; empty: none")
    unfinished_plan: str = Field(default="", description="digest of the plan whose apply did not finish it")

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> State:
        """The state of a JSON value, which is used up: a binding takes the place of its JSON form, so that a large
        state is not held twice. Equal texts are shared. Raises ValidationError, TypeError or AttributeError."""
        bindings, texts = value.get("bindings", {}), dict[str, str]()
        for address, binding in bindings.items():
            for part in ("applied", "resolved", "route"):
                for key, text in binding.get(part, {}).items():
                    if isinstance(text, str):
                        binding[part][key] = texts.setdefault(text, text)
            bindings[address] = Binding.model_validate(binding)
        return cls.model_validate(value)

    @property
    def open(self) -> tuple[PendingOperation, ...]:
        """Pending operations of unknown outcome, without late ones."""
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
