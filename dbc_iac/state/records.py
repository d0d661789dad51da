"""The records of the journal, one class each, and their JSON Schema. Shapes only: `journal` writes, reads and folds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from dbc_iac.state.document import FORMAT_VERSION, Binding, PendingOperation


class _Record(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class Begin(_Record):
    """An apply begins, from the state of this serial. Records of an older serial are in the state already."""

    type: Literal["begin"]
    format_version: int = Field(default=FORMAT_VERSION, description="of the journal, the same as the state's")
    serial: int
    plan: str = Field(description="digest of the plan")
    owner: dict[str, Any] = Field(description="who applies, for people")


class IntentWritten(_Record):
    """A call is about to be made. On disk before it is."""

    type: Literal["intent"]
    intent: PendingOperation


class Result(_Record):
    """What became of the call of an intent."""

    type: Literal["result"]
    number: int = Field(description="of the intent")
    outcome: Literal["done", "refused", "partial", "not-sent", "unknown"] = Field(
        description="partial: refused, and some of it may have been done all the same"
    )
    message: str


class Bound(_Record):
    """An address is bound; `left_behind` is what it was bound to, under an address of its own, until it is gone."""

    type: Literal["bind"]
    binding: Binding
    left_behind: Binding | None = None


class Unbound(_Record):
    type: Literal["unbind"]
    address: str


class Applied(_Record):
    """Fields that have their value now (by path), and all of the object's that were sent without a certain answer."""

    type: Literal["applied"]
    address: str
    fields: dict[str, Any]
    uncertain: tuple[str, ...]


class Met(_Record):
    """A goal has been seen to hold."""

    type: Literal["met"]
    address: str
    goal: str


class Gone(_Record):
    """An object has been seen to be gone."""

    type: Literal["gone"]
    address: str
    id: str


AnyRecord = Annotated[
    Begin | IntentWritten | Result | Bound | Unbound | Applied | Met | Gone, Field(discriminator="type")
]
RECORD: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


def journal_schema() -> dict[str, Any]:
    """The JSON Schema of one line of a journal."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of a journal",
        **RECORD.json_schema(by_alias=True),
    }
