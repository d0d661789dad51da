"""Values of the tables of the controller. All times are those of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:  # the process of a run needs no models of the Fleet file
    from dbc_iac.controller.fleet import SourceSpec, StackSpec
    from dbc_iac.json import Json


class Phase(StrEnum):
    """Condition of a stack after its last run."""

    PENDING = "pending"
    """Not reconciled yet."""
    SYNCED = "synced"
    """The infrastructure matches the manifests of the commit."""
    OUT_OF_SYNC = "out-of-sync"
    """Mode `observe`: the plan has changes."""
    DRIFTED = "drifted"
    """Changed outside dbc-iac since the last apply; reported, not reverted."""
    APPROVAL = "approval"
    """A plan waits for approval."""
    REJECTED = "rejected"
    """The plan was rejected; a new commit or drift leads to another."""
    WINDOW = "window"
    """A plan waits for the time window."""
    FAILED = "failed"


class Outcome(StrEnum):
    """Outcome of a run that has ended."""

    UNCHANGED = "unchanged"
    PLANNED = "planned"
    APPLIED = "applied"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Stopped by its worker; the next run continues it."""
    LOST = "lost"
    """Its worker is gone; the next run continues it."""


class SourceStatus(Struct, frozen=True):
    """A source of a fleet. `problem`: summary, detail and remedy of the last fetch, if it failed."""

    name: str
    spec: Mapping[str, Any]
    failures: int
    problem: Mapping[str, str] | None


class StackStatus(Struct, frozen=True):
    """A stack and its condition. `commit` is to be reconciled; `run`: number of the last run, `running`: it is open."""

    name: str
    fleet: str
    source: str
    spec: Mapping[str, Any]
    removed: bool
    suspended: bool
    commit: str
    tree: str
    applied_commit: str
    applied_tree: str
    phase: str
    drifted: bool
    message: str
    failures: int
    next_run: datetime | None
    last_success: datetime | None
    run: int | None
    running: bool
    last_run: datetime | None
    approval: str | None
    """Digest of the plan that waits for approval, or was approved and not applied yet."""
    approved: bool
    source_problem: str | None
    """Summary and detail of the last fetch of its source, if it failed."""


class RunRecord(Struct, frozen=True):
    """A run. `ended` and `outcome` are None while it is open; `report` and `diagnostics` are JSON."""

    id: int
    stack: str
    commit: str
    tree: str
    mode: str
    worker: str
    started: datetime
    ended: datetime | None
    lease: datetime
    outcome: str | None
    message: str
    digest: str
    report: str | None
    diagnostics: str | None


class EventRecord(Struct, frozen=True):
    """An event of a run, as a line of `apply --events`."""

    run: int
    number: int
    at: datetime
    content: Mapping[str, Json]


class ApprovalRecord(Struct, frozen=True):
    """The approval of one plan. `run`: the run that made the plan; `reason`: why it needs approval."""

    id: int
    stack: str
    run: int
    digest: str
    tree: str
    commit: str
    reason: str
    status: str
    requested: datetime
    decided: datetime | None
    decided_by: str


class StartedRun(Struct, frozen=True):
    """A run that a worker has started. `approval`: the last approval of the stack, `plan`: its plan as JSON."""

    id: int
    stack: str
    spec: StackSpec
    source: str
    source_spec: SourceSpec
    commit: str
    tree: str
    drift_only: bool
    """Whether this tree was applied before: any change now is drift."""
    failures: int
    """Failed runs since the last success."""
    retries: int
    """Failed runs of this tree since the last success: they decide when the next run is due."""
    drifted: bool
    """Whether the last run found drift."""
    now: datetime
    approval: ApprovalRecord | None
    plan: str | None


class RunResult(Struct, frozen=True):
    """The end of a run. `approval`: why the plan needs approval; empty: it does not. `next_run`: seconds until then.

    `phase`: None keeps the previous one. `calls`: class and outcome of requests, and their number.
    """

    outcome: Outcome
    phase: Phase | None
    next_run: float
    message: str = ""
    digest: str = ""
    plan: str | None = None
    report: str | None = None
    diagnostics: str | None = None
    drifted: bool = False
    approval: str = ""
    calls: Sequence[tuple[str, str, int]] = ()


class QueueLength(Struct, frozen=True):
    """Jobs that wait. `oldest`: seconds that the oldest has waited."""

    jobs: int = 0
    oldest: float = 0.0
