"""Drift: where the world moved and the manifests did not. Read-only: nothing here can make a plan that is applied.

Told apart from what the manifests ask for; many VMs of one machine that stopped together are one event, for one cause
is likelier than thirty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.kinds.reader import Reader
from dbc_iac.plan.decide import GONE, Decisions, unreadable
from dbc_iac.plan.model import Action, Change, FieldChange
from dbc_iac.plan.planner import decided, with_known
from dbc_iac.plan.refresh import refresh
from dbc_iac.plan.session import Options, Session
from dbc_iac.values import Json

TOGETHER = 3
"""VMs of one machine that stopped alike from which on that is told as one event."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One resource that is not as it was applied. `vanished`: it is not there any more."""

    address: str
    node: str
    vanished: bool
    fields: tuple[FieldChange, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to several resources at once, in words, and to which."""

    text: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All that drifted, what happened to many at once, how much the manifests ask for besides, and what was unread."""

    drifts: tuple[Drift, ...]
    events: tuple[Event, ...]
    pending: tuple[str, ...]
    unknown: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def exit_code(self) -> ExitCode:
        if self.drifts:
            return ExitCode.CHANGES_PENDING
        if any(d.exit_code is ExitCode.AUTHORISATION for d in self.diagnostics):
            return ExitCode.AUTHORISATION
        return ExitCode.ERROR if self.unknown else ExitCode.OK

    def to_json(self) -> dict[str, Json]:
        return {
            "drifts": [
                {
                    "address": d.address,
                    "node": d.node,
                    "vanished": d.vanished,
                    "fields": [
                        {"path": f.path, "applied": f.after, "observed": f.before, "secret": f.secret} for f in d.fields
                    ],
                }
                for d in self.drifts
            ],
            "events": [{"text": e.text, "addresses": list(e.addresses)} for e in self.events],
            "pending": list(self.pending),
            "unknown": dict(self.unknown),
        }


async def find_drift(session: Session) -> DriftReport:
    """Look at everything that is bound. Raises DiagnosticError where the manifests themselves are wrong."""
    session = with_known(session, frozenset())
    world = await refresh(session, Reader(session.connect))
    _, decisions = decided(session, world, Options())
    drifts = tuple(d for c in decisions.changes.values() if (d := _drift(c)) is not None)
    drifted = {d.address for d in drifts}
    unknown = [c for c in decisions.changes.values() if c.action is Action.UNKNOWN]
    return DriftReport(
        drifts,
        tuple(_events(drifts)),
        tuple(sorted(_pending(decisions, drifted))),
        {c.address: "; ".join(c.reasons) for c in unknown},
        tuple(unreadable(c) for c in unknown),
    )


def _drift(change: Change) -> Drift | None:
    if change.action is Action.CREATE and change.old_id:
        return Drift(change.address, change.node, vanished=True, fields=(), reasons=change.reasons)
    if change.action is Action.FORGET and GONE in change.reasons:
        return Drift(change.address, change.node, vanished=True, fields=(), reasons=change.reasons)
    moved = tuple(f for f in change.fields if f.drift)
    return Drift(change.address, change.node, vanished=False, fields=moved) if moved else None


def _pending(decisions: Decisions, drifted: set[str]) -> Iterable[str]:
    """What the manifests ask for: whatever is to be done that is not drift alone."""
    for change in decisions.changes.values():
        asked = any(not f.drift for f in change.fields)
        if change.pending and (asked or change.address not in drifted):
            yield change.address


def _events(drifts: Iterable[Drift]) -> Iterable[Event]:
    stopped: defaultdict[str, list[str]] = defaultdict(list)
    for drift in drifts:
        if any(f.path == "power" and f.before == "off" for f in drift.fields):
            stopped[drift.node].append(drift.address)
    for node, addresses in sorted(stopped.items()):
        if len(addresses) >= TOGETHER:
            text = (
                f"{len(addresses)} VMs of {node} are powered off: likely one event. The node itself destroys all "
                "running domains when it finds one that it does not know; a reboot of the host does the same."
            )
            yield Event(text, tuple(sorted(addresses)))
