"""The plan as a value: changes with their reasons, steps in order, disruption and data loss.

Frozen, without secrets, with one canonical JSON form (`Plan.to_json`). Text, JSON, Markdown and HTML are made from
these values and from nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, field

from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import power_of

if TYPE_CHECKING:
    from dbc_iac.json import Json
else:
    Json = Any  # msgspec reads plans from files, and knows no recursive types

FORMAT_VERSION = 2
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Action(StrEnum):
    """Action on one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    FORGET = "forget"
    NO_OP = "no-op"
    UNKNOWN = "unknown"
    """The object could not be read: nothing is decided, nothing is done."""


class FieldChange(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A field that differs. `before` and `after` never hold a secret: a secret reads `(secret)`.

    `behaviour` is the rule that applied (`online`, `offline`, `cold-boot`, `running`, `replace`, `once`, ...);
    `drift`: it was changed outside dbc-iac, and the manifest was not.
    """

    path: str
    before: Json
    after: Json
    behaviour: str
    drift: bool = False
    secret: bool = False


class Identity(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Identity of an object. `id` (VM: task id, Disk: file, Network: name, BareMetalServer: node id) is empty where
    only the call gives it; `old_id` is that of the existing object. `marker`: its owner marker; `known`: ids of the
    objects before a blind creation of unknown outcome."""

    id: str = ""
    old_id: str = ""
    generation: Int64 = 0
    marker: str = ""
    known: tuple[str, ...] = ()


class Placement(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Machine and VM of an object. `node`: address of the Node or BareMetalManager; `parent`: address of the VM."""

    node: str = ""
    route: Mapping[str, Json] = field(default_factory=dict)
    parent: str = ""
    parent_id: str = ""


class Change(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Change of one resource, with its reasons.

    `old_placement` is that of the existing object; its VM only if that is another. `losses` are sentences on lost
    data; `power_off`: its VM is powered off.
    """

    address: str
    kind: str
    action: Action
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    identity: Identity = field(default_factory=Identity)
    placement: Placement = field(default_factory=Placement)
    old_placement: Placement = field(default_factory=Placement)
    power_off: bool = False
    desired: Mapping[str, Json] = field(default_factory=dict)
    applied: Mapping[str, Json] = field(default_factory=dict)
    observed: Mapping[str, Json] = field(default_factory=dict)
    resolved: Mapping[str, Json] = field(default_factory=dict)
    settled: Mapping[str, Json] = field(default_factory=dict)
    """Observed values, and references of secrets, that match the manifest and that the state does not have yet."""
    secrets: Mapping[str, Json] = field(default_factory=dict)
    """Secret references (never values) by field path."""
    auto: tuple[str, ...] = ()
    """Fields with a chosen value: the manifest says `auto`."""
    dependencies: tuple[str, ...] = ()
    old_dependencies: tuple[str, ...] = ()
    """Dependencies of the existing object, as of its last apply."""
    follows: tuple[str, ...] = ()
    """Implicit dependencies: resources that provide a file it is built from."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Resources that use the file it deletes, and are deleted before it: id by address."""
    protected: bool = False
    delete_first: bool = False
    unsettled: bool = False
    """Whether the outcome of an earlier blind call on its VM is unknown: it is proved before another is sent."""
    timeout_seconds: Int64 = 0
    authority: bool = False

    @property
    def observed_power(self) -> str:
        """The power state that was observed; empty if there is none."""
        return power_of(kind_of(self.kind), self.observed)

    @property
    def desired_power(self) -> str:
        """The power state of the manifest; empty if it sets none."""
        return power_of(kind_of(self.kind), self.desired)

    @property
    def target(self) -> str:
        """The machine that its calls go to."""
        return str((self.placement.route or self.old_placement.route).get("target"))

    @property
    def keeps_identity(self) -> bool:
        """Whether the new object has the identity of the old one: its name, and its machine where that matters."""
        place, before = self.placement.route.get("target"), self.old_placement.route.get("target")
        there = kind_of(self.kind).location_independent or before in {None, place}
        return bool(self.identity.id) and self.identity.id == self.identity.old_id and there

    @property
    def needed(self) -> tuple[str, ...]:
        """Addresses that must exist before it."""
        return tuple(dict.fromkeys((*self.dependencies, *self.follows)))

    @property
    def pending(self) -> bool:
        return self.action not in {Action.NO_OP, Action.UNKNOWN}


class GoalSummary(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A goal in a plan: its action, the class of its call, and the power state of the VM that it needs."""

    address: str
    goal: str
    text: str
    call: str
    needs: str = "any"


class StepKind(StrEnum):
    """Kind of a step: the change of one resource, or the offline window of one VM for goals of several resources."""

    CHANGE = "change"
    WINDOW = "window"


class Step(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A unit of the schedule. `after`: keys of the steps before it; `seconds`: expected downtime."""

    key: str
    kind: StepKind
    address: str
    goals: tuple[GoalSummary, ...]
    after: tuple[str, ...] = ()
    node: str = ""
    seconds: Int64 = 0
    power: str = ""
    """Power state of the VM after a window (`on`, `off`)."""


class Rental(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Rental of a machine. `node`: its address; `ends_at` (ISO 8601, UTC) and `seconds_left` are as of the plan.

    Without a chain node they are empty.
    """

    node: str
    order: str
    end_block: Int64
    ends_at: str = ""
    seconds_left: Int64 | None = None


class Plan(Struct, frozen=True, dict=True, rename="camel", forbid_unknown_fields=True):
    """All changes of an apply, in their order.

    `serial` and `lineage` are those of the state it was made from, `journal_records` the number of records of
    interrupted applies since; `configuration` and `observation` are digests
    (BLAKE2b-256, hex) of the rendered manifests and of the stable part of what was read.
    """

    __repr__ = object.__repr__  # asyncio.run formats the result of its coroutine, and drops it

    project: str
    stack: str
    environment: str
    lineage: str
    serial: Int64
    configuration: str
    observation: str
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    recovery: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    """Renamed addresses: `OLD to NEW`."""
    journal_records: Int64 = 0
    closed_operations: tuple[Int64, ...] = ()
    """Numbers of the pending operations that can be closed."""
    hooks: Mapping[str, Json] = field(default_factory=dict)
    """`beforeOffline` of VMs that a step powers off, by address. An apply runs these, not those of the manifests."""
    access: Mapping[str, str] = field(default_factory=dict)
    """Digests of `clients` and `identities` of the project file: the recipients and the sender of calls."""
    calls: Int64 = 0
    rentals: tuple[Rental, ...] = ()
    destroy: bool = False
    targets: tuple[str, ...] = ()
    options: Mapping[str, Json] = field(default_factory=dict)
    """Options of the plan. The rest of an interrupted apply is planned with the same."""
    format_version: Int64 = FORMAT_VERSION

    @property
    def pending(self) -> tuple[Change, ...]:
        """Changes with an action."""
        return tuple(c for c in self.changes if c.pending)

    @property
    def empty(self) -> bool:
        return not self.pending and not self.moves

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Errors, such as those of policies: a plan with one is never applied."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of a command that only plans: of the errors, else an error if an object could not be read."""
        if self.errors:
            return max(d.exit_code for d in self.errors)
        unknown = [c for c in self.changes if c.action is Action.UNKNOWN]
        if any(c.authority for c in unknown):
            return ExitCode.AUTHORISATION
        return ExitCode.ERROR if unknown else ExitCode.OK

    @property
    def powered_off(self) -> tuple[str, ...]:
        """Addresses of VMs that a window powers off."""
        return tuple(s.address for s in self.steps if s.kind is StepKind.WINDOW)

    def count(self, action: Action) -> int:
        return sum(1 for c in self.changes if c.action is action)

    def members(self) -> Iterator[tuple[str, Any]]:
        """Members of the JSON form. A list is an iterator: that of a large plan is not held as a whole."""
        yield from self._members()
        yield "digest", self.digest

    def to_json(self) -> dict[str, Any]:
        """The canonical JSON form: camelCase keys, enums as text. Stable for a given plan."""
        return {key: [*value] if isinstance(value, Iterator) else value for key, value in self.members()}

    @cached_property
    def digest(self) -> str:
        """BLAKE2b-256 over the canonical form, hex. Without the digest itself; of the diagnostics only code and
        address of each error, as `errors`: a plan without errors has none."""
        found = hashlib.blake2b(digest_size=32)
        members = [(key, value) for key, value in self._members() if key != "diagnostics"]
        if self.errors:
            members.append(("errors", [[error.code, error.address] for error in self.errors]))
        for text in _canonical_object(members):
            found.update(text.encode())
        return found.hexdigest()

    def _members(self) -> Iterator[tuple[str, Any]]:
        for name, key in zip(Plan.__struct_fields__, Plan.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            yield key, map(encoded, value) if isinstance(value, tuple) else encoded(value)


def _canonical_object(members: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The canonical text of an object, in pieces. Iterators among its members are lists."""
    for number, (key, value) in enumerate(sorted(members, key=lambda member: member[0])):
        yield f"{',' if number else '{'}{canonical_text(key)}:"
        if isinstance(value, Iterator):
            yield "["
            yield from (f"{',' if index else ''}{canonical_text(item)}" for index, item in enumerate(value))
            yield "]"
        else:
            yield canonical_text(value)
    yield "}"


def canonical_text(value: Any) -> str:
    """The sorted, separator-free JSON text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal in canonical form: a plan file has lists in place of tuples. `1` is not `true`."""
    return canonical_text(encoded(one)) == canonical_text(encoded(other))


def canonical_digest(value: Any) -> str:
    """BLAKE2b-256, hex, over the canonical text of a JSON value."""
    return stream_digest([value])


def stream_digest(values: Iterable[Any]) -> str:
    """BLAKE2b-256, hex, over the canonical texts of several values, of which only one is held at a time."""
    found = hashlib.blake2b(digest_size=32)
    for value in values:
        found.update(canonical_text(value).encode())
    return found.hexdigest()


_PLAIN = frozenset({str, int, bool, float, NoneType})


def encoded(value: Any) -> Any:
    """The canonical form of a value of a plan: lists and mappings only."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple or kind is list:
        return [encoded(v) for v in value]
    if issubclass(kind, Struct):
        keys = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        return {key: encoded(getattr(value, name)) for key, name in keys}
    if isinstance(value, str):
        return str(value)  # also an enum, and an Address
    if isinstance(value, Mapping):
        return {str(k): encoded(v) for k, v in value.items()}
    return [encoded(v) for v in value] if isinstance(value, tuple | list) else value
