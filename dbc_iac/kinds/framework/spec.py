"""Common parts of all specs, and their annotated fields as a flat table.

A kind's spec is a frozen pydantic model with camelCase keys. Each field carries a `Rule`, and a `Reference` where it
names another document. Nested parts are flattened: `ports.ssh` is one field.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from itertools import chain
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from dbc_iac.kinds.framework.rules import Facts, Rule, access
from dbc_iac.kinds.framework.types import IS_SIZE, AddressText, FieldOrAddress, Flag
from dbc_iac.manifest.durations import Seconds
from dbc_iac.manifest.validators import SecretForm, wrong


class Part(BaseModel):
    """A nested piece of a spec."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=False,
        hide_input_in_errors=True,
        defer_build=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _not_emptied(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse null for a field that cannot be cleared."""
        marks = cls.model_fields[str(info.field_name)].metadata if value is None else ()
        if any(isinstance(mark, Rule) and mark.no_clear for mark in marks):
            raise wrong("cannot be emptied", "Leave it out: then it stays as it is and is not managed.")
        return value


class Reference(Struct, frozen=True):
    """Marks a field that holds the name of a document of another kind; `unless`: not where it ends like this.

    `by_id`: it is applied as the id of the object, which the rename of its document does not change.
    """

    kind: str
    unless: str = ""
    by_id: bool = False


class Sent(Struct, frozen=True):
    """Marks a field that requests carry under the name `key`. `encode` makes the request's value from a plain one."""

    key: str
    encode: Callable[[Any], Any] = lambda value: tuple(value) if isinstance(value, list) else value


class BeforeOffline(Part):
    """A command that is run before a VM is powered off, such as a graceful shutdown in the guest."""

    command: tuple[str, ...] = Field(min_length=1, description="program and arguments; no shell")
    timeout: Seconds = Field(default="120s", validate_default=True)
    force: Flag = Field(default=True, description="power off even when the command fails or times out")


class Lifecycle(Part):
    """Limits of changes. `preventDestroy` is kept in the state: removing the manifest does not lift it."""

    prevent_destroy: Flag | None = Field(default=None, description="refuse to delete or replace it")
    ignore_changes: tuple[str, ...] = Field(
        default=(), description="field paths whose changes are ignored for an existing object; a new object gets them"
    )
    replace_on: tuple[FieldOrAddress, ...] = Field(
        default=(), description="addresses: replace when one of them is replaced; field paths: when one of them changes"
    )
    replace: Literal["parkFirst", "deleteFirst"] = "parkFirst"
    offline: Literal["allow", "never"] = Field(default="allow", description="never: refuse changes with a power-off")
    before_offline: BeforeOffline | None = None


class Timeouts(Part):
    """Time limits for effects. Nothing is undone after a timeout; the next apply continues."""

    create: Seconds | None = None
    update: Seconds | None = None
    delete: Seconds | None = None


_LIFECYCLE, _TIMEOUTS = Lifecycle(), Timeouts()
"""Shared by all specs without them: they are frozen."""


class Spec(Part):
    """The common part of every kind."""

    depends_on: Annotated[tuple[AddressText, ...], access] = Field(default=(), description="addresses that come first")
    lifecycle: Annotated[Lifecycle, access] = Field(default_factory=lambda: _LIFECYCLE)
    timeouts: Annotated[Timeouts, access] = Field(default_factory=lambda: _TIMEOUTS)


class SpecField(Struct, frozen=True, eq=False, dict=True):
    """One leaf of a spec: its dotted camelCase path, the attributes that lead to it, its rule, what it refers to."""

    path: str
    attributes: tuple[str, ...]
    keys: tuple[str, ...]
    """Keys that lead to it in a dumped spec."""
    info: FieldInfo
    rule: Rule
    reference: Reference | None
    secret_form: SecretForm | None = None
    """Required form of a secret's value."""

    text: bool = False
    """Whether it is text, or one of some words."""

    sent: Sent | None = None

    @property
    def is_size(self) -> bool:
        """Whether it is a size in GiB."""
        return IS_SIZE in self.info.metadata

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks a value by itself, by the type that the field has."""
        kind: Any = self.info.annotation
        for mark in self.info.metadata:
            if not isinstance(mark, Rule | Reference | Sent | SecretForm):
                kind = Annotated[kind, mark]
        return TypeAdapter(kind)

    def read(self, spec: BaseModel) -> Any:
        """The value in a spec, None if a nested part is absent."""
        value: Any = spec
        for attribute in self.attributes:
            if value is None:
                return None
            value = getattr(value, attribute)
        return value


@cache
def spec_fields(model: type[BaseModel]) -> tuple[SpecField, ...]:
    """All leaves of a spec with a rule, in the order in which they are written down."""
    found: list[SpecField] = []
    for name, info in model.model_fields.items():
        key = info.alias or to_camel(name)
        marks: dict[type, Any] = {type(mark): mark for mark in info.metadata}
        union = get_origin(info.annotation) in {Union, UnionType}
        types = get_args(info.annotation) if union else (info.annotation,)
        part = next((t for t in types if isinstance(t, type) and issubclass(t, Part)), None)
        if rule := marks.get(Rule):
            text = all(t in {str, NoneType} or get_origin(t) is Literal for t in types)
            reference, form, sent = marks.get(Reference), marks.get(SecretForm), marks.get(Sent)
            found.append(SpecField(key, (name,), (key,), info, rule, reference, form, text, sent))
        elif part is not None:
            found += (
                replace(f, path=f"{key}.{f.path}", attributes=(name, *f.attributes), keys=(key, *f.keys))
                for f in spec_fields(part)
            )
        else:
            raise TypeError(f"{model.__name__}.{name} has no rule")
    return tuple(found)


@cache
def rules_under(model: type[BaseModel], facts: Facts) -> tuple[tuple[SpecField, Rule], ...]:
    """All leaves of a spec with the rules that apply."""
    found: list[tuple[SpecField, Rule]] = []
    for field in spec_fields(model):
        holding = (c.modifiers for c in field.rule.given if getattr(facts, c.fact) is c.value)
        found.append((field, replace(field.rule, **dict(chain(*holding)))))
    return tuple(found)
