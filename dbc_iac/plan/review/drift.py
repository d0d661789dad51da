"""Drift: objects that were changed outside dbc-iac. Read-only: it makes no plan that can be applied.

Changes of the manifests are separate. Many VMs of one machine that stopped or vanished together are one event. Drift
that no apply can revert is reported too: a plan refuses it, or keeps it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.plan.context import PlanContext, PlanOptions
from dbc_iac.plan.decide.changes import POWERED_OFF_REASON, ChangeSet
from dbc_iac.plan.decide.deletions import GONE
from dbc_iac.plan.decide.unreadable import unreadable
from dbc_iac.plan.model import Action, Change, FieldChange, Rental, encoded
from dbc_iac.plan.observe.rentals import read_rentals
from dbc_iac.plan.observe.state_recovery import state_outdated
from dbc_iac.plan.planner import decide_until_stable, refresh_current, with_resolved

TOGETHER = 3
"""Minimum number of stopped or vanished VMs of one machine that are reported as one event."""

_STOPPED = (
    "are powered off: likely one event. The node itself destroys all running domains when it finds one that it does not"
    " know; a reboot of the host does the same."
)
_WENT = (
    "do not exist any more: likely one event. A node deletes the objects of an order some days after its end;"
    " or somebody who knows their ids deleted them."
)


class Drift(Struct, frozen=True):
    """Drift of one resource. `vanished`: its object does not exist.

    `stays`: fields that no apply can revert. `parent`: address of its VM, if it has one.
    """

    address: str
    node: str
    vanished: bool
    fields: tuple[FieldChange, ...]
    reasons: tuple[str, ...] = ()
    stays: tuple[FieldChange, ...] = ()
    parent: str = ""


class Event(Struct, frozen=True):
    """An event that several resources have in common, and their addresses."""

    text: str
    addresses: tuple[str, ...]


class DriftReport(Struct, frozen=True):
    """Drift of a project: resources, common events, pending changes of the manifests, unreadable objects, rentals."""

    drifts: tuple[Drift, ...]
    events: tuple[Event, ...]
    pending: tuple[str, ...]
    unknown: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]
    rentals: tuple[Rental, ...] = ()

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
                        {
                            "path": f.path,
                            "applied": f.after,
                            "observed": f.before,
                            "secret": f.secret,
                            "stays": f in d.stays,
                        }
                        for f in d.fields
                    ],
                }
                for d in self.drifts
            ],
            "events": [{"text": e.text, "addresses": list(e.addresses)} for e in self.events],
            "pending": list(self.pending),
            "unknown": dict(self.unknown),
            "rentals": encoded(self.rentals),
        }


async def find_drift(context: PlanContext) -> DriftReport:
    """Observe all bindings. Raises DiagnosticError if the manifests themselves are wrong."""
    context, refreshed = await refresh_current(with_resolved(context), CachedReader(context.connect, repeats=True))
    _, change_set = await asyncio.to_thread(decide_until_stable, context, refreshed, PlanOptions())
    drifts = tuple(d for c in change_set.changes.values() if (d := _drift(c, change_set)) is not None)
    unknown = [c for c in change_set.changes.values() if c.action is Action.UNKNOWN]
    rentals, unavailable = await read_rentals(context, refreshed)
    outdated = [state_outdated(sorted(refreshed.outdated), destroy=False)] if refreshed.outdated else []
    return DriftReport(
        drifts,
        tuple(_events(drifts)),
        tuple(sorted(_pending(change_set, drifts))),
        {c.address: "; ".join(c.reasons) for c in unknown},
        (*dict.fromkeys(unreadable(c) for c in unknown), *unavailable, *outdated),
        rentals,
    )


def reverts_drift(change: Change) -> bool:
    """Whether a change reverts drift, alone or besides other differences.

    Starting a VM that an interrupted apply powered off does not.
    """
    started = kind_of(change.kind).power_field if POWERED_OFF_REASON in change.reasons else ""
    return _recreates(change) or (change.pending and any(f.drift and f.path != started for f in change.fields))


def _recreates(change: Change) -> bool:
    """Whether a change creates an object again that was deleted outside dbc-iac."""
    return change.action is Action.CREATE and bool(change.identity.old_id)


def _drift(change: Change, change_set: ChangeSet) -> Drift | None:
    vanished = _recreates(change) or (change.action is Action.FORGET and GONE in change.reasons)
    stays = tuple(f for f in change_set.stays.get(change.address, ()) if f.drift)
    apart = (*stays, *change_set.ignored.get(change.address, ()))
    moved = () if vanished else (*(f for f in change.fields if f.drift and f not in apart), *stays)
    if not moved and not vanished:
        return None
    return Drift(change.address, change.placement.node, vanished, moved, change.reasons, stays, change.placement.parent)


def _pending(change_set: ChangeSet, drifts: Iterable[Drift]) -> Iterable[str]:
    """Addresses with changes that are not drift alone, or that are refused."""
    vanished = {d.address: d.vanished for d in drifts}  # a recreation is all drift: its fields are not new
    refused = {p.address for p in change_set.problems if p.severity is Severity.ERROR}
    for change in change_set.changes.values():
        asked = change.pending and any(not f.drift for f in change.fields)
        if change.address not in vanished:
            asked = change.pending or change.address in refused
        if asked and not vanished.get(change.address):
            yield change.address


def is_power(drift: Drift, field: FieldChange) -> bool:
    """Whether a field change is that of a power state."""
    return field.path == kind_of(Address(drift.address).kind).power_field


def _events(drifts: tuple[Drift, ...]) -> Iterable[Event]:
    """Events that many VMs of one machine have in common, with their children."""
    stopped = [d for d in drifts if any(is_power(d, f) and f.before == "off" for f in d.fields)]
    gone = [d for d in drifts if d.vanished and isinstance(kind_of(Address(d.address).kind), Host)]
    yield from _together(stopped, _STOPPED)
    for event in _together(gone, _WENT):
        taken = (d.address for d in drifts if d.vanished and d.parent in event.addresses)
        yield Event(event.text, tuple(sorted((*event.addresses, *taken))))


def _together(drifts: Iterable[Drift], what: str) -> Iterable[Event]:
    by_node: defaultdict[str, list[str]] = defaultdict(list)
    for drift in drifts:
        by_node[drift.node].append(drift.address)
    for node, addresses in sorted(by_node.items()):
        if len(addresses) >= TOGETHER:
            yield Event(f"{len(addresses)} VMs of {node} {what}", tuple(sorted(addresses)))
