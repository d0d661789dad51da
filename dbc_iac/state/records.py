"""The records of the journal, one class each, and their JSON Schema. Shapes only: `journal` writes, reads and folds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from dbc_iac.state.document import FORMAT_VERSION, Binding, PendingOperation


class _Record(BaseModel):
    model_config = ConfigDict(
        defer_build=True, alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True
    )


class Begin(_Record):
    """Start of an apply from the state of this serial. Records of an older serial are in the state already."""

    type: Literal["begin"]
    format_version: int = Field(default=FORMAT_VERSION, description="of the journal, the same as the state's")
    serial: int
    plan: str = Field(description="digest of the plan")
    owner: dict[str, Any] = Field(description="holder of the lock, for people")


class IntentWritten(_Record):
    """A call to be made. On disk before the call."""

    type: Literal["intent"]
    operation: PendingOperation


class Result(_Record):
    """Outcome of the call of a pending operation."""

    type: Literal["result"]
    number: int = Field(description="of the pending operation")
    outcome: Literal["done", "refused", "partial", "not-sent", "unknown", "late"] = Field(
        description="partial: refused, but some of it may have been done; late: a creation that nothing waits for"
    )
    message: str


class Bound(_Record):
    """An address is bound. `deposed` is the binding of its former object, under an address of its own."""

    type: Literal["bind"]
    binding: Binding
    deposed: Binding | None = None


class Unbound(_Record):
    """An address is removed from the state."""

    type: Literal["unbind"]
    address: str


class Applied(_Record):
    """Fields that were applied, by path, and all fields of the object whose outcome is uncertain."""

    type: Literal["applied"]
    address: str
    fields: dict[str, Any]
    uncertain: tuple[str, ...]
    powered_off_by_apply: bool | None = Field(default=None, description="null: as before")


class Met(_Record):
    """A goal was observed to be met."""

    type: Literal["met"]
    address: str
    goal: str


class Gone(_Record):
    """An object was observed to be absent."""

    type: Literal["gone"]
    address: str
    id: str


AnyRecord = Annotated[
    Begin | IntentWritten | Result | Bound | Unbound | Applied | Met | Gone, Field(discriminator="type")
]
RECORD: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord, config=ConfigDict(defer_build=True))


def journal_schema() -> dict[str, Any]:
    """The JSON Schema of one line of a journal."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of a journal",
        **RECORD.json_schema(by_alias=True),
    }
