"""The plan as a value: what differs, why, what will be called in which order, and what it disturbs.

Frozen, without secrets, with one canonical JSON form (`Plan.to_json`). Everything that is shown (text, JSON, later
Markdown and HTML) is made from these values and from nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import power_of

FORMAT_VERSION = 2


class Action(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    FORGET = "forget"
    NO_OP = "no-op"
    UNKNOWN = "unknown"
    """The API could not be read: nothing is decided, nothing is done."""


class Presence(StrEnum):
    """Whether the API shows an object. Unknown is never taken for absent."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. `before` and `after` never hold a secret: a secret reads `(secret)`.

    `behaviour` is the rule that applied (`online`, `offline`, `cold-boot`, `running`, `replace`, `once`, ...);
    `drift` tells that the world moved, not the manifest.
    """

    path: str
    before: Json
    after: Json
    behaviour: str
    drift: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource, with its reasons.

    `id` is the identity it has or will get (VM: task id, Disk: file, Network: name, BareMetalServer: node id), empty
    when it is known only after the call. `holder` is the address of the VM it lives and dies with, if any;
    `old_holder` the one that what it replaces lives with, where that is another.
    `losses` names what is irreversibly gone (one sentence each); `power_off` tells that the VM is powered off for it.
    """

    address: str
    kind: str
    action: Action
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    id: str = ""
    old_id: str = ""
    generation: int = 0
    node: str = ""
    parent: str = ""
    parent_id: str = ""
    old_parent: str = ""
    old_parent_id: str = ""
    power_off: bool = False
    desired: Mapping[str, Json] = field(default_factory=dict)
    applied: Mapping[str, Json] = field(default_factory=dict)
    observed: Mapping[str, Json] = field(default_factory=dict)
    resolved: Mapping[str, Json] = field(default_factory=dict)
    settled: Mapping[str, Json] = field(default_factory=dict)
    """Values, and references of secrets, that it has as they are wanted and that the state does not have so yet."""
    route: Mapping[str, Json] = field(default_factory=dict)
    old_route: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, Json] = field(default_factory=dict)
    """Secret references (never values) by field path."""
    auto: tuple[str, ...] = ()
    """The fields whose value was chosen: the manifest says `auto`."""
    marker: str = ""
    known: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    old_dependencies: tuple[str, ...] = ()
    """What the object that is there needed when it was made."""
    follows: tuple[str, ...] = ()
    """Addresses that it does not name, and that must stand before it: they bring a file that it is made of."""
    users: Mapping[str, str] = field(default_factory=dict)
    """What is made from the file that it takes away, and goes before it: id by address."""
    protected: bool = False
    delete_first: bool = False
    unsettled: bool = False
    """An earlier blind call on its VM has no certain outcome: it is proved before another is sent."""
    timeout_seconds: int = 0
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
    def needed(self) -> tuple[str, ...]:
        """The addresses that must stand before it."""
        return tuple(dict.fromkeys((*self.dependencies, *self.follows)))

    @property
    def pending(self) -> bool:
        return self.action not in {Action.NO_OP, Action.UNKNOWN}


@dataclass(frozen=True, slots=True)
class GoalSummary:
    """One goal as the plan shows it: what is to hold, by which call, and what that call needs of the VM."""

    address: str
    goal: str
    text: str
    call: str
    needs: str = "any"


class StepKind(StrEnum):
    """A step changes one resource, or opens one offline window of one VM for the goals of several resources."""

    CHANGE = "change"
    WINDOW = "window"


@dataclass(frozen=True, slots=True)
class Step:
    """A unit of the schedule. `after` names the steps that must be done before; `seconds` is the expected downtime."""

    key: str
    kind: StepKind
    address: str
    goals: tuple[GoalSummary, ...]
    after: tuple[str, ...] = ()
    node: str = ""
    seconds: int = 0
    power: str = ""
    """Of a window: how the VM is left (`on`, `off`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an apply will do, in its order.

    `serial` and `lineage` are those of the state it was made from; `configuration` and `observation` are digests
    (BLAKE2b-256, hex) of the rendered manifests and of the stable part of what was read. `documents` holds the
    rendered specs (secret references, never values) of every resource, so that the plan can be run on its own.
    """

    project: str
    stack: str
    environment: str
    lineage: str
    serial: int
    configuration: str
    observation: str
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    documents: Mapping[str, Json] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    recovery: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    """Bindings that get another address, one sentence each."""
    settled: tuple[int, ...] = ()
    """The numbers of pending calls of earlier runs of which nothing can come any more."""
    hooks: Mapping[str, Json] = field(default_factory=dict)
    """`beforeOffline` of each machine that a step touches, by address. These are run, whatever stands there then."""
    ways: Mapping[str, str] = field(default_factory=dict)
    """Digests of the project file's `clients` and `identities`: to whom, and as whom, an apply sends what it sends."""
    calls: int = 0
    destroy: bool = False
    targets: tuple[str, ...] = ()
    chosen: Mapping[str, Json] = field(default_factory=dict)
    """The options that it was made with: one that continues it is made with the same."""
    format_version: int = FORMAT_VERSION

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that lead to something; a plan without any is empty."""
        return tuple(c for c in self.changes if c.pending)

    @property
    def empty(self) -> bool:
        return not self.pending and not self.moves

    @property
    def exit_code(self) -> ExitCode:
        """What a command that only plans ends with: not to have seen everything is no success."""
        unknown = [c for c in self.changes if c.action is Action.UNKNOWN]
        if any(c.authority for c in unknown):
            return ExitCode.AUTHORISATION
        return ExitCode.ERROR if unknown else ExitCode.OK

    @property
    def powered_off(self) -> tuple[str, ...]:
        """The addresses of VMs that a window powers off."""
        return tuple(s.address for s in self.steps if s.kind is StepKind.WINDOW)

    def count(self, action: Action) -> int:
        return sum(1 for c in self.changes if c.action is action)

    def to_json(self) -> dict[str, Any]:
        """The canonical JSON form: camelCase keys, enums as text. Stable for a given plan."""
        value = encoded(self)
        assert isinstance(value, dict)  # noqa: S101 - a dataclass always encodes to an object
        value["digest"] = self.digest
        return value

    @property
    def digest(self) -> str:
        """BLAKE2b-256 over the canonical form (without the digest itself, and what was said about it), hex."""
        return canonical_digest({k: v for k, v in encoded(self).items() if k != "diagnostics"})


def canonical_digest(value: Any) -> str:
    """BLAKE2b-256, hex, over the sorted, separator-free JSON text of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def camel(name: str) -> str:
    """The key of a field in JSON."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def encoded(value: Any) -> Any:
    """The canonical form of a value of a plan, of lists and mappings only."""
    if is_dataclass(value) and not isinstance(value, type):
        return {camel(f.name): encoded(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): encoded(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [encoded(v) for v in value]
    return value
